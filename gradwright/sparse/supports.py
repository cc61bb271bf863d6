"""Supports: which weights of a (K, D) matrix exist, as the index arrays of CSR.

`indptr` and `indices` are those of `scipy.sparse.csr_array`, which takes them without copying:
`csr_array((values, support.indices, support.indptr), support.shape)`. No function here makes a
matrix of all K D entries unless it is given one.

Sources: Mocanu et al. (2018) for the Erdos-Renyi densities, Evci et al. (2020) for their form with
kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradwright.kernels import check_number, whole

Array = np.ndarray[Any, np.dtype[Any]]
_MOST = 2**31 - 1
_BLOCK = 1 << 20  # entries of temporary arrays


@dataclass(frozen=True)
class Support:
    """The places of the weights: row i has columns indices[indptr[i] : indptr[i + 1]], rising."""

    shape: tuple[int, int]
    indptr: Array  # (K + 1,), int32
    indices: Array  # (count,), int32

    def copy(self) -> Support:
        """The same places in arrays of their own."""
        return Support(self.shape, self.indptr.copy(), self.indices.copy())

    @property
    def count(self) -> int:
        """The number of weights."""
        return len(self.indices)

    @property
    def density(self) -> float:
        """The share of weights that exist."""
        return self.count / max(self.shape[0] * self.shape[1], 1)

    @property
    def rows(self) -> Array:
        """The row of every weight, (count,)."""
        return np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))

    @property
    def places(self) -> Array:
        """Every weight's place in the dense matrix, row by row: int64, rising."""
        return self.rows * self.shape[1] + self.indices

    def mask(self) -> Array:
        """The dense (K, D) matrix that is True where a weight is."""
        found = np.zeros(self.shape, bool)
        found[self.rows, self.indices] = True
        return found


def from_places(shape: tuple[int, int], places: Array) -> Support:
    """The support with weights at places of the dense matrix, row by row; rising, no duplicates."""
    K, D = shape
    starts = (np.arange(K, dtype=np.int64) * D).astype(places.dtype)
    indptr = np.empty(K + 1, np.int32)
    indptr[:K], indptr[K] = np.searchsorted(places, starts), len(places)
    indices = np.empty(len(places), np.int32)
    for first in range(0, len(places), _BLOCK):
        part = slice(first, first + _BLOCK)
        indices[part] = places[part] % max(D, 1)
    return Support(shape, indptr, indices)


def from_csr(shape: tuple[int, int], indptr: Any, indices: Any) -> Support:
    """A given pattern. Index arrays that are int32 and in order are taken as they are.

    Raises:
        TypeError: index arrays that are not integers.
        ValueError: a row out of range, out of order or with a duplicate; the message names it.
    """
    K, D = _checked(shape)
    starts, columns = _integers("indptr", indptr), _integers("indices", indices)
    if len(starts) != K + 1:
        raise ValueError(f"expected indptr of shape ({K + 1},), got {starts.shape}")
    if starts[0] != 0:
        raise ValueError(f"row 0: indptr starts at {starts[0]}, expected 0")
    _refuse_row(starts[1:] < starts[:-1], "indptr falls behind it")
    if starts[-1] != len(columns):
        raise ValueError(f"row {K - 1}: indptr ends at {starts[-1]} of {len(columns)} indices")
    outside = (columns < 0) | (columns >= D)
    if outside.any():
        raise ValueError(f"{_row(starts, outside)}: a column is not in 0, ..., {D - 1}")
    starts, columns = starts.astype(np.int32, copy=False), columns.astype(np.int32, copy=False)
    if not _rising(starts, columns).all():
        columns = columns[sorting(starts, columns)]
        rising = _rising(starts, columns)
        if not rising.all():
            raise ValueError(f"{_row(starts, ~rising)}: a column occurs twice")
    return Support((K, D), starts, columns)


def _integers(name: str, given: Any) -> Array:
    array = np.asarray(given)
    if isinstance(given, list) and not given:  # NumPy takes it for numbers
        array = array.astype(np.int32)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} is {array.dtype}, expected integers")
    if array.ndim != 1:
        raise ValueError(f"expected {name} of one dimension, got shape {array.shape}")
    return array


