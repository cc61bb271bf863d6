"""A whole training step, forward to update, against other libraries on the same batch."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .contest import Arena, Effort
from .limits import Limits, least, second_cache
from .peers import DENSE, OURS, SAME_AT_EVERY_DENSITY, SPARSE, Peer
from .peers.problem import Problem, pose

NETWORKS: dict[str, tuple[tuple[int, ...], int]] = {
    "small": ((784, 256, 128, 10), 64),
    "cifar": ((3072, 1024, 512, 10), 100),
    "deep": ((1024,) * 10 + (10,), 100),
    "large": ((3072, 1024, 512, 10), 1024),
}
DENSITIES = (0.5, 0.2, 0.1, 0.05, 0.01, 0.005, 0.001)
OPTIMIZERS = ("gradient_descent", "adam")


@dataclass(frozen=True)
class Wanted:
    """What of a table to measure."""

    networks: Sequence[str] = ()
    densities: Sequence[float] = DENSITIES
    optimizers: Sequence[str] = OPTIMIZERS
    peers: Sequence[str] = ()  # names or parts of them; none: all
    effort: Effort = field(default_factory=Effort)

    def chosen(self, peers: Iterable[Peer]) -> list[Peer]:
        """Ours and the wanted ones."""
        wanted = [name.lower() for name in self.peers]
        return [
            peer for peer in peers
            if peer is OURS or not wanted or any(name in peer.name.lower() for name in wanted)
        ]  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One line of a table: seconds a step of every contender in every round."""

    table: str
    what: dict[str, Any]  # network, optimizer, density ...
    threads: int
    weights: int
    seconds: dict[str, list[float]]
    left_out: dict[str, str]
    limits: dict[str, float]  # of ours: what it is named, seconds

    def median(self, name: str) -> float:
        """Seconds a step."""
        return statistics.median(self.seconds[name])

    def ratio(self, name: str, own: str = OURS.name) -> tuple[float, float, float]:
        """How many times ours is faster: quartile, median and quartile of the rounds."""
        rounds = np.array(self.seconds[name]) / np.array(self.seconds[own])
        low, middle, high = np.percentile(rounds, [25, 50, 75])
        return float(low), float(middle), float(high)


Table = Callable[[Arena, Limits, Wanted], Iterator[Row]]


def dense(arena: Arena, limits: Limits, wanted: Wanted) -> Iterator[Row]:
    """One row for each network and optimizer."""
    for name in wanted.networks or NETWORKS:
        for optimizer in wanted.optimizers:
            problem = pose(*NETWORKS[name], optimizer, threads=arena.threads)
            entries = [(peer, problem) for peer in wanted.chosen(DENSE)]
            what = {"network": problem.name, "optimizer": optimizer}
            yield _row("dense", what, arena, limits, wanted, entries)


def sparse(arena: Arena, limits: Limits, wanted: Wanted) -> Iterator[Row]:
    """Gradient descent, one row for each network and density.

    Peers that are the same at every density take part in the first row only.
    """
    for name in wanted.networks or ("cifar",):
        for number, density in enumerate(wanted.densities):
            problem = pose(*NETWORKS[name], density=density, threads=arena.threads)
            entries = [
                (peer, problem) for peer in wanted.chosen(SPARSE)
                if number == 0 or peer.name not in SAME_AT_EVERY_DENSITY
            ]  # fmt: skip
            what = {"network": problem.name, "density": density}
            yield _row("sparse", what, arena, limits, wanted, entries)


def weights(arena: Arena, limits: Limits, wanted: Wanted) -> Iterator[Row]:
    """Ours alone: three decades of weights in one network, 8192-8192-8192-10."""
    for density in np.geomspace(2e-4, 0.2, 7):
        problem = pose((8192, 8192, 8192, 10), 100, density=float(density), threads=arena.threads)
        what = {"network": problem.name, "density": float(density)}
        yield _row("weights", what, arena, limits, wanted, [(OURS, problem)])


def batch(arena: Arena, limits: Limits, wanted: Wanted) -> Iterator[Row]:
    """Ours alone: three decades of samples."""
    for samples in (16, 64, 256, 1024, 4096, 16384):
        problem = pose((3072, 1024, 512, 10), samples, density=0.01, threads=arena.threads)
        what = {"network": "3072-1024-512-10", "density": 0.01, "batch": samples}
        yield _row("batch", what, arena, limits, wanted, [(OURS, problem)])


def rewiring(arena: Arena, limits: Limits, wanted: Wanted) -> Iterator[Row]:
    """A move of weights after some steps of training against one step."""
    makers = {"SET": "set_random", "SNFS": "snfs", "RigL": "rigl"}
    rules = [Peer(name, "own", make, alike=False) for name, make in makers.items()]
    for name in wanted.networks or ("cifar",):
        for density in (0.1, 0.01, 0.001):
            problem = pose(*NETWORKS[name], density=density, threads=arena.threads)
            entries = [(peer, problem) for peer in (OURS, *rules)]
            what = {"network": problem.name, "density": density}
            yield _row("rewiring", what, arena, limits, wanted, entries)


TABLES: dict[str, Table] = {
    "dense": dense, "sparse": sparse, "weights": weights, "batch": batch, "rewiring": rewiring,
}  # fmt: skip


def _row(table: str, what: dict[str, Any], arena: Arena, limits: Limits, wanted: Wanted,
         entries: Sequence[tuple[Peer, Problem]]) -> Row:  # fmt: skip
    found = arena.compete(entries, wanted.effort)
    problem = entries[0][1]
    own = {"least": least(problem, limits)}
    if problem.density < 1:
        own["second cache"] = second_cache(problem, limits)
    return Row(table, what, arena.threads, problem.weights, found.seconds, found.left_out, own)
