"""Moves of weights: which of a group of layers end, and how others begin.

The engine does in C++ what stands here in NumPy, with the same choices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from gradwright.kernels import check_number, whole
from gradwright.sparse.supports import Support, from_places

if TYPE_CHECKING:
    from gradwright.specification import Specification

Array = np.ndarray[Any, np.dtype[Any]]
Prune = Literal["magnitude", "set", "threshold"]
Grow = Literal["random", "gradient", "momentum"]


@dataclass(frozen=True)
class Move:
    """What a backend's `rewire` does with the weights of some sparse layers together.

    layers: 1, 2, ... lost: how many weights end, those nearest to zero ("magnitude"), or the
    smallest positive and largest negative ones in proportion ("set"); by "threshold" all of
    magnitude below it. grown: how many begin, None is as many as end; at random, in proportion to
    the weights that stay in every layer, or where the gradient of the last step or the momentum of
    the watched places is largest.
    """

    layers: tuple[int, ...]
    lost: int = 0
    prune: Prune = "magnitude"
    threshold: float = 0.0
    grown: int | None = None
    grow: Grow = "random"

    def __post_init__(self) -> None:
        if not self.layers or len(set(self.layers)) < len(self.layers):
            raise ValueError(f"expected at least one layer, each once, got {self.layers}")
        for name in ("lost", "grown"):
            count = getattr(self, name)
            if not whole(count) and not (name == "grown" and count is None):
                raise TypeError(f"{name} is {count!r}, expected a whole number")
            check_number(name, count or 0, 0)
        check_number("threshold", self.threshold, 0)
        among("prune", self.prune, Prune)
        among("grow", self.grow, Grow)

    def of(self, specification: Specification) -> Move:
        """The move in a network, which loses no more weights than it has."""
        described = dict(enumerate(specification.layers, start=1))
        for number in self.layers:
            if number not in described or not described[number].sparse:
                raise ValueError(f"layer {number} is no sparse layer of this network")
        return replace(self, lost=min(self.lost, sum(described[n].count for n in self.layers)))


def among(name: str, value: object, known: Any) -> None:
    """Refuse what is none of the known names."""
    if value not in get_args(known):
        raise ValueError(f"{name} is {value!r}, expected one of {', '.join(get_args(known))}")


def shares(total: int, weights: Sequence[int], most: Sequence[int]) -> list[int]:
    """`total` in whole parts, in proportion to weights and at most `most`; ties go to the first."""
    found = [0] * len(weights)
    while (left := min(total, sum(most)) - sum(found)) > 0:
        room = [i for i in range(len(weights)) if found[i] < most[i]]
        scale = sum(weights[i] for i in room)
        ideal = {i: left * weights[i] / scale if scale else left / len(room) for i in room}
        before = sum(found)
        for i in room:
            found[i] += min(int(ideal[i]), most[i] - found[i])
        if sum(found) == before:  # less than one each: the largest remainders get one
            for i in sorted(room, key=lambda i: (-ideal[i], i))[:left]:
                found[i] += 1
    return found


def carried(old: Support, new: Support, values: Array) -> Array:
    """The values of the weights of a support at the places of another one; 0 where there was none."""
    result = np.zeros(new.count, values.dtype)
    _, ours, theirs = np.intersect1d(new.places, old.places, assume_unique=True, return_indices=True)
    result[ours] = values[theirs]
    return result


def least(values: Array, count: int, rule: str, threshold: float = 0.0) -> Array:
    """The places in `values` of weights to give up, rising; ties go to the first."""
    if rule == "threshold":
        return np.flatnonzero(np.abs(values.astype(np.float64)) < threshold)
    if rule == "magnitude":
        return np.sort(np.argsort(np.abs(values), kind="stable")[:count])
    negative, positive = np.flatnonzero(values < 0), np.flatnonzero(~(values < 0))
    low = min(round(count * len(negative) / max(len(values), 1)), len(negative))
    low = max(low, count - len(positive))
    chosen = [
        negative[np.argsort(-values[negative], kind="stable")[:low]],
        positive[np.argsort(values[positive], kind="stable")[: count - low]],
    ]
    return np.sort(np.concatenate(chosen))


def drawn(total: int, count: int, key: tuple[int, int], step: int, purpose: int) -> Array:
    """`count` different whole numbers below `total`, rising, by Philox4x64-10.

    They are floor(u total) for u = 53 bits with the counters (1, step, purpose, 0), (2, ...); what
    came before is drawn again. Of more than half the numbers those left out are drawn.
    """
    if 2 * count > total:
        present = np.ones(total, bool)
        present[drawn(total, total - count, key, step, purpose)] = False
        return np.flatnonzero(present)
    words = _philox(key, step, purpose)
    chosen = np.empty(0, np.int64)
    while len(chosen) < count:
        u = (words.random_raw(count - len(chosen)) >> np.uint64(11)) * 2.0**-53
        chosen = np.unique(np.concatenate([chosen, (u * total).astype(np.int64)]))
    return chosen


def spread(total: int, count: int, key: tuple[int, int], step: int, purpose: int) -> Array:
    """One whole number in each of `count` equal stretches of those below `total`, rising.

    It is u of the way through the stretch, for u = 32 bits of Philox4x64-10, the low ones of a word
    first, with the counters (1, step, purpose, 0), (2, ...).
    """
    words = _philox(key, step, purpose).random_raw((count + 7) // 8 * 4)
    bits = np.stack([words & np.uint64(2**32 - 1), words >> np.uint64(32)], axis=1).ravel()[:count]
    number, parts = np.arange(count + 1), max(count, 1)
    ends = number * (total // parts) + number * (total % parts) // parts
    return ends[:-1] + (bits * np.diff(ends).astype(np.uint64) >> np.uint64(32)).astype(np.int64)


def absent_at_random(
    support: Support, count: int, key: tuple[int, int], step: int, purpose: int = 1
) -> Array:
    """`count` different places without a weight, rising, all sets equally likely."""
    return _absent(support, drawn(_absent_count(support), count, key, step, purpose))


def absent_spread(
    support: Support, count: int, key: tuple[int, int], step: int, purpose: int = 2
) -> Array:
    """`count` different places without a weight, rising: one in each of as many stretches of them."""
    return _absent(support, spread(_absent_count(support), count, key, step, purpose))


def _absent_count(support: Support) -> int:
    return support.shape[0] * support.shape[1] - support.count


def _absent(support: Support, ranks: Array) -> Array:
    """The places without a weight that have these ranks among all of them."""
    # the r-th free place lies behind as many taken ones as have at most r free ones before them
    before = support.places - np.arange(support.count)
    return ranks + np.searchsorted(before, ranks, side="right")


def _philox(key: tuple[int, int], step: int, purpose: int) -> np.random.Philox:
    return np.random.Philox(
        key=np.array(key, np.uint64), counter=np.array([0, step, purpose, 0], np.uint64)
    )


def largest_first(sizes: Sequence[Array], places: Sequence[Array], count: int) -> list[Array]:
    """For every layer the places that have the `count` largest magnitudes of all, but NaN; rising."""
    everything = np.concatenate([np.abs(s) for s in sizes])
    known = len(everything) - int(np.isnan(everything).sum())  # NaN comes last
    chosen = np.sort(np.argsort(-everything, kind="stable")[: min(count, known)])
    ends = np.cumsum([len(s) for s in sizes])
    parts = np.split(chosen, np.searchsorted(chosen, ends[:-1]))
    starts = ends - [len(s) for s in sizes]
    return [
        np.sort(p[part - start]) for p, part, start in zip(places, parts, starts, strict=True)
    ]


def changes(backend: Any, move: Move) -> list[tuple[Array, Array]]:
    """What a move means, in NumPy: for every layer the weights that end and the new places.

    backend: has `support`, `parameters`, `state` and `weight_gradient`, as the engine does.
    """
    supports = [backend.support(number) for number in move.layers]
    values = [backend.parameters()[f"layer{number}.W.values"] for number in move.layers]
    ends = np.cumsum([len(v) for v in values])
    gone = least(np.concatenate(values), move.lost, move.prune, move.threshold)
    lost = np.split(gone, np.searchsorted(gone, ends[:-1]))
    lost = [part - (end - len(v)) for part, end, v in zip(lost, ends, values, strict=True)]
    free = [s.shape[0] * s.shape[1] - s.count for s in supports]
    wanted = min(len(gone) if move.grown is None else move.grown, sum(free))
    return list(zip(lost, _grown(backend, move, supports, lost, wanted, free), strict=True))


def _grown(
    backend: Any, move: Move, supports: list[Support], lost: list[Array], wanted: int, free: list[int]
) -> list[Array]:  # fmt: skip
    step, seed = int(backend.state()["step"][0]), backend.specification.seed
    if move.grow == "random":
        kept = [s.count - len(part) for s, part in zip(supports, lost, strict=True)]
        return [
            absent_at_random(support, count, (seed, number), step)
            for number, support, count in zip(
                move.layers, supports, shares(wanted, kept, free), strict=True
            )
        ]
    if wanted == 0:
        return [np.empty(0, np.int64) for _ in supports]
    sizes, places = [], []
    for number, support in zip(move.layers, supports, strict=True):
        if move.grow == "gradient":
            where = np.setdiff1d(np.arange(support.shape[0] * support.shape[1]), support.places)
            dense = backend.weight_gradient(number, 0, support.shape[0]).reshape(-1)
            sizes.append(dense[where])
        else:
            own = f"layer{number}.W.watched."
            state = backend.state()
            if f"{own}momentum" not in state:
                raise RuntimeError("growth by momentum needs watched places")
            watched = Support(support.shape, state[f"{own}indptr"], state[f"{own}indices"])
            fresh = ~np.isin(watched.places, support.places)
            where = watched.places[fresh]
            sizes.append(state[f"{own}momentum"][fresh])
        places.append(where)
    return largest_first(sizes, places, wanted)


def moved(support: Support, lost: Array, places: Array) -> tuple[Support, Array]:
    """The support after a change, and which weight of the old one every weight is, or -1."""
    stay = np.delete(np.arange(support.count), lost)
    everything = np.concatenate([support.places[stay], places])
    order = np.argsort(everything, kind="stable")
    source = np.concatenate([stay, np.full(len(places), -1)])[order]
    return from_places(support.shape, everything[order]), source


def carry(values: Array, source: Array) -> Array:
    """Values of the weights that stay, 0 for new ones."""
    result = np.zeros(len(source), values.dtype)
    result[source >= 0] = values[source[source >= 0]]
    return result