def sorting(indptr: Array, indices: Array) -> Array:
    """The order of CSR entries in which columns rise within each row."""
    return np.lexsort((indices, np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))))


def _rising(indptr: Array, indices: Array) -> Array:
    """Whether an entry's column is behind that of the entry before it in its row."""
    rising = np.ones(len(indices), bool)
    np.greater(indices[1:], indices[:-1], out=rising[1:])
    rising[indptr[:-1][np.diff(indptr) > 0]] = True
    return rising


def _row(indptr: Array, wrong: Array) -> str:
    """The row of the first wrong entry."""
    return f"row {np.searchsorted(indptr, wrong.argmax(), side='right') - 1}"


def from_mask(mask: Any) -> Support:
    """The support of the entries of a dense matrix that are not zero."""
    found = _matrix(mask)
    return from_places((found.shape[0], found.shape[1]), np.flatnonzero(found))


def _matrix(given: Any) -> Array:
    """A dense matrix of numbers or flags."""
    found = np.asarray(given)
    if found.dtype.kind not in "biuf":
        raise TypeError(
            f"expected a dense matrix of numbers, got {type(given).__name__} of {found.dtype}; "
            "from_csr takes the index arrays of a sparse one"
        )
    if found.ndim != 2:
        raise ValueError(f"expected a matrix, got shape {found.shape}")
    unknown = np.isnan(found)
    if unknown.any():
        row, column = np.unravel_index(unknown.argmax(), found.shape)
        raise ValueError(f"the entry [{row}, {column}] is NaN")
    return found


def uniform(shape: tuple[int, int], density: float, rng: Any = None) -> Support:
    """`round(density K D)` places, all sets of that size equally likely.

    rng: here and below what `numpy.random.default_rng` takes: a generator or a seed.
    """
    K, D = _checked(shape)
    count = _count(K * D, density)
    return from_places((K, D), _drawn(np.random.default_rng(rng), K * D, count))


def erdos_renyi(
    sizes: Sequence[int], density: float, kernels: Sequence[tuple[int, int] | None] | None = None
) -> list[float]:
    """The densities of the layers of a network: in proportion to (K + D) / (K D), at most 1.

    The network as a whole has the given density. `kernels` has (height, width) for a layer whose
    inputs are patches of that size in C = D / (height width) channels, else None: in proportion to
    (K + C + height + width) / (K D) then.
    """
    check_number("density", density, 0, 1)
    for place, size in enumerate(sizes):
        if not whole(size) or size < 1:
            raise ValueError(f"sizes[{place}] is {size!r}, expected a whole number >= 1")
    shapes = list(zip(sizes[1:], sizes[:-1], strict=True))
    if not isinstance(kernels, (list, tuple, type(None))):
        raise TypeError(f"kernels is {kernels!r}, expected a list of (height, width) or None")
    given = [None] * len(shapes) if kernels is None else list(kernels)
    if len(given) != len(shapes):
        raise ValueError(f"expected {len(shapes)} kernels, one a layer or None, got {len(given)}")
    scores = np.array([_score(*shape, kernel) for shape, kernel in zip(shapes, given, strict=True)])
    entries = np.array([K * D for K, D in shapes], float)
    full = np.zeros(len(shapes), bool)
    while True:  # what a layer cannot take is shared among the others
        left = density * entries.sum() - entries[full].sum()
        free = (scores * entries)[~full].sum()
        share = np.where(full, 1.0, scores * (left / free if free else 0.0))
        if not (share[~full] > 1).any():
            return [float(s) for s in share]
        full |= share > 1


