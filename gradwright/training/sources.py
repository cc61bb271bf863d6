"""Where batches come from: arrays in memory, arrays that are larger, iterables of batches.

A source gives the batches of an epoch in chunks; how they are cut into chunks changes no bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from gradwright.specification import Specification
from gradwright.training import targets as encoding
from gradwright.training.arrays import as_matrix, numeric, require_finite, row_blocks

Array = np.ndarray[Any, np.dtype[Any]]
_CHUNK_ENTRIES = 1 << 20


@dataclass(frozen=True)
class Chunk:
    """Some batches in a row: `order` holds indices of samples, `batch_size` of them a batch."""

    X: Array
    targets: Array
    order: Array
    batch_size: int
    weight: Array | None

    @property
    def batches(self) -> int:
        """How many there are."""
        return -(-len(self.order) // self.batch_size)

    def batch_weights(self) -> Array:
        """The weight of every batch's loss in the mean of the epoch."""
        each = np.ones(len(self.order)) if self.weight is None else self.weight[self.order]
        starts = np.arange(0, len(self.order), self.batch_size)
        return np.add.reduceat(each.astype(np.float64), starts)


class Source(Protocol):
    """The batches of any epoch."""

    batches: int | None  # of an epoch; None where that is not known

    def chunks(self, epoch: int, skip: int, most: Callable[[int], int]) -> Iterator[Chunk]:
        """The batches of an epoch but the first `skip`.

        most: how many a chunk may have behind so many batches of the epoch.
        """


class ArraySource:
    """Samples in arrays or memmaps. What is too large or of another dtype is converted in parts."""

    def __init__(
        self, spec: Specification, X: Any, y: Any, rows: Array, batch_size: int | None,
        shuffle: bool, weight: Array | None,
    ) -> None:  # fmt: skip
        self._spec, self._rows, self._shuffle, self._weight = spec, rows, shuffle, weight
        self._X, self._y = X, y
        self._size = len(rows) if batch_size is None else min(int(batch_size), len(rows))
        self.batches: int | None = -(-len(rows) // self._size)
        self._direct = not is_lazy(X) and not is_lazy(y)
        if self._direct:
            self._X = as_matrix("X", X, spec.sizes[0], spec.dtype)
            self._y = encoding.encode(spec, y)

    def chunks(self, epoch: int, skip: int, most: Callable[[int], int]) -> Iterator[Chunk]:
        """See `Source`."""
        order = self._order(epoch)
        fits = max(1, _CHUNK_ENTRIES // (self._size * self._spec.sizes[0]))
        while skip * self._size < len(order):
            batches = most(skip) if self._direct else min(most(skip), fits)
            rows = order[skip * self._size : (skip + batches) * self._size]
            skip += batches
            if self._direct:
                yield Chunk(self._X, self._y, rows, self._size, self._weight)
                continue
            X = as_matrix("X", np.asarray(self._X[rows]), None, self._spec.dtype)
            T = encoding.encode(self._spec, np.asarray(self._y[rows]))
            weight = None if self._weight is None else self._weight[rows]
            yield Chunk(X, T, np.arange(len(rows)), self._size, weight)

    def _order(self, epoch: int) -> Array:
        if not self._shuffle:
            return self._rows
        return generator(self._spec.seed, 1, epoch).permutation(self._rows)


class BatchSource:
    """An iterable of batches (X, y) or (X, y, sample_weight), begun afresh for every epoch."""

    batches: int | None = None

    def __init__(self, spec: Specification, iterable: Iterable[Any], allow_nan: bool) -> None:
        self._spec, self._iterable, self._allow_nan = spec, iterable, allow_nan
        self._begun = False
        if isinstance(iterable, Sized):
            self.batches = len(iterable)

    def chunks(self, epoch: int, skip: int, most: Callable[[int], int]) -> Iterator[Chunk]:
        """See `Source`; always one batch a chunk."""
        del epoch, most
        iterator = iter(self._iterable)
        if iterator is self._iterable and self._begun:
            raise ValueError(
                "X is an iterator, which gives its batches once; for several epochs give an "
                "object whose __iter__ begins afresh, such as a list or a class"
            )
        self._begun = True
        first_row = 0
        for number, item in enumerate(iterator):
            if not isinstance(item, (tuple, list)) or len(item) not in (2, 3):
                raise TypeError(f"batch {number} is no (X, y) or (X, y, sample_weight)")
            X = as_matrix("X", item[0], self._spec.sizes[0], self._spec.dtype)
            if len(X) == 0:
                raise ValueError(f"batch {number} is empty")
            if not self._allow_nan:
                require_finite("X", X, first_row)
            T = encoding.encode(self._spec, item[1], first_row)
            same_length(X, T, f"batch {number}: ")
            weight = encoding.weights(self._spec, item[2], len(X)) if len(item) == 3 else None
            first_row += len(X)
            if number >= skip:
                yield Chunk(X, T, np.arange(len(X)), len(X), weight)


def generator(seed: int, *key: int) -> np.random.Generator:
    """The generator of one purpose: (1, epoch) its order, (2,) the validation split."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def is_lazy(array: Any) -> bool:
    """Whether an array lies in a file, and is read in parts."""
    return isinstance(array, np.memmap)


def checked(spec: Specification, X: Any, y: Any, allow_nan: bool) -> tuple[Array, Array]:
    """Data whose every value was looked at, in blocks; converted only where it is no memmap."""
    X = as_matrix("X", X, spec.sizes[0], None)
    y = numeric("y", y)
    same_length(X, y)
    encoding.require_shape(spec, y)  # of all: a block has another one
    if len(X) == 0:
        raise ValueError(f"there are no samples: X has shape {X.shape}")
    for rows in row_blocks(len(X), X.shape[1]):
        if not allow_nan:
            require_finite("X", X[rows], rows.start)
        encoding.encode(spec, y[rows], rows.start)
    return X, y


def same_length(X: Array, y: Array, where: str = "") -> None:
    """Refuse samples without targets, or the reverse."""
    if len(X) != len(y):
        raise ValueError(f"{where}X has {len(X)} samples and y has {len(y)}")
