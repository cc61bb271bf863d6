"""One sparse layer on its own: CSR in, CSR out."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradwright.layer import Layer, initial_arrays
from gradwright.sparse.supports import from_csr
from gradwright.specification import Named, choices, specify

Array = np.ndarray[Any, np.dtype[Any]]


class SparseLinear(Layer):
    """A `Layer` whose weights are stored as CSR, by generated kernels that do nothing dense.

    >>> layer = SparseLinear(300, 100, "relu", density=0.05)
    >>> A = layer.forward(np.ones((2, 300), np.float32), training=True)
    >>> DX = layer.backward(np.ones_like(A))
    >>> layer.DW.shape
    (1500,)

    `values`, `indices` and `indptr` are the layer's own arrays, which `scipy.sparse.csr_array` takes
    without copying: `csr_array((layer.values, layer.indices, layer.indptr), layer.shape)`. DW is the
    gradient of `values`.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        activation: Named = None,
        *,
        density: float = 1.0,
        support: Any = "uniform",
        init: Named = "he",
        dtype: Any = "float32",
        seed: int = 0,
        backend: str = "numpy",
    ) -> None:
        support = "uniform" if support is None else support
        described = specify(
            [n_in, n_out], [activation], init=init, dtype=dtype, seed=seed, density=density,
            support=support,
        )  # fmt: skip
        (chosen,) = choices([n_in, n_out], density, support)
        patterns = {} if chosen.pattern is None else {1: chosen.pattern}
        arrays = initial_arrays(described, patterns)
        self.look_at(described.layers[0], backend, arrays, "layer1.", seed, 1)

    @classmethod
    def from_csr(
        cls, matrix: Any, b: Array | None = None, activation: Named = None, backend: str = "numpy"
    ) -> SparseLinear:
        """The layer of a `scipy.sparse.csr_array`, or of anything with its data, indices, indptr.

        Its arrays are not copied: training the layer changes the matrix. Kernels of the backend
        "cpp" copy indices of 64 bits in every call. Raises TypeError for what is no CSR matrix of
        float32 or float64, ValueError for a pattern that is none; the message names the row.
        """
        parts = ("data", "indices", "indptr", "shape")
        if getattr(matrix, "format", "csr") != "csr" or not all(hasattr(matrix, p) for p in parts):
            kind = getattr(matrix, "format", None) or type(matrix).__name__
            raise TypeError(f"expected a CSR matrix, got {kind}; scipy.sparse.csr_array makes one")
        values = np.asarray(matrix.data)
        if values.dtype not in (np.float32, np.float64):
            raise TypeError(f"the matrix has values of {values.dtype}, expected float32 or float64")
        K, D = matrix.shape
        support = from_csr((K, D), matrix.indptr, matrix.indices)
        if values.shape != (support.count,):
            raise ValueError(f"expected {support.count} values, got shape {values.shape}")
        described = specify([D, K], [activation], dtype=values.dtype, support=support)
        arrays = {
            "layer1.W.values": values, "layer1.W.indices": np.asarray(matrix.indices),
            "layer1.W.indptr": np.asarray(matrix.indptr),
            "layer1.b": np.zeros(K, values.dtype) if b is None else np.asarray(b),
        }  # fmt: skip
        if arrays["layer1.b"].dtype != values.dtype:
            raise TypeError(f"b is {arrays['layer1.b'].dtype}, expected {values.dtype}")
        if arrays["layer1.b"].shape != (K,):
            raise ValueError(f"expected b of shape ({K},), got {arrays['layer1.b'].shape}")
        layer = cls.__new__(cls)
        layer.look_at(described.layers[0], backend, arrays, "layer1.", 0, 1)
        return layer

    @property
    def shape(self) -> tuple[int, int]:
        """(n_out, n_in), the shape of the matrix."""
        return self.specification.outputs, self.specification.inputs

    @property
    def values(self) -> Array:
        """The weights, row by row."""
        return self.parameters["W.values"]

    @property
    def indices(self) -> Array:
        """The column of every weight."""
        return self.parameters["W.indices"]

    @property
    def indptr(self) -> Array:
        """Where every row begins, and the number of weights."""
        return self.parameters["W.indptr"]
