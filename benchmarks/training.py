"""A whole training step, forward to update, against other libraries on the same batch."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Run = Callable[[int], object]  # trains so many steps

NETWORKS: dict[str, tuple[tuple[int, ...], int]] = {
    "784-256-128-10, 64": ((784, 256, 128, 10), 64),
    "3072-1024-512-10, 100": ((3072, 1024, 512, 10), 100),
    "10 x 1024, 100": ((1024,) * 10 + (10,), 100),
    "3072-1024-512-10, 1024": ((3072, 1024, 512, 10), 1024),
}
DENSITIES = (0.5, 0.2, 0.1, 0.05, 0.01, 0.001)


def interleaved(
    contenders: Mapping[str, Run], seconds: float = 3.0, rounds: int = 9
) -> dict[str, list[float]]:
    """Seconds a step of every contender in every round; they take turns and rest in between."""
    steps = {}
    for name, run in contenders.items():
        run(2)
        start = time.perf_counter()
        run(2)
        once = (time.perf_counter() - start) / 2
        steps[name] = max(2, int(seconds / rounds / len(contenders) / once))
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            time.sleep(0.002)
            run(1)
            start = time.perf_counter()
            run(steps[name])
            found[name].append((time.perf_counter() - start) / steps[name])
    return found


def median(values: list[float]) -> float:
    return statistics.median(values)


def batch_of(sizes: tuple[int, ...], samples: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(samples, sizes[0])).astype(np.float32), rng.integers(
        0, sizes[-1], samples
    )


def ours(
    sizes: tuple[int, ...], batch: int, optimizer: str, threads: int, density: float = 1.0
) -> Run:
    """The engine; the batch is gathered from a data set of rows in every step."""
    from gradwright.backends import cpp
    from gradwright.layer import initial_arrays
    from gradwright.specification import specify

    hidden = ["relu"] * (len(sizes) - 2)
    spec = specify(sizes, [*hidden, "softmax"], optimizer=optimizer, density=density)
    net = cpp.Engine(spec, initial_arrays(spec), threads)
    X, labels = batch_of(sizes, batch)
    order = np.arange(batch)

    def run(steps: int) -> object:
        return net.epoch(X, labels, np.tile(order, steps), batch, np.full(steps, 1e-4))

    return run


def torch_dense(sizes: tuple[int, ...], batch: int, optimizer: str, threads: int) -> Run:
    """PyTorch eager; Adam is the fused one."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    net = nn.Sequential(*layers[:-1])
    steps_by: Any = (
        torch.optim.Adam(net.parameters(), lr=1e-4, fused=True)
        if optimizer == "adam"
        else torch.optim.SGD(net.parameters(), lr=1e-4)
    )
    X, labels = (torch.from_numpy(a) for a in batch_of(sizes, batch))

    def run(steps: int) -> object:
        for _ in range(steps):
            steps_by.zero_grad()
            nn.functional.cross_entropy(net(X), labels).backward()
            steps_by.step()
        return None

    return run


def _patterns(sizes: tuple[int, ...], density: float) -> list[tuple[Array, Array, Array]]:
    """Values, column indices and row starts of every layer: those of our own network."""
    from gradwright.layer import initial_arrays
    from gradwright.specification import specify

    names = ["relu"] * (len(sizes) - 2) + ["softmax"]
    arrays = initial_arrays(specify(sizes, names, density=density))
    numbers = range(1, len(sizes))
    return [tuple(arrays[f"layer{n}.W.{part}"] for part in ("values", "indices", "indptr"))
            for n in numbers]  # type: ignore[misc]  # fmt: skip


