"""Metrics of a network's outputs: what `score` returns and what `fit(metrics=...)` records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradwright import metrics
from gradwright.kernels import unknown
from gradwright.specification import Specification
from gradwright.training import targets as encoding

Array = np.ndarray[Any, np.dtype[Any]]
Metric = Callable[[Any, Array], float]
_ALIASES = {"mae": "mean_absolute_error", "mse": "mean_squared_error", "top_k": "top_k_accuracy"}
_OF_CLASSES = ("accuracy", "precision", "recall", "f1", "top_k_accuracy")
_OF_NUMBERS = ("r2", "mean_absolute_error", "mean_squared_error")


def score(spec: Specification, y: Any, outputs: Array, sample_weight: Any = None) -> float:
    """Accuracy of classes, R^2 of a regression."""
    truth = _truth(spec, y)
    function: Callable[..., float] = (
        metrics.r2 if spec.task == "regression" else metrics.accuracy
    )
    return float(function(truth, encoding.decode(spec, outputs), sample_weight))


def evaluator(spec: Specification, item: Any) -> tuple[str, Metric]:
    """A metric by name, (name, {option: value}) or as a function of truth and prediction."""
    if callable(item):
        return item.__name__, lambda y, outputs: float(
            item(_truth(spec, y), encoding.decode(spec, outputs))
        )
    name, options = item if isinstance(item, (tuple, list)) else (item, {})
    known = _OF_NUMBERS if spec.task == "regression" else _OF_CLASSES
    full = _ALIASES.get(str(name), str(name))
    if full not in known:
        raise ValueError(unknown(f"metric of a {spec.task} network", name, known))
    function = getattr(metrics, full)
    if full == "top_k_accuracy":
        return name, lambda y, outputs: float(function(_truth(spec, y), outputs, **options))
    return name, lambda y, outputs: float(
        function(_truth(spec, y), encoding.decode(spec, outputs), **options)
    )


def _truth(spec: Specification, y: Any) -> Array:
    """Targets in the form of predictions."""
    array = np.asarray(y)
    if spec.task == "regression":
        return array[:, None] if array.ndim == 1 and spec.sizes[-1] == 1 else array
    if spec.task == "multiclass":
        return np.asarray(array.argmax(axis=1)) if array.ndim == 2 else array
    if spec.task == "multilabel" and array.ndim == 1:
        return np.asarray(np.eye(spec.sizes[-1], dtype=np.int64)[array])
    found = np.asarray(array > 0.5, np.int64)
    return found.reshape(-1) if spec.task == "binary" else found
