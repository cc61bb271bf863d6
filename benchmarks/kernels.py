"""C++ kernels, forward and backward, against PyTorch eager and its autograd."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .timing import bandwidth, interleaved

SIZES = ((64, 10), (100, 1024), (1024, 512), (8192, 1024))
# Matrices of N x K that have to be read or written: inputs, output, upstream gradient and gradients,
# once.  Batch normalisation reads what it reads twice: no entry of its output or of its gradient is
# known before all rows of a column have been seen.
TRAFFIC = {
    "softmax": 5, "log_softmax": 5, "batchnorm": 8, "layernorm": 5, "gelu": 5,
    "softmax_cross_entropy": 3,
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    layer: str
    size: tuple[int, int]
    threads: int
    seconds: dict[str, float]
    least: float

    @property
    def over_torch(self) -> float:
        """How many times faster than PyTorch."""
        return self.seconds["torch"] / self.seconds["gradwright"]

    @property
    def over_least(self) -> float:
        """Time as a multiple of the time the machine needs to move these bytes."""
        return self.seconds["gradwright"] / self.least


def _ours(layer: str, X: np.ndarray, DY: np.ndarray, labels: np.ndarray) -> Callable[[], object]:
    module = importlib.import_module(f"gradwright.generated.cpp.{layer}")
    ones, zeros = np.ones(X.shape[1], X.dtype), np.zeros(X.shape[1], X.dtype)

    def normalised() -> object:
        _, pullback = module.vjp(X, ones, zeros)
        return pullback(DY)

    def loss() -> object:
        _, pullback = module.vjp(X, labels)
        return pullback(1.0)

    def plain() -> object:
        _, pullback = module.vjp(X)
        return pullback(DY)

    if layer in ("batchnorm", "layernorm"):
        return normalised
    return loss if layer == "softmax_cross_entropy" else plain


def _theirs(layer: str, X: np.ndarray, DY: np.ndarray, labels: np.ndarray) -> Callable[[], object]:
    import torch
    from torch.nn import functional

    x = torch.from_numpy(X).requires_grad_()
    up, targets = torch.from_numpy(DY), torch.from_numpy(labels)
    ones = torch.ones(X.shape[1], requires_grad=True)
    zeros = torch.zeros(X.shape[1], requires_grad=True)
    forward: dict[str, Callable[[], torch.Tensor]] = {
        "softmax": lambda: functional.softmax(x, dim=1),
        "log_softmax": lambda: functional.log_softmax(x, dim=1),
        "gelu": lambda: functional.gelu(x),
        "layernorm": lambda: functional.layer_norm(x, x.shape[1:], ones, zeros),
        "batchnorm": lambda: functional.batch_norm(x, None, None, ones, zeros, training=True),
        "softmax_cross_entropy": lambda: functional.cross_entropy(x, targets),
    }
    wanted = [x, ones, zeros] if layer in ("batchnorm", "layernorm") else [x]

    def run() -> object:
        y = forward[layer]()
        return torch.autograd.grad(y, wanted, up if y.ndim else None)

    return run


def measure(threads: int) -> list[Row]:
    """One row for each layer and size."""
    import torch

    from gradwright import _kernels

    torch.set_num_threads(threads)
    _kernels.set_threads(threads)
    rate = bandwidth(threads)
    rng = np.random.default_rng(0)
    rows = []
    for layer, traffic in TRAFFIC.items():
        for size in SIZES:
            X = rng.normal(size=size).astype(np.float32)
            DY = rng.normal(size=size).astype(np.float32)
            labels = rng.integers(0, size[1], size[0])
            contenders = {
                "gradwright": _ours(layer, X, DY, labels),
                "torch": _theirs(layer, X, DY, labels),
            }
            seconds = interleaved(contenders)
            rows.append(Row(layer, size, threads, seconds, traffic * X.nbytes / rate))
    return rows
