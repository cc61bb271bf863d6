"""Generated NumPy modules against careful hand-written ones: time and peak memory."""

from __future__ import annotations

import importlib
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .timing import Contender, interleaved

Array = np.ndarray


@dataclass(frozen=True)
class Row:
    layer: str
    size: tuple[int, int]
    seconds: dict[str, float]
    temporaries: float

    @property
    def over_hand_written(self) -> float:
        return self.seconds["by hand"] / self.seconds["generated"]


def softmax(X: Array, DY: Array) -> Array:
    Y = X - X.max(axis=1, keepdims=True)
    np.exp(Y, out=Y)
    Y /= Y.sum(axis=1, keepdims=True)
    DX = DY - np.einsum("nk,nk->n", Y, DY)[:, None]
    DX *= Y
    return DX


def log_softmax(X: Array, DY: Array) -> Array:
    Y = X - X.max(axis=1, keepdims=True)
    Y -= np.log(np.exp(Y).sum(axis=1, keepdims=True))
    DX = np.exp(Y)
    DX *= DY.sum(axis=1, keepdims=True)
    np.subtract(DY, DX, out=DX)
    return DX


def relu(X: Array, DY: Array) -> Array:
    np.maximum(X, 0)
    return DY * (X > 0)


def batchnorm(X: Array, DY: Array) -> Array:
    n = len(X)
    Z = X - X.mean(axis=0)
    s = 1 / np.sqrt(np.einsum("nk,nk->k", Z, Z) / n + 1e-5)
    Z *= s
    Z * 1.0 + 0.0
    DX = Z * (np.einsum("nk,nk->k", Z, DY) / n)
    np.subtract(DY, DX, out=DX)
    DX -= DY.mean(axis=0)
    DX *= s
    return DX


def layernorm(X: Array, DY: Array) -> Array:
    k = X.shape[1]
    Z = X - X.mean(axis=1, keepdims=True)
    s = 1 / np.sqrt(np.einsum("nk,nk->n", Z, Z)[:, None] / k + 1e-5)
    Z *= s
    Z * 1.0 + 0.0
    np.einsum("nk,nk->k", Z, DY)
    DX = Z * (np.einsum("nk,nk->n", Z, DY)[:, None] / k)
    np.subtract(DY, DX, out=DX)
    DX -= DY.mean(axis=1, keepdims=True)
    DX *= s
    return DX


BY_HAND: dict[str, Callable[[Array, Array], Array]] = {
    f.__name__: f for f in (softmax, log_softmax, relu, batchnorm, layernorm)
}


def _generated(layer: str, X: Array, DY: Array) -> Contender:
    module = importlib.import_module(f"gradwright.generated.numpy.{layer}")
    extra = (np.ones(X.shape[1], X.dtype), np.zeros(X.shape[1], X.dtype))
    arguments = (X, *extra) if layer in ("batchnorm", "layernorm") else (X,)

    def run() -> object:
        _, pullback = module.vjp(*arguments)
        return pullback(DY)

    return run


def _temporaries(run: Contender, results: int) -> float:
    """Peak memory of a call beyond its N x K results, in bytes."""
    run()
    tracemalloc.start()
    run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak - results


def measure() -> list[Row]:
    """One row for each layer and size, float32."""
    rng = np.random.default_rng(0)
    rows = []
    for layer, by_hand in BY_HAND.items():
        for size in ((64, 10), (1024, 512), (8192, 1024)):
            X = rng.normal(size=size).astype(np.float32)
            DY = rng.normal(size=size).astype(np.float32)
            run = _generated(layer, X, DY)
            contenders: dict[str, Contender] = {
                "generated": run, "by hand": lambda f=by_hand, x=X, d=DY: f(x, d),  # type: ignore[misc]
            }  # fmt: skip
            memory = _temporaries(run, 2 * X.nbytes) / X.nbytes
            rows.append(Row(layer, size, interleaved(contenders), memory))
    return rows
