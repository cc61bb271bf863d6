"""How good predictions are. Classes are integers; every function takes the truth first."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def accuracy(y: Any, predicted: Any, sample_weight: Any = None) -> float:
    """The share of samples that are right; of rows of labels, all of them have to be."""
    y, predicted = _pair(y, predicted)
    right = y == predicted
    return _mean(right.all(axis=1) if right.ndim > 1 else right, sample_weight)


def confusion_matrix(y: Any, predicted: Any, classes: int | None = None) -> Array:
    """Counts (classes, classes): rows are true classes, columns predicted ones."""
    y, predicted = _pair(y, predicted)
    if y.ndim != 1 or y.dtype.kind not in "iub" or predicted.dtype.kind not in "iub":
        raise TypeError("a confusion matrix needs integer classes (N,)")
    count = classes or int(max(y.max(initial=-1), predicted.max(initial=-1))) + 1
    for name, values in (("y", y), ("predicted", predicted)):
        if len(values) and (values.min() < 0 or values.max() >= count):
            raise IndexError(f"{name} holds a class outside 0..{count - 1}")
    cells = np.bincount(y.astype(np.int64) * count + predicted, minlength=count * count)
    return cells.reshape(count, count)


def precision(y: Any, predicted: Any, average: str = "macro") -> float:
    """Of what was predicted as a class, the share that is of it; 0 where nothing was."""
    hits, called, _ = _counts(y, predicted)
    return _averaged(hits, called, average)


def recall(y: Any, predicted: Any, average: str = "macro") -> float:
    """Of a class, the share that was predicted as it; 0 where the class does not occur."""
    hits, _, present = _counts(y, predicted)
    return _averaged(hits, present, average)


def f1(y: Any, predicted: Any, average: str = "macro") -> float:
    """The harmonic mean of precision and recall."""
    hits, called, present = _counts(y, predicted)
    return _averaged(2 * hits, called + present, average)


def top_k_accuracy(y: Any, scores: Any, k: int = 5) -> float:
    """The share of samples whose class has one of the k largest scores (N, classes).

    Of equal scores the lower class comes first.
    """
    y, scores = np.asarray(y), np.asarray(scores)
    if scores.ndim != 2 or y.shape != scores.shape[:1]:
        raise ValueError(f"expected y (N,) and scores (N, K), got {y.shape} and {scores.shape}")
    if not k >= 1:
        raise ValueError(f"expected k >= 1, got {k}")
    own = scores[np.arange(len(y)), y][:, None]
    ahead = (scores > own) | ((scores == own) & (np.arange(scores.shape[1]) < y[:, None]))
    return _mean(ahead.sum(axis=1) < k, None)


def r2(y: Any, predicted: Any, sample_weight: Any = None) -> float:
    """The coefficient of determination, averaged over outputs; 1 is perfect, 0 is the mean.

    Of a constant output it is 1 if predicted exactly, else 0.
    """
    y, predicted = (np.atleast_2d(a.T).T.astype(np.float64) for a in _pair(y, predicted))
    weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    residual = weight @ np.square(y - predicted)
    total = weight @ np.square(y - np.average(y, axis=0, weights=weight))
    constant = np.where(residual == 0, 1.0, 0.0)
    found = 1 - np.divide(residual, total, out=1 - constant, where=total > 0)
    return float(found.mean())


def mean_absolute_error(y: Any, predicted: Any, sample_weight: Any = None) -> float:
    """The mean distance of prediction and truth."""
    y, predicted = _pair(y, predicted)
    error = np.abs(predicted.astype(np.float64) - y)
    return _mean(error.mean(axis=1) if error.ndim > 1 else error, sample_weight)


def mean_squared_error(y: Any, predicted: Any, sample_weight: Any = None) -> float:
    """The mean square of the distance of prediction and truth."""
    y, predicted = _pair(y, predicted)
    error = np.square(predicted.astype(np.float64) - y)
    return _mean(error.mean(axis=1) if error.ndim > 1 else error, sample_weight)


def _pair(y: Any, predicted: Any) -> tuple[Array, Array]:
    y, predicted = np.asarray(y), np.asarray(predicted)
    if y.shape != predicted.shape:
        raise ValueError(f"y has shape {y.shape}, the prediction {predicted.shape}")
    if len(y) == 0:
        raise ValueError("there are no samples")
    return y, predicted


def _mean(values: Array, weight: Any) -> float:
    return float(np.average(values, weights=weight))


def _counts(y: Any, predicted: Any) -> tuple[Array, Array, Array]:
    """Hits, predictions and samples of every class, or of every label of rows of labels."""
    y, predicted = _pair(y, predicted)
    if y.ndim == 2:
        hits, called, present = y * predicted, predicted, y
        return tuple(a.sum(axis=0).astype(np.float64) for a in (hits, called, present))
    cells = confusion_matrix(y, predicted).astype(np.float64)
    return np.diag(cells), cells.sum(axis=0), cells.sum(axis=1)


def _averaged(hits: Array, of: Array, average: str) -> float:
    """ "macro" is the mean over classes, "micro" counts all samples, "binary" is class 1."""
    if average == "micro":
        hits, of = hits.sum(keepdims=True), of.sum(keepdims=True)
    elif average == "binary":
        if len(hits) > 2:
            raise ValueError(f"average='binary' is for two classes, there are {len(hits)}")
        hits, of = hits[1:], of[1:]
    elif average != "macro":
        raise ValueError(f"average is {average!r}, expected 'macro', 'micro' or 'binary'")
    shares = np.divide(hits, of, out=np.zeros_like(hits), where=of > 0)
    return float(shares.mean()) if len(shares) else 0.0
