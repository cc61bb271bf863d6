"""A whole training step, forward to update, against other libraries on the same batch."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Mapping
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


def measure_dense(threads: int, names: list[str] | None = None) -> list[dict[str, Any]]:
    """One row for each network and optimizer."""
    rows = []
    for name, (sizes, batch) in NETWORKS.items():
        if names and name not in names:
            continue
        for optimizer in ("gradient_descent", "adam"):
            found = interleaved({
                "gradwright": ours(sizes, batch, optimizer, threads),
                "torch": torch_dense(sizes, batch, optimizer, threads),
            })  # fmt: skip
            rows.append(
                {"network": name, "optimizer": optimizer, "threads": threads, "seconds": found}
            )
    return rows


def measure_sparse(threads: int, densities: tuple[float, ...] = DENSITIES) -> list[dict[str, Any]]:
    """3072-1024-512-10 with a batch of 100, gradient descent, one row for each density."""
    sizes, batch = NETWORKS["3072-1024-512-10, 100"]
    rows = []
    for density in densities:
        found = interleaved({
            "gradwright": ours(sizes, batch, "gradient_descent", threads, density),
            "gradwright, dense": ours(sizes, batch, "gradient_descent", threads),
            "torch, dense": torch_dense(sizes, batch, "gradient_descent", threads),
        })  # fmt: skip
        rows.append({"density": density, "threads": threads, "seconds": found})
    return rows
