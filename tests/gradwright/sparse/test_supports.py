"""Supports of sparse layers."""

from __future__ import annotations

import itertools
import tracemalloc

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


def test_indices_that_are_no_integers_are_refused() -> None:
    with pytest.raises(TypeError, match="indices is float64"):
        sparse.from_csr((1, 3), [0, 1], [0.5])


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
