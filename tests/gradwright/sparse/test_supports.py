"""Supports of sparse layers."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from scipy.sparse import csr_array

from gradwright import sparse

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("density", [0, 0.01, 0.3, 1])
@pytest.mark.parametrize("shape", [(1, 1), (7, 13), (100, 50), (0, 3)])
def test_a_uniform_support_has_its_share_of_different_places(
    shape: tuple[int, int], density: float
) -> None:
    support = sparse.uniform(shape, density, np.random.default_rng(1))
    assert support.count == round(density * shape[0] * shape[1]) == support.mask().sum()


def test_scipy_takes_the_arrays_without_copying() -> None:
    support = sparse.uniform((20, 30), 0.1, RNG)
    matrix = csr_array((np.ones(support.count), support.indices, support.indptr), support.shape)
    assert np.shares_memory(matrix.indices, support.indices)
    assert np.array_equal(matrix.toarray() != 0, support.mask())


def test_a_mask_gives_its_own_support() -> None:
    mask = RNG.random((9, 4)) < 0.4
    mask[2] = False
    assert np.array_equal(sparse.from_mask(mask).mask(), mask)


def test_the_largest_weights_are_kept() -> None:
    W = RNG.normal(size=(8, 9))
    kept = np.abs(W[sparse.largest(W, 0.25).mask()])
    assert len(kept) == 18
    assert kept.min() >= np.sort(np.abs(W).reshape(-1))[-18]


def test_every_group_has_n_of_m_weights() -> None:
    mask = sparse.n_of_m((6, 16), 2, 4, RNG).mask()
    assert (mask.reshape(6, 4, 4).sum(axis=2) == 2).all()


def test_blocks_are_full_or_empty() -> None:
    mask = sparse.blocks((8, 12), (2, 3), 0.5, RNG).mask()
    inside = mask.reshape(4, 2, 4, 3).sum(axis=(1, 3))
    assert set(np.unique(inside)) <= {0, 6}
    assert (inside == 6).sum() == 8


def test_erdos_renyi_densities_give_the_network_its_density() -> None:
    sizes = [3072, 1024, 512, 10]
    entries = np.array([K * D for D, K in itertools.pairwise(sizes)])
    found = np.array(sparse.erdos_renyi(sizes, 0.05))
    assert found @ entries / entries.sum() == pytest.approx(0.05)
    assert found[0] < found[1] < found[2] <= 1
    assert sparse.erdos_renyi([4, 4, 4], 1) == [1, 1]


BAD = {
    "row 1: a column is not in": ((2, 3), [0, 1, 2], [0, 3]),
    "row 0: a column is not in": ((2, 3), [0, 1, 2], [-1, 2]),
    "row 1: indptr falls": ((3, 3), [0, 2, 1, 2], [0, 1]),
    "row 1: a column occurs twice": ((2, 3), [0, 1, 3], [0, 2, 2]),
    "row 0: indptr starts": ((1, 3), [1, 1], [0]),
    "row 0: indptr ends": ((1, 3), [0, 2], [0]),
    "expected indptr of shape": ((2, 3), [0, 1], [0]),
}


@pytest.mark.parametrize("message", BAD)
def test_a_broken_pattern_is_refused(message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sparse.from_csr(*BAD[message])


TWO, W = (2, 4), np.eye(4)
# what cannot be made -> the call, the error and what its message says
WRONG: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "indices": (lambda: sparse.from_csr((1, 3), [0, 1], [0.5]), TypeError, "indices is float64"),
    "indptr": (lambda: sparse.from_csr((1, 3), [False, True], [0]), TypeError, "indptr is bool"),
    "a shape of floats": (lambda: sparse.from_csr((1.5, 3), [0, 1], [0]), TypeError, "shape: expected"),
    "a shape of three": (lambda: sparse.uniform((1, 2, 3), 0.5), TypeError, "shape: expected"),
    "a negative shape": (lambda: sparse.uniform((-1, 2), 0.5), ValueError, "expected 0 <= sizes"),
    "a density by name": (lambda: sparse.uniform(TWO, "all"), TypeError, "density is str"),
    "no density": (lambda: sparse.largest(W, None), TypeError, "density is NoneType"),
    "NaN as density": (lambda: sparse.largest(W, np.nan), ValueError, r"density in \[0, 1\]"),
    "NaN as weight": (lambda: sparse.largest([[1, np.nan]], 0.5), ValueError, r"\[0, 1\] is NaN"),
    "NaN in a mask": (lambda: sparse.from_mask([[np.nan]]), ValueError, r"\[0, 0\] is NaN"),
    "a vector as mask": (lambda: sparse.from_mask([1, 0]), ValueError, "expected a matrix"),
    "a sparse matrix": (lambda: sparse.largest(csr_array(W), 0.5), TypeError, "from_csr takes"),
    "objects": (lambda: sparse.from_mask([[None]]), TypeError, "a dense matrix of numbers"),
    "no whole groups": (lambda: sparse.n_of_m(TWO, 1, 3), ValueError, "multiple of 3"),
    "half a weight": (lambda: sparse.n_of_m(TWO, 0.5, 2), TypeError, "two whole numbers"),
    "too many of few": (lambda: sparse.n_of_m(TWO, 3, 2), ValueError, "0 <= n <= m"),
    "half a block": (lambda: sparse.blocks(TWO, (1.5, 2), 0.5), TypeError, "two whole numbers"),
    "a block of nothing": (lambda: sparse.blocks(TWO, (0, 2), 0.5), ValueError, "0 x 2 blocks"),
    "a block's side": (lambda: sparse.blocks(TWO, 2, 0.5), TypeError, "a block: expected"),
    "no features": (lambda: sparse.erdos_renyi([3, 0], 0.5), ValueError, r"sizes\[1\] is 0"),
    "sizes as text": (lambda: sparse.erdos_renyi("34", 0.5), ValueError, r"sizes\[0\] is '3'"),
    "one kernel": (lambda: sparse.erdos_renyi([9, 4], 0.5, (3, 3)), ValueError, "1 kernels"),
    "a kernel's side": (lambda: sparse.erdos_renyi([9, 4], 0.5, [3]), TypeError, "a kernel: exp"),
    "too many weights": (lambda: sparse.uniform((2**30, 2**30), 1), OverflowError, r"2\*\*31 - 1"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_made_is_one_clear_error(name: str) -> None:
    make, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        make()


def test_a_pattern_without_weights_may_be_written_as_lists() -> None:
    assert sparse.from_csr((2, 3), [0, 0, 0], []).count == 0


def test_a_seed_draws_as_its_generator() -> None:
    for make in (lambda rng: sparse.uniform((6, 8), 0.4, rng), lambda rng: sparse.n_of_m((6, 8), 1, 4, rng),
                 lambda rng: sparse.blocks((6, 8), (2, 2), 0.4, rng)):  # fmt: skip
        one, other = make(5), make(np.random.default_rng(5))
        np.testing.assert_array_equal(one.mask(), other.mask())


def test_the_largest_of_small_integers_are_found() -> None:
    W = np.array([[1, -128, 100]], np.int8)  # -128 has no opposite among them
    np.testing.assert_array_equal(sparse.largest(W, 1 / 3).indices, [1])


def test_unsigned_row_starts_that_fall_are_refused() -> None:
    with pytest.raises(ValueError, match="row 1: indptr falls"):
        sparse.from_csr((3, 3), np.array([0, 2, 1, 2], np.uint32), np.array([0, 1]))


def test_index_arrays_in_order_are_taken_as_they_are() -> None:
    given = sparse.uniform((20, 30), 0.1, RNG)
    taken = sparse.from_csr((20, 30), given.indptr, given.indices)
    assert taken.indices is given.indices
    assert taken.indptr is given.indptr


def test_columns_in_any_order_are_sorted() -> None:
    found = sparse.from_csr((2, 4), [0, 3, 4], [2, 0, 3, 1])
    np.testing.assert_array_equal(found.indices, [0, 2, 3, 1])


@pytest.mark.parametrize("density", [0.2, 0.8])
def test_every_place_is_as_likely(density: float) -> None:
    rng = np.random.default_rng(7)
    times = sum(sparse.uniform((4, 5), density, rng).mask().astype(int) for _ in range(4000))
    assert abs(times - 4000 * density).max() < 4 * (4000 * density * (1 - density)) ** 0.5


def test_supports_take_memory_for_their_weights_alone() -> None:
    for make in (
        lambda: sparse.uniform((30_000, 30_000), 0.001, RNG),
        lambda: sparse.n_of_m((3000, 3000), 1, 100, RNG),
        lambda: sparse.blocks((30_000, 30_000), (10, 10), 0.001, RNG),
    ):
        tracemalloc.start()
        support = make()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 40 * support.count + (40 << 20)


def test_kernels_count_in_the_densities_of_erdos_renyi() -> None:
    """A layer of 3 x 3 patches in 4 channels: (8 + 4 + 3 + 3) / (8 36), not (8 + 36) / (8 36)."""
    plain = sparse.erdos_renyi([36, 8, 8], 0.2)
    found = sparse.erdos_renyi([36, 8, 8], 0.2, [(3, 3), None])
    assert found[0] / found[1] == pytest.approx(18 / 288 / (16 / 64))
    assert plain[0] / plain[1] == pytest.approx(44 / 288 / (16 / 64))
    with pytest.raises(ValueError, match="whole 5 x 5 patches"):
        sparse.erdos_renyi([36, 8, 8], 0.2, [(5, 5), None])
    with pytest.raises(ValueError, match="expected 2 kernels"):
        sparse.erdos_renyi([36, 8, 8], 0.2, [(3, 3)])
