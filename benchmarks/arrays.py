"""Generated NumPy modules against careful hand-written ones: time and peak memory."""

from __future__ import annotations

import importlib
import tracemalloc
from dataclasses import dataclass
from functools import partial

import numpy as np

from .by_hand import PEERS
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


def _arguments(layer: str, X: Array) -> tuple[Array, ...]:
    """Those of forward."""
    ones, zeros = np.ones(X.shape[1], X.dtype), np.zeros(X.shape[1], X.dtype)
    return (X, ones, zeros) if layer in ("batchnorm", "layernorm") else (X,)


def _generated(layer: str, arguments: tuple[Array, ...], DY: Array) -> Contender:
    module = importlib.import_module(f"gradwright.generated.numpy.{layer}")

    def run() -> object:
        _, pullback = module.vjp(*arguments)
        return pullback(DY)

    return run


def _temporaries(layer: str, arguments: tuple[Array, ...], DY: Array) -> int:
    """Peak memory of forward and backward beyond their results, in bytes."""
    module = importlib.import_module(f"gradwright.generated.numpy.{layer}")

    def run() -> tuple[object, ...]:
        forward = module.vjp(*arguments)
        return forward[0], forward[1](DY)

    run()
    tracemalloc.start()
    results = run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    arrays = [a for r in results for a in (r if isinstance(r, tuple) else (r,))]
    return peak - sum(np.asarray(a).nbytes for a in arrays)


def measure() -> list[Row]:
    """One row for each layer and size, float32."""
    rng = np.random.default_rng(0)
    rows = []
    for layer, by_hand in PEERS.items():
        for size in ((64, 10), (1024, 512), (8192, 1024)):
            X = rng.normal(size=size).astype(np.float32)
            DY = rng.normal(size=size).astype(np.float32)
            arguments = _arguments(layer, X)
            run = _generated(layer, arguments, DY)
            contenders: dict[str, Contender] = {
                "generated": run, "by hand": partial(by_hand, *arguments, DY),
            }  # fmt: skip
            memory = _temporaries(layer, arguments, DY) / X.nbytes
            rows.append(Row(layer, size, interleaved(contenders), memory))
    return rows