def _score(K: int, D: int, kernel: tuple[int, int] | None) -> float:
    if kernel is None:
        return (K + D) / (K * D)
    height, width = _pair("a kernel", kernel)
    if height < 1 or width < 1 or D % (height * width):
        raise ValueError(f"expected inputs in whole {height} x {width} patches, got {D}")
    return (K + D // (height * width) + height + width) / (K * D)


def largest(W: Any, density: float) -> Support:
    """The places of the entries of largest magnitude of a dense matrix; ties go to the first."""
    found = _matrix(W)
    count = _count(found.size, density)
    order = np.argsort(-np.abs(found.astype(float)).reshape(-1), kind="stable")[:count]
    return from_places((found.shape[0], found.shape[1]), np.sort(order))


def n_of_m(shape: tuple[int, int], n: int, m: int, rng: Any = None) -> Support:
    """n random weights in every m neighbours of a row; D has to be a multiple of m."""
    K, D = check_groups(shape, n, m)
    rng = np.random.default_rng(rng)
    groups = K * D // m
    places = np.empty((groups, n), np.int64)
    step = max(_BLOCK // m, 1)
    for first in range(0, groups, step):
        part = np.arange(first, min(first + step, groups))
        chosen = np.argsort(rng.random((len(part), m)), axis=1)[:, :n]
        places[part] = np.sort(chosen, axis=1) + part[:, None] * m
    return from_places((K, D), places.reshape(-1))


def blocks(
    shape: tuple[int, int], block: tuple[int, int], density: float, rng: Any = None
) -> Support:
    """Random blocks of weights; K and D have to be multiples of the block's sizes."""
    K, D = check_blocks(shape, block)
    height, width = block
    outer = uniform((K // height, D // width), density, rng)
    rows = (outer.rows[:, None, None] * height + np.arange(height)[:, None]) * D
    columns = outer.indices.astype(np.int64)[:, None, None] * width + np.arange(width)
    return from_places((K, D), np.sort((rows + columns).reshape(-1)))


def check_groups(shape: tuple[int, int], n: int, m: int) -> tuple[int, int]:
    """Refuse a matrix that has no n of m weights."""
    n, m = _pair("n and m", (n, m))
    if not 0 <= n <= m or m < 1:
        raise ValueError(f"expected 0 <= n <= m and m >= 1, got n = {n}, m = {m}")
    K, D = _checked(shape)
    if D % m:
        raise ValueError(f"expected a number of columns that is a multiple of {m}, got {D}")
    return K, D


def check_blocks(shape: tuple[int, int], block: tuple[int, int]) -> tuple[int, int]:
    """Refuse a matrix that does not consist of whole blocks."""
    (K, D), (height, width) = _checked(shape), _pair("a block", block)
    if height < 1 or width < 1 or K % height or D % width:
        raise ValueError(f"expected a shape of whole {height} x {width} blocks, got {K} x {D}")
    return K, D


def _drawn(rng: np.random.Generator, total: int, count: int) -> Array:
    """`count` different whole numbers below `total`, rising; all sets are equally likely.

    Memory grows with `count`, not with `total`: what was drawn twice is drawn again, and of more
    than half the numbers those left out are drawn.
    """
    if 2 * count > total:
        present = np.ones(total, bool)
        present[_drawn(rng, total, total - count)] = False
        return np.flatnonzero(present)
    dtype = np.uint32 if total <= 2**32 else np.int64
    chosen = np.empty(0, dtype)
    while len(chosen) < count:
        more = rng.integers(0, total, count - len(chosen), dtype)
        chosen = np.concatenate([chosen, more])
        chosen.sort()
        first = np.ones(len(chosen), bool)
        np.not_equal(chosen[1:], chosen[:-1], out=first[1:])
        chosen = chosen[first]
    return chosen


def _pair(name: str, given: Any) -> tuple[int, int]:
    if not isinstance(given, (list, tuple)) or len(given) != 2 or not all(map(whole, given)):
        raise TypeError(f"{name}: expected two whole numbers, got {given!r}")
    return int(given[0]), int(given[1])


def _checked(shape: Any) -> tuple[int, int]:
    K, D = _pair("shape", shape)
    if not (0 <= K <= _MOST and 0 <= D <= _MOST):
        raise ValueError(f"expected 0 <= sizes < 2**31, got {K} x {D}")
    return K, D


def _count(total: int, density: float) -> int:
    check_number("density", density, 0, 1)
    count = round(float(density) * total)
    if count > _MOST:
        raise OverflowError(f"{count} weights are more than 2**31 - 1")
    return count


def _refuse_row(wrong: Array, what: str) -> None:
    if wrong.any():
        raise ValueError(f"row {int(wrong.argmax())}: {what}")
