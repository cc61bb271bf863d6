"""A sparse layer on its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import coo_array, csc_array, csr_array, random_array

from gradwright import Layer, SparseLinear
from gradwright.sparse import uniform

BACKENDS = ("numpy", "cpp")
X = np.random.default_rng(0).normal(size=(11, 30))
DA = np.random.default_rng(1).normal(size=(11, 20))


def matrix_of(dtype: str = "float64", index: str = "int32") -> Any:
    found = csr_array(random_array((20, 30), density=0.2, rng=np.random.default_rng(2)))
    found.data = found.data.astype(dtype)
    found.indices, found.indptr = found.indices.astype(index), found.indptr.astype(index)
    return found


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("activation", [None, "tanh"])
def test_it_is_the_dense_layer_with_zeros(backend: str, activation: Any) -> None:
    matrix = matrix_of()
    layer = SparseLinear.from_csr(matrix, activation=activation, backend=backend)
    dense = Layer(30, 20, activation, dtype="float64", backend=backend)
    dense.W[:] = matrix.toarray()
    np.testing.assert_array_equal(layer.W, matrix.toarray())
    np.testing.assert_allclose(layer.forward(X, training=True), dense.forward(X, training=True), rtol=1e-12)
    np.testing.assert_allclose(layer.backward(DA), dense.backward(DA), rtol=1e-12, atol=1e-14)
    rows = np.repeat(np.arange(20), np.diff(matrix.indptr))
    assert dense.DW is not None
    assert layer.DW is not None
    np.testing.assert_allclose(layer.DW, dense.DW[rows, matrix.indices], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(layer.Db, dense.Db, rtol=1e-12)


@pytest.mark.parametrize("index", ["int32", "int64"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_csr_goes_in_and_out_without_copying(index: str, dtype: str) -> None:
    matrix = matrix_of(dtype, index)
    layer = SparseLinear.from_csr(matrix)
    out = csr_array((layer.values, layer.indices, layer.indptr), layer.shape)
    for one, other in (
        (out.data, matrix.data), (out.indices, matrix.indices), (out.indptr, matrix.indptr)
    ):  # fmt: skip
        assert np.shares_memory(one, other)
    layer.values[:] = 2
    assert (matrix.data == 2).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_entries_of_a_row_may_come_in_any_order(backend: str) -> None:
    matrix = matrix_of()
    wanted = SparseLinear.from_csr(matrix.copy(), backend=backend).forward(X)
    start, end = matrix.indptr[3:5]
    assert end - start > 1
    for array in (matrix.data, matrix.indices):
        array[start:end] = array[start:end][::-1].copy()
    matrix.has_sorted_indices = False
    layer = SparseLinear.from_csr(matrix, backend=backend)
    np.testing.assert_allclose(layer.forward(X), wanted, rtol=1e-12)


def test_a_new_layer_has_the_weights_it_is_asked_for() -> None:
    layer = SparseLinear(300, 100, "relu", density=0.05, seed=3)
    assert len(layer.values) == 1500
    assert layer.values.var() == pytest.approx(2 / 15, rel=0.15)
    given = uniform((100, 300), 0.01, np.random.default_rng(0))
    np.testing.assert_array_equal(SparseLinear(300, 100, support=given).indices, given.indices)
    full = SparseLinear(5, 4)
    assert len(full.values) == 20


def test_what_is_no_csr_matrix_is_refused() -> None:
    matrix = matrix_of()
    matrix.data = matrix.data.astype(int)
    with pytest.raises(TypeError, match="values of int64"):
        SparseLinear.from_csr(matrix)
    for other in (csc_array(np.eye(4)), coo_array(np.eye(4)), np.eye(4), [[1.0]]):
        with pytest.raises(TypeError, match="expected a CSR matrix"):
            SparseLinear.from_csr(other)
    matrix = matrix_of()
    first, second = matrix.indptr[2], matrix.indptr[2] + 1
    matrix.indices[second] = matrix.indices[first]
    with pytest.raises(ValueError, match="row 2: a column occurs twice"):
        SparseLinear.from_csr(matrix)


def test_a_bias_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"b of shape \(20,\), got \(30,\)"):
        SparseLinear.from_csr(matrix_of(), b=np.zeros(30))
    with pytest.raises(TypeError, match="b is float32, expected float64"):
        SparseLinear.from_csr(matrix_of(), b=np.zeros(20, np.float32))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("width", [29, 31])
def test_samples_of_another_width_are_refused(backend: str, training: bool, width: int) -> None:
    layer = SparseLinear.from_csr(matrix_of(), backend=backend)
    with pytest.raises(ValueError, match=rf"X of shape \(N, 30\), got \(5, {width}\)"):
        layer.forward(np.ones((5, width)), training)


def test_without_a_support_it_is_sparse_all_the_same() -> None:
    layer = SparseLinear(5, 4, support=None)
    assert len(layer.values) == 20
    assert repr(layer) == "SparseLinear(5, 4, 'identity')"
