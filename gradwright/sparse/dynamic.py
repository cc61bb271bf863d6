"""Dynamic sparse training: the weights that matter least are given up, as many others begin at 0.

Sources: Mocanu et al. (2018) for SET, Evci et al. (2020) for growth by gradient (RigL) and the
cosine schedule of the share that moves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gradwright.sparse.supports import Support, from_places

if TYPE_CHECKING:
    from gradwright.backends.cpp import Engine

Array = np.ndarray[Any, np.dtype[Any]]
_BLOCK = 1 << 20  # gradients of absent weights in memory at a time


@dataclass(frozen=True)
class Rewiring:
    """A callback of `MLP.fit` that moves a share of every sparse layer's weights after epochs.

    >>> Rewiring(share=0.3, grow="gradient", steps=1000).share_at(500)
    0.15

    Args:
        share: of the weights of a layer that move at the first time, in [0, 1].
        prune: "magnitude": those nearest to zero; "set": the smallest positive and the largest
            negative ones, each in proportion.
        grow: "random", or "gradient": where the gradient of the last batch is largest.
        steps: number of steps over which the share falls to 0 as a cosine; None keeps it.

    The number of weights of a layer stays. States of the optimizer of weights that stay are kept,
    those of new weights are 0. What moves depends on the network's seed, its step and the layer
    alone, so a resumed training continues bit for bit.
    """

    share: float = 0.3
    prune: Literal["magnitude", "set"] = "magnitude"
    grow: Literal["random", "gradient"] = "random"
    steps: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"expected a share in [0, 1], got {self.share}")
        if self.prune not in ("magnitude", "set"):
            raise ValueError(f"prune is {self.prune!r}, expected 'magnitude' or 'set'")
        if self.grow not in ("random", "gradient"):
            raise ValueError(f"grow is {self.grow!r}, expected 'random' or 'gradient'")

    def share_at(self, step: int) -> float:
        """The share that moves at a step: share (1 + cos(pi step / steps)) / 2."""
        if self.steps is None:
            return self.share
        return self.share * (1 + math.cos(math.pi * min(step / self.steps, 1))) / 2

    def on_epoch_end(self, net: Any) -> None:
        """Move weights of all sparse layers of an `MLP`."""
        self.apply(net.backend)

    def apply(self, engine: Engine) -> None:
        """Move weights of all sparse layers."""
        step = int(engine.state()["step"][0])
        for number, layer in enumerate(engine.specification.layers, start=1):
            if layer.sparse:
                self._rewire(engine, number, self.share_at(step), step)

    def _rewire(self, engine: Engine, number: int, share: float, step: int) -> None:
        old = engine.support(number)
        values = engine.parameters()[f"layer{number}.W.values"]
        absent = old.shape[0] * old.shape[1] - old.count
        count = min(round(share * old.count), absent)
        if count == 0:
            return
        lost = least(values, count, self.prune)
        kept = np.delete(old.places, lost)
        if self.grow == "random":
            key = np.array([engine.specification.seed, number << 40 | step], np.uint64)
            rng = np.random.Generator(np.random.Philox(key=key))
            new = absent_at_random(old, count, rng)
        else:
            new = absent_by_gradient(engine, number, old, count)
        places = np.concatenate([kept, new])
        order = np.argsort(places, kind="stable")
        engine.rewire(number, from_places(old.shape, places[order]), lost, order)


def least(values: Array, count: int, rule: str) -> Array:
    """The places in `values` of `count` weights to give up, rising; ties go to the first."""
    if rule == "magnitude":
        return np.sort(np.argsort(np.abs(values), kind="stable")[:count])
    negative, positive = np.flatnonzero(values < 0), np.flatnonzero(values >= 0)
    low = min(round(count * len(negative) / len(values)), len(negative))
    low = max(low, count - len(positive))
    chosen = [
        negative[np.argsort(-values[negative], kind="stable")[:low]],
        positive[np.argsort(values[positive], kind="stable")[: count - low]],
    ]
    return np.sort(np.concatenate(chosen))


def absent_at_random(support: Support, count: int, rng: np.random.Generator) -> Array:
    """`count` different places without a weight."""
    taken = support.places
    free = support.shape[0] * support.shape[1] - support.count
    ranks = np.sort(rng.choice(free, count, replace=False, shuffle=False))
    # the r-th free place lies behind as many taken ones as have at most r free ones before them
    return ranks + np.searchsorted(taken - np.arange(support.count), ranks, side="right")


def absent_by_gradient(engine: Engine, number: int, support: Support, count: int) -> Array:
    """The places without a weight where the last batch's gradient is largest in magnitude.

    Gradients of absent weights are computed for a few rows at a time, never for all of them.
    """
    K, D = support.shape
    best, where = np.empty(0), np.empty(0, np.int64)
    rows = max(_BLOCK // max(D, 1), 1)
    for first in range(0, K, rows):
        last = min(first + rows, K)
        size = np.abs(engine.weight_gradient(number, first, last)).reshape(-1)
        size[support.places[support.indptr[first] : support.indptr[last]] - first * D] = -1
        top = np.argsort(-size, kind="stable")[:count]
        best = np.concatenate([best, size[top]])
        where = np.concatenate([where, top + first * D])
        order = np.argsort(-best, kind="stable")[:count]
        best, where = best[order], where[order]
    return where
