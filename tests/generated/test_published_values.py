"""Values that other projects publish in their documentation, reproduced by both backends.

Each row names its source. Tolerances follow the digits printed there, and the float32 they come from.
"""

import importlib
import os
from typing import Any

import numpy as np
import pytest

BACKENDS = ("numpy", "cpp")
TF = "TensorFlow API documentation"
ONNX = "ONNX backend node tests"
JAX = "JAX quickstart and autodiff cookbook"
SCIPY = "SciPy reference"
SKLEARN = "scikit-learn user guide, model evaluation"

ERRORS = ([[0.6, 0.4], [0.4, 0.6]], [[0, 1], [0, 0]])
SOFTMAX = [[1, 0.5, 0.2, 3], [1, -1, 7, 3], [2, 12, 13, 3]]
PROBABILITIES = [
    [1.05877e-01, 6.42177e-02, 4.75736e-02, 7.82332e-01],
    [2.42746e-03, 3.28521e-04, 9.79307e-01, 1.79366e-02],
    [1.22094e-05, 2.68929e-01, 7.31025e-01, 3.31885e-05],
]
LOGITS = ([[-18.6, 0.51], [2.94, -12.8]], [[0, 1], [0, 0]])
CATEGORIES = ([[0.05, 0.95, 0], [0.1, 0.8, 0.1]], [[0, 1, 0], [0, 0, 1]])
ONES = np.ones(3)

# source, kernel, arrays, hyperparameters, reduction, value, tolerance
VALUES: list[tuple[str, str, tuple[Any, ...], dict[str, float], str, Any, float]] = [
    (TF, "softplus", ([[-20, -1, 0, 1, 20]],), {}, "",
     [[2.0611537e-09, 0.31326166, 0.69314718, 1.3132616, 20]], 1e-7),
    (TF, "gelu", ([[-3, -1, 0, 1, 3]],), {}, "",
     [[-0.00404951, -0.15865529, 0, 0.8413447, 2.9959507]], 2e-7),
    (TF, "gelu_tanh", ([[-3, -1, 0, 1, 3]],), {}, "",
     [[-0.00363752, -0.15880796, 0, 0.841192, 2.9963627]], 2e-7),
    (TF, "softsign", ([[-1, 0, 1]],), {}, "", [[-0.5, 0, 0.5]], 0),
    (TF, "tanh", ([[-3, -1, 0, 1, 3]],), {}, "",
     [[-0.9950547, -0.7615942, 0, 0.7615942, 0.9950547]], 1e-7),
    (ONNX, "elu", ([[-1, 0, 1]],), {"alpha": 2.0}, "", [[-1.2642411, 0, 1]], 1e-7),
    (ONNX, "leaky_relu", ([[-1, 0, 1]],), {"alpha": 0.1}, "", [[-0.1, 0, 1]], 1e-8),
    (ONNX, "sigmoid", ([[-1, 0, 1]],), {}, "", [[0.26894143, 0.5, 0.7310586]], 1e-7),
    (ONNX, "softmax", ([[-1, 0, 1]],), {}, "", [[0.09003058, 0.24472848, 0.66524094]], 1e-7),
    (ONNX, "log_softmax", ([[-1, 0, 1]],), {}, "", [[-2.4076061, -1.407606, -0.407606]], 1e-6),
    (SCIPY, "softmax", (SOFTMAX,), {}, "", PROBABILITIES, 5e-7),
    (SCIPY, "log_softmax", ([[1000, 1]],), {}, "", [[0, -999]], 0),
    (TF, "huber", ERRORS, {}, "mean", 0.155, 5e-4),
    (TF, "huber", ERRORS, {}, "sum", 2 * 0.31, 5e-4),
    (TF, "weighted_huber", (*ERRORS, [1, 0]), {}, "mean", 0.09, 5e-4),
    (TF, "binary_cross_entropy", LOGITS, {}, "mean", 2 * 0.865, 1e-3),
    (TF, "binary_cross_entropy", LOGITS, {}, "sum", 2 * 1.730, 1e-3),
    (TF, "weighted_binary_cross_entropy", (*LOGITS, [0.8, 0.2], [1, 1]), {}, "mean",
     2 * 0.243, 1e-3),
    (TF, "cross_entropy", CATEGORIES, {}, "mean", 1.177, 5e-4),
    (TF, "cross_entropy", (CATEGORIES[0], np.array([1, 2])), {}, "mean", 1.177, 5e-4),
    (TF, "cross_entropy", (CATEGORIES[0], [[0, 0.3, 0], [0, 0, 0.7]]), {}, "mean", 0.814, 5e-4),
    (TF, "weighted_softmax_cross_entropy", (*CATEGORIES, [0.3, 0.7], ONES), {"smoothing": 0.2},
     "mean", 0.57618, 5e-6),
    (SKLEARN, "mean_squared_error", ([[2.5], [0], [2], [8]], [[3], [-0.5], [2], [7]]), {}, "mean",
     0.375, 1e-7),
    (SKLEARN, "mean_absolute_error", ([[2.5], [0], [2], [8]], [[3], [-0.5], [2], [7]]), {},
     "mean", 0.5, 1e-7),
    (SKLEARN, "mean_absolute_error", ([[0, 2], [-1, 2], [8, -5]], [[0.5, 1], [-1, 1], [7, -6]]),
     {}, "mean", 0.75, 1e-7),
]  # fmt: skip

