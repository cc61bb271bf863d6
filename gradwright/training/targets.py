"""Targets: what users give for y, what loss kernels take, and what outputs mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gradwright import kernels
from gradwright.specification import Specification
from gradwright.training.arrays import numeric, require_finite

Array = np.ndarray[Any, np.dtype[Any]]


def encode(spec: Specification, y: Any, first_row: int = 0) -> Array:
    """Targets as kernels take them: integer labels (N,) or a matrix (N, K) of the network's dtype.

    Raises IndexError for a label out of range, TypeError for labels that are no integers, and
    ValueError for another shape, a missing value, or a probability outside [0, 1].
    """
    T = numeric("y", y)
    K = spec.sizes[-1]
    require_shape(spec, T)
    if T.ndim == 1 and spec.task in ("multiclass", "multilabel"):
        T = _labels(T, K, first_row)
        if not spec.label_smoothing:
            return T
        T = np.eye(K, dtype=spec.dtype)[T]
    elif T.ndim == 1:
        T = T[:, None]
    require_finite("y", T, first_row)
    if spec.task != "regression":
        _require_shares(T, first_row)
    matrix = np.ascontiguousarray(T, spec.dtype)
    if spec.label_smoothing:
        share = spec.label_smoothing / (K if spec.task == "multiclass" else 2)
        matrix = (matrix * (1 - spec.label_smoothing) + share).astype(spec.dtype)
    return matrix


def require_shape(spec: Specification, T: Array) -> None:
    """Refuse targets that are neither one row a sample nor, where that is enough, one number."""
    K = spec.sizes[-1]
    one_each = T.ndim == 1 and (K == 1 or spec.task in ("multiclass", "multilabel"))
    if not one_each and T.shape[1:] != (K,):
        labels = " or integer labels (N,)" if spec.task == "multiclass" else ""
        raise ValueError(f"expected y of shape (N, {K}){labels}, got {T.shape}")


def _labels(T: Array, K: int, first_row: int) -> Array:
    if T.dtype.kind not in "iu":
        raise TypeError(f"y has dtype {T.dtype}; labels are integers, give y.astype(int)")
    if len(T) and (T.min() < 0 or T.max() >= K):
        row = int(np.flatnonzero((T < 0) | (T >= K))[0])
        raise IndexError(f"label {T[row]} at y[{first_row + row}] is outside 0..{K - 1}")
    return np.ascontiguousarray(T, np.int64)


def _require_shares(T: Array, first_row: int) -> None:
    if T.size and (T.min() < 0 or T.max() > 1):
        row, column = np.argwhere((T < 0) | (T > 1))[0]
        if T.dtype.kind in "iub":
            raise IndexError(f"label {T[row, column]} at y[{first_row + row}] is neither 0 nor 1")
        raise ValueError(
            f"y[{first_row + row}, {column}] is {T[row, column]}, expected a share in [0, 1]"
        )


def weights(
    spec: Specification, sample_weight: Any, count: int, class_weight: Any = None, T: Any = None
) -> Array | None:
    """One weight >= 0 for each sample, of the network's dtype; None where all are 1."""
    if sample_weight is None and class_weight is None:
        return None
    weight = np.ones(count)
    if sample_weight is not None:
        weight = numeric("sample_weight", sample_weight).astype(np.float64)
        if weight.shape != (count,):
            raise ValueError(f"expected sample_weight of shape ({count},), got {weight.shape}")
        require_finite("sample_weight", weight)
        if (weight < 0).any():
            row = int(np.flatnonzero(weight < 0)[0])
            raise ValueError(f"sample_weight[{row}] is {weight[row]}, expected >= 0")
    if class_weight is not None:
        weight = weight * _of_classes(spec, class_weight, T)
    return weight.astype(spec.dtype)


def _of_classes(spec: Specification, class_weight: Any, T: Array) -> Array:
    """The weight of every sample's class; of soft targets, the mean over classes."""
    K = 2 if spec.task == "binary" else spec.sizes[-1]
    if spec.task not in ("multiclass", "binary"):
        raise ValueError(f"class_weight needs classes; the task is {spec.task}")
    if T.ndim == 1:
        shares = np.eye(K)[T]
    elif spec.task == "binary":
        shares = np.hstack([1 - T, T])
    else:
        shares = T.astype(np.float64)
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(f"class_weight is {class_weight!r}, expected 'balanced' or numbers")
        counts = shares.sum(axis=0)
        each = np.divide(len(T), K * counts, out=np.zeros(K), where=counts > 0)
    elif isinstance(class_weight, Mapping):
        for key in class_weight:
            if isinstance(key, bool) or not isinstance(key, (int, np.integer)) or not 0 <= key < K:
                raise ValueError(f"class_weight: there is no class {key!r} in 0..{K - 1}")
        each = np.array([class_weight.get(k, 1.0) for k in range(K)], np.float64)
    else:
        each = numeric("class_weight", class_weight).astype(np.float64)
        if each.shape != (K,):
            raise ValueError(f"expected {K} class weights, got shape {each.shape}")
    if not np.isfinite(each).all() or (each < 0).any():
        raise ValueError(f"class weights have to be finite and >= 0, got {each.tolist()}")
    result: Array = shares @ each
    return result


def decode(spec: Specification, outputs: Array) -> Array:
    """The prediction that outputs mean."""
    if spec.task == "multiclass":
        return np.asarray(outputs.argmax(axis=1))
    if spec.task == "regression":
        return outputs
    scores = spec.layers[-1].activation == "identity"  # margins or logits, not probabilities
    found = (outputs > (0 if scores else 0.5)).astype(np.int64)
    return found[:, 0] if spec.task == "binary" else found


def probabilities(spec: Specification, outputs: Array) -> Array:
    """Outputs as probabilities of classes; ValueError for a regression."""
    output = spec.layers[-1].activation
    if spec.task == "regression" or spec.loss == "hinge":
        raise ValueError(f"the loss {spec.loss} gives no probabilities; use predict")
    if output == "identity":
        name = "softmax" if spec.task == "multiclass" else "sigmoid"
        outputs = np.asarray(kernels.module("numpy", name).forward(outputs))
    elif output == "log_softmax":
        outputs = np.exp(outputs)
    outputs = np.asarray(outputs)
    return np.hstack([1 - outputs, outputs]) if spec.task == "binary" else outputs
