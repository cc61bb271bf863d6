"""Peak memory of training a sparse network, as the system counts it, against what the arrays need."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from .contest import Arena, LibraryFailedError

NETWORKS = {
    "cifar": ((3072, 1024, 512, 10), 100),
    "wide": ((3072, 8192, 8192, 8192, 10), 100),
    "widest": ((3072, 32768, 32768, 32768, 10), 100),
}
_STATES = {"gradient_descent": 0, "momentum": 1, "adam": 2}


@dataclass(frozen=True)
class Peak:
    """Bytes of a training beyond those of the interpreter and its imports."""

    network: str
    optimizer: str
    weights: int
    needed: float
    measured: float | None  # none: it failed
    why: str = ""


def needed(sizes: tuple[int, ...], batch: int, density: float, optimizer: str) -> float:
    """12 bytes a weight (value and index by rows, index by columns), its states, and two activation matrices."""
    weights = sum(round(density * D * K) for D, K in itertools.pairwise(sizes))
    return (12 + 4.0 * _STATES[optimizer]) * weights + 2 * 4.0 * batch * sum(sizes)


def measure(network: str, optimizer: str, density: float = 0.01) -> Peak:
    """In a process that does nothing else."""
    sizes, batch = NETWORKS[network]
    weights = sum(round(density * D * K) for D, K in itertools.pairwise(sizes))
    least = needed(sizes, batch, density, optimizer)
    with Arena(1) as arena:
        try:
            found = arena.process("own").ask(
                "train", sizes=sizes, batch=batch, density=density, optimizer=optimizer
            )
        except LibraryFailedError as error:
            return Peak(network, optimizer, weights, least, None, str(error))
    return Peak(network, optimizer, weights, least, found["bytes"])