def torch_csr(sizes: tuple[int, ...], batch: int, threads: int, density: float) -> Run:
    """PyTorch CSR tensors, features by samples, with sampled_addmm for the gradient of weights."""
    import torch

    torch.set_num_threads(threads)
    X, labels = batch_of(sizes, batch)
    XT, onehot = torch.from_numpy(np.ascontiguousarray(X.T)), np.eye(sizes[-1], dtype=np.float32)
    T = torch.from_numpy(np.ascontiguousarray(onehot[labels].T))
    layers = []
    for (values, col, row), (D, K) in zip(
        _patterns(sizes, density), itertools.pairwise(sizes), strict=True
    ):
        rows = np.repeat(np.arange(K), np.diff(row))
        order = np.lexsort((rows, col))
        index = [torch.from_numpy(np.ascontiguousarray(a, np.int32)) for a in
                 (row, col, np.searchsorted(col[order], np.arange(D + 1)), rows[order])]  # fmt: skip
        layers.append(
            (
                torch.from_numpy(values.copy()),
                torch.zeros(K, 1),
                index,
                torch.from_numpy(order),
                (K, D),
            )
        )

    def step() -> None:
        A = [XT]
        for number, (w, b, index, _, shape) in enumerate(layers):
            W = torch.sparse_csr_tensor(index[0], index[1], w, shape, check_invariants=False)
            Z = torch.sparse.mm(W, A[-1]) + b
            A.append(torch.relu_(Z) if number + 1 < len(layers) else Z)
        D = (torch.softmax(A[-1], 0) - T) / batch
        for number in reversed(range(len(layers))):
            w, b, index, order, shape = layers[number]
            zero = torch.sparse_csr_tensor(
                index[0], index[1], torch.zeros_like(w), shape, check_invariants=False
            )
            DW = torch.sparse.sampled_addmm(zero, D, A[number].T, beta=0.0).values()
            DX = None
            if number:
                WT = torch.sparse_csr_tensor(
                    index[2], index[3], w[order], shape[::-1], check_invariants=False
                )
                DX = torch.sparse.mm(WT, D) * (A[number] > 0)
            w -= 1e-4 * DW
            b -= 1e-4 * D.sum(1, keepdim=True)
            D = DX

    return lambda steps: [step() for _ in range(steps)]


def scipy_csr(sizes: tuple[int, ...], batch: int, density: float) -> Run:
    """SciPy CSR products; gradients of weights as dense products of a few rows, then sampled."""
    from scipy.sparse import csr_array

    X, labels = batch_of(sizes, batch)
    XT = np.ascontiguousarray(X.T)
    T = np.eye(sizes[-1], dtype=np.float32)[labels].T
    weights, biases = [], []
    for (values, col, row), (D, K) in zip(
        _patterns(sizes, density), itertools.pairwise(sizes), strict=True
    ):
        weights.append(csr_array((values.copy(), col, row), (K, D)))
        biases.append(np.zeros((K, 1), np.float32))

    def sampled(W: Any, D: Array, A: Array) -> Array:
        found = np.empty_like(W.data)
        rows = max(W.shape[0] // 10, 4)
        for first in range(0, W.shape[0], rows):
            last = min(first + rows, W.shape[0])
            block = D[first:last] @ A.T
            own = slice(W.indptr[first], W.indptr[last])
            at = np.repeat(np.arange(last - first), np.diff(W.indptr[first : last + 1]))
            found[own] = block[at, W.indices[own]]
        return found

    def step() -> None:
        A = [XT]
        for number, (W, b) in enumerate(zip(weights, biases, strict=True)):
            Z = W @ A[-1] + b
            A.append(np.maximum(Z, 0) if number + 1 < len(weights) else Z)
        E = np.exp(A[-1] - A[-1].max(axis=0))
        D = (E / E.sum(axis=0) - T) / np.float32(batch)
        for number in reversed(range(len(weights))):
            W = weights[number]
            DW = sampled(W, D, A[number])
            DX = (W.T @ D) * (A[number] > 0) if number else D
            W.data -= np.float32(1e-4) * DW
            biases[number] -= np.float32(1e-4) * D.sum(axis=1, keepdims=True)
            D = DX

    return lambda steps: [step() for _ in range(steps)]


Row = dict[str, Any]


def measure_dense(threads: int, names: Sequence[str] = ()) -> Iterator[Row]:
    """One row for each network and optimizer."""
    for name, (sizes, batch) in NETWORKS.items():
        if names and name not in names:
            continue
        for optimizer in ("gradient_descent", "adam"):
            found = interleaved({
                "gradwright": ours(sizes, batch, optimizer, threads),
                "PyTorch": torch_dense(sizes, batch, optimizer, threads),
            })  # fmt: skip
            yield {"network": name, "optimizer": optimizer, "threads": threads, "seconds": found}


def measure_sparse(
    threads: int, densities: Sequence[float] = DENSITIES, network: str = "3072-1024-512-10, 100"
) -> Iterator[Row]:
    """Gradient descent, one row for each density."""
    sizes, batch = NETWORKS[network]
    for density in densities:
        contenders = {
            "gradwright": ours(sizes, batch, "gradient_descent", threads, density),
            "gradwright, dense": ours(sizes, batch, "gradient_descent", threads),
            "PyTorch, dense": torch_dense(sizes, batch, "gradient_descent", threads),
            "PyTorch CSR": torch_csr(sizes, batch, threads, density),
        }
        if threads == 1:
            contenders["SciPy CSR"] = scipy_csr(sizes, batch, density)
        yield {"network": network, "density": density, "threads": threads,
               "seconds": interleaved(contenders)}  # fmt: skip