# source, kernel, arrays, upstream, the gradient of the first array, tolerance
GRADIENTS: list[tuple[str, str, tuple[Any, ...], Any, Any, float]] = [
    (JAX, "sigmoid", ([[0, 1, 2]],), ONES[None], [[0.25, 0.19661194, 0.10499357]], 1e-7),
    (JAX, "tanh", ([[2]],), [[1]], [[0.070650816]], 1e-7),
    (JAX, "relu", ([[-1, 0, 1]],), ONES[None], [[0, 0, 1]], 0),
    (TF, "softplus", ([[0, 100]],), [[1, 1]], [[0.5, 1]], 0),
    (SCIPY, "softmax_cross_entropy", (SOFTMAX, np.array([3, 2, 0])), 3.0,
     PROBABILITIES - np.eye(4)[[3, 2, 0]], 5e-7),
]  # fmt: skip


def face(backend: str, name: str) -> Any:
    try:
        return importlib.import_module(f"gradwright.generated.{backend}.{name}")
    except ImportError:
        if backend == "cpp" and not os.environ.get("CI"):
            pytest.skip("gradwright.generated.cpp is not built; run `make build`")
        raise


def array(values: Any, dtype: str) -> Any:
    """Labels stay integers."""
    labels = isinstance(values, np.ndarray) and values.dtype.kind == "i"
    return values if labels else np.array(values, dtype)


@pytest.mark.parametrize("row", VALUES, ids=[f"{r[1]}, {r[0]} {i}" for i, r in enumerate(VALUES)])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_published_value_is_reproduced(backend: str, dtype: str, row: Any) -> None:
    _, name, arrays, parameters, reduction, wanted, tolerance = row
    options = {"reduction": reduction} if reduction else {}
    given = (array(a, dtype) for a in arrays)
    found = face(backend, name).forward(*given, **parameters, **options)
    found = found[0] if isinstance(found, tuple) else found
    np.testing.assert_allclose(found, wanted, rtol=max(tolerance, 3e-7), atol=tolerance)


@pytest.mark.parametrize("row", GRADIENTS, ids=[f"{r[1]}, {r[0]}" for r in GRADIENTS])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_published_gradient_is_reproduced(backend: str, dtype: str, row: Any) -> None:
    _, name, arrays, upstream, wanted, tolerance = row
    _, pullback = face(backend, name).vjp(*(array(a, dtype) for a in arrays))
    given = upstream if isinstance(upstream, float) else array(upstream, dtype)
    np.testing.assert_allclose(pullback(given), wanted, rtol=3e-7, atol=tolerance)
