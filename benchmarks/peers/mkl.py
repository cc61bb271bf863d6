"""Sparse training on Intel's MKL, as the library of the paper does it (nerva).

Activations are stored sample by sample. Y = X W^T and DX = DY W are `mkl_sparse_s_mm`; for DW a dense
product makes a tenth of the rows at a time, of which the weights that exist are taken. The handle of
the matrix is made again after an update.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np

from .problem import Array, Csr, Problem
from .scipy_csr import block_places

_PLAIN, _TRANSPOSED = 10, 11  # sparse_operation_t
_BY_COLUMNS = 102  # sparse_layout_t
_CBLAS_ROWS, _CBLAS_PLAIN, _CBLAS_TRANSPOSED = 101, 111, 112
_Pointer = ctypes.c_void_p
_int, _float = ctypes.c_int, ctypes.c_float


class _Description(ctypes.Structure):
    _fields_ = (("type", _int), ("mode", _int), ("diag", _int))


_GENERAL = _Description(20, 42, 50)


def _library() -> ctypes.CDLL:
    """libmkl_rt of the package mkl."""
    files = importlib.metadata.files("mkl") or []
    path = next(p for p in (Path(str(f.locate())) for f in files) if p.name.startswith("libmkl_rt."))
    return ctypes.CDLL(str(path))


class Reference:
    """Gradient descent."""

    def __init__(self, problem: Problem) -> None:
        self.mkl = _library()
        self.mkl.mkl_sparse_s_mm.argtypes = [
            _int, _float, _Pointer, _Description, _int, _Pointer, _int, _int, _float, _Pointer, _int,
        ]  # fmt: skip
        self.mkl.mkl_sparse_destroy.argtypes = [_Pointer]
        self.mkl.cblas_sgemm.argtypes = [
            _int, _int, _int, _int, _int, _int, _float, _Pointer, _int, _Pointer, _int, _float,
            _Pointer, _int,
        ]  # fmt: skip
        self.mkl.MKL_Set_Num_Threads(problem.threads)
        self.rate = np.float32(problem.learning_rate)
        self.X, self.labels = problem.X, problem.labels
        self.T = np.eye(problem.sizes[-1], dtype=np.float32)[problem.labels]
        self.W = [Csr(w.values.copy(), w.indices, w.indptr, w.shape) for w in problem.csr()]
        self.b = [np.zeros(W.shape[0], np.float32) for W in self.W]
        self.DW = [np.empty_like(W.values) for W in self.W]
        self.places = [block_places(W) for W in self.W]
        most = max(max(4, W.shape[0] // 10) * W.shape[1] for W in self.W)
        self.block = np.empty(most, np.float32)
        batch, inner = problem.batch, problem.sizes[1:]
        self.A = [self.X, *(np.empty((batch, K), np.float32) for K in inner)]
        self.D = [np.empty((batch, K), np.float32) for K in inner]
        self.handles = [self._handle(W) for W in self.W]

    def _handle(self, W: Csr) -> Any:
        handle, at = _Pointer(), W.indptr.ctypes.data
        status = self.mkl.mkl_sparse_s_create_csr(
            ctypes.byref(handle), 0, *W.shape, _Pointer(at), _Pointer(at + W.indptr.itemsize),
            _Pointer(W.indices.ctypes.data), _Pointer(W.values.ctypes.data),
        )  # fmt: skip
        if status != 0:
            raise RuntimeError(f"mkl_sparse_s_create_csr: status {status}")
        return handle

    def _multiply(self, operation: int, number: int, X: Array, Y: Array) -> None:
        """Y = X W^T, or Y = X W where the operation is the transposed one; samples are columns."""
        status = self.mkl.mkl_sparse_s_mm(
            operation, 1.0, self.handles[number], _GENERAL, _BY_COLUMNS, X.ctypes.data, len(X),
            X.shape[1], 0.0, Y.ctypes.data, Y.shape[1],
        )  # fmt: skip
        if status != 0:
            raise RuntimeError(f"mkl_sparse_s_mm: status {status}")

    def forward(self) -> Array:
        last = len(self.W)
        for number, b in enumerate(self.b):
            Z = self.A[number + 1]
            self._multiply(_PLAIN, number, self.A[number], Z)
            Z += b
            if number + 1 < last:
                np.maximum(Z, 0, out=Z)
        return self.A[-1]

    def _weight_gradient(self, number: int) -> None:
        D, A, DW = self.D[number], self.A[number], self.DW[number]
        for rows, own, places in self.places[number]:
            height = rows.stop - rows.start
            self.mkl.cblas_sgemm(
                _CBLAS_ROWS, _CBLAS_TRANSPOSED, _CBLAS_PLAIN, height, A.shape[1], len(A), 1.0,
                D.ctypes.data + rows.start * D.itemsize, D.shape[1], A.ctypes.data, A.shape[1], 0.0,
                self.block.ctypes.data, A.shape[1],
            )  # fmt: skip
            np.take(self.block, places, out=DW[own], mode="clip")

    def step(self) -> None:
        Z, D = self.forward(), self.D[-1]
        np.subtract(Z, Z.max(1, keepdims=True), out=D)
        np.exp(D, out=D)
        D /= D.sum(1, keepdims=True)
        D -= self.T
        D /= np.float32(len(D))
        for number in reversed(range(len(self.W))):
            W, D = self.W[number], self.D[number]
            self._weight_gradient(number)
            if number:
                below = self.D[number - 1]
                self._multiply(_TRANSPOSED, number, D, below)
                below *= self.A[number] > 0
            self.b[number] -= self.rate * D.sum(0)
            self.DW[number] *= self.rate
            W.values[...] -= self.DW[number]
            self.mkl.mkl_sparse_destroy(self.handles[number])
            self.handles[number] = self._handle(W)

    def run(self, steps: int) -> object:
        for _ in range(steps):
            self.step()
        return None

    def loss(self) -> float:
        Z = self.forward().astype(np.float64)
        Z -= Z.max(1, keepdims=True)
        return float((np.log(np.exp(Z).sum(1)) - Z[np.arange(len(Z)), self.labels]).mean())


def reference(problem: Problem) -> Reference:
    """Gradient descent only."""
    return Reference(problem)
