"""Supports of sparse layers."""

from __future__ import annotations

import itertools

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
