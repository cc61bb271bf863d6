"""What every contender trains: multilayer perceptrons of ReLU layers with softmax cross entropy."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


class Trainer(Protocol):
    """Training on one batch."""

    def run(self, steps: int) -> object:
        """Make so many steps: forward, backward, update. A float is the seconds that count."""

    def loss(self) -> float:
        """The loss of the batch."""


@dataclass(frozen=True)
class Csr:
    """A sparse weight matrix of `shape` (outputs, inputs)."""

    values: Array
    indices: Array
    indptr: Array
    shape: tuple[int, int]

    @property
    def rows(self) -> Array:
        """The row of every weight."""
        return np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))

    def dense(self) -> Array:
        """The matrix with its zeros."""
        found = np.zeros(self.shape, self.values.dtype)
        found[self.rows, self.indices] = self.values
        return found

    def transposed(self) -> tuple[Csr, Array]:
        """The transposed matrix, and which weight is where in it."""
        order = np.lexsort((self.rows, self.indices))
        starts = np.searchsorted(self.indices[order], np.arange(self.shape[1] + 1))
        turned = Csr(
            self.values[order], self.rows[order].astype(np.int32), starts.astype(np.int32), self.shape[::-1]
        )
        return turned, order


@dataclass(frozen=True)
class Problem:
    """A network, a batch and an optimizer, with the initial weights in an npz file."""

    sizes: tuple[int, ...]
    batch: int
    optimizer: str = "gradient_descent"
    density: float = 1.0
    threads: int = 1
    learning_rate: float = 1e-4
    arrays: Mapping[str, Array] = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        """784-256-128-10, 64"""
        sizes = self.sizes
        if len(sizes) > 5 and len(set(sizes[:-1])) == 1:
            return f"{len(sizes) - 1} x {sizes[0]}, {self.batch}"
        return "-".join(map(str, sizes)) + f", {self.batch}"

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(outputs, inputs) of the layers."""
        return [(K, D) for D, K in itertools.pairwise(self.sizes)]

    @property
    def weights(self) -> int:
        """The number of weights that exist."""
        return sum(round(self.density * K * D) for K, D in self.shapes)

    @property
    def X(self) -> Array:
        return self.arrays["X"]

    @property
    def labels(self) -> Array:
        return self.arrays["labels"]

    def csr(self) -> list[Csr]:
        """The weights of a sparse problem."""
        own, found = self.arrays, []
        for number, shape in enumerate(self.shapes, start=1):
            W = f"layer{number}.W."
            found.append(Csr(own[f"{W}values"], own[f"{W}indices"], own[f"{W}indptr"], shape))
        return found

    def dense(self) -> list[Array]:
        """Copies of the weights as (outputs, inputs)."""
        if self.density < 1:
            return [W.dense() for W in self.csr()]
        return [self.arrays[f"layer{n}.W"].copy() for n in range(1, len(self.sizes))]

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the arrays, and describe the rest for `load`."""
        path = folder / f"{abs(hash((self.name, self.density)))}.npz"
        if not path.exists():
            np.savez(path, allow_pickle=False, **self.arrays)
        return {k: v for k, v in asdict(self).items() if k != "arrays"} | {"path": str(path)}


def load(described: Mapping[str, Any]) -> Problem:
    """The problem that `save` described."""
    given = dict(described)
    with np.load(given.pop("path"), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return Problem(**given | {"sizes": tuple(given["sizes"]), "arrays": arrays})


def pose(sizes: tuple[int, ...], batch: int, optimizer: str = "gradient_descent",
         density: float = 1.0, threads: int = 1) -> Problem:  # fmt: skip
    """Normal data, random labels; He's initial weights; a uniformly random support."""
    from gradwright.sparse import uniform

    rng = np.random.default_rng(0)
    arrays: dict[str, Array] = {
        "X": rng.normal(size=(batch, sizes[0])).astype(np.float32),
        "labels": rng.integers(0, sizes[-1], batch),
    }
    for number, (D, K) in enumerate(itertools.pairwise(sizes), start=1):
        scale = np.float32(np.sqrt(2 / (D * density)))
        if density < 1:
            support = uniform((K, D), density, rng)
            arrays[f"layer{number}.W.values"] = scale * rng.standard_normal(support.count, np.float32)
            arrays[f"layer{number}.W.indices"] = support.indices
            arrays[f"layer{number}.W.indptr"] = support.indptr
        else:
            arrays[f"layer{number}.W"] = scale * rng.standard_normal((K, D), np.float32)
    return Problem(sizes, batch, optimizer, density, threads, arrays=arrays)
