"""Careful hand-written NumPy: the peers of the generated modules.

Each function is a forward and a backward pass, and keeps what the generated one promises: arguments
are checked, warnings are silent, NaN stays NaN, infinities have their limits, means are exact for
constant data and hold their digits for data far from zero. They may keep what the generated modules
compute again, and gelu may use SciPy, which those do without.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray


def check(**arrays: Array) -> None:
    """TypeError or ValueError unless all are matrices of one shape and one dtype of floats."""
    first = next(iter(arrays.values()))
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype not in (np.float32, np.float64):
            raise TypeError(f"{name} is no array of float32 or float64")
        if array.dtype != first.dtype:
            raise TypeError(f"{name} is {array.dtype}, expected {first.dtype}")
        if array.ndim != 2 or array.shape != first.shape:
            raise ValueError(f"{name} has shape {array.shape}, expected {first.shape}")


def _shifted(X: Array) -> Array:
    """X less the maxima of its rows; a row of -inf stays one."""
    return X - X.max(axis=1, keepdims=True, initial=np.finfo(X.dtype).min)


@np.errstate(all="ignore")
def softmax(X: Array, DY: Array) -> Array:
    check(X=X)
    Y = _shifted(X)
    np.exp(Y, out=Y)
    Y /= np.maximum(Y.sum(axis=1, keepdims=True), 1)
    check(DY=DY, Y=Y)
    DX = DY - np.vecdot(Y, DY)[:, None]
    DX *= Y
    return DX


@np.errstate(all="ignore")
def log_softmax(X: Array, DY: Array) -> Array:
    check(X=X)
    Y = _shifted(X)
    Y -= np.log(np.maximum(np.exp(Y).sum(axis=1, keepdims=True), 1))
    check(DY=DY, Y=Y)
    DX = np.exp(Y)
    DX *= DY.sum(axis=1, keepdims=True)
    np.subtract(DY, DX, out=DX)
    return DX


@np.errstate(all="ignore")
def relu(X: Array, DY: Array) -> Array:
    check(X=X)
    np.maximum(X, 0)
    check(DY=DY, X=X)
    DX = DY * (X > 0)
    DX[np.isnan(X)] = np.nan
    return DX


@np.errstate(all="ignore")
def gelu(X: Array, DY: Array) -> Array:
    from scipy.special import erfc  # NumPy has none

    check(X=X)
    cdf = erfc(-X * X.dtype.type(0.7071067811865476))
    cdf *= 0.5
    np.maximum(X, -10000) * cdf  # 0 at -inf
    check(DY=DY, X=X)
    cdf = erfc(-X * X.dtype.type(0.7071067811865476))
    cdf *= 0.5
    X = np.clip(X, -10000, 10000)
    DX = X * X
    DX *= -0.5
    np.exp(DX, out=DX)
    DX *= X
    DX *= X.dtype.type(0.3989422804014327)
    DX += cdf
    DX *= DY
    return DX


def _centred(X: Array, axis: int) -> Array:
    """X less its means, which have more digits than X."""
    anchor = X[:, :1] if axis else X[:1]
    Z = X - anchor
    Z -= Z.mean(axis=axis, keepdims=True, dtype=np.float64).astype(X.dtype)
    return Z


def check_columns(X: Array, **vectors: Array) -> None:
    """TypeError or ValueError unless all are rows that fit X."""
    for name, vector in vectors.items():
        if not isinstance(vector, np.ndarray) or vector.dtype != X.dtype:
            raise TypeError(f"{name} is no array of {X.dtype}")
        if vector.shape != X.shape[1:]:
            raise ValueError(f"{name} has shape {vector.shape}, expected {X.shape[1:]}")


@np.errstate(all="ignore")
def batchnorm(X: Array, gamma: Array, beta: Array, DY: Array) -> tuple[Array, Array, Array]:
    check(X=X)
    check_columns(X, gamma=gamma, beta=beta)
    n = len(X)
    Z = _centred(X, 0)
    inv_std = (1 / np.sqrt(np.einsum("nk,nk->k", Z, Z) / n + 1e-5)).astype(X.dtype)
    Z *= inv_std
    Y = gamma * Z
    Y += beta
    check(DY=DY, Z=Z)
    Dgamma, Dbeta = np.einsum("nk,nk->k", Z, DY), DY.sum(axis=0)
    DX = Z * (Dgamma / n)
    np.subtract(DY, DX, out=DX)
    DX -= Dbeta / n
    DX *= gamma * inv_std
    return DX, Dgamma, Dbeta


@np.errstate(all="ignore")
def layernorm(X: Array, gamma: Array, beta: Array, DY: Array) -> tuple[Array, Array, Array]:
    check(X=X)
    check_columns(X, gamma=gamma, beta=beta)
    k = X.shape[1]
    Z = _centred(X, 1)
    inv_std = (1 / np.sqrt(np.vecdot(Z, Z)[:, None] / k + 1e-5)).astype(X.dtype)
    Z *= inv_std
    Y = gamma * Z
    Y += beta
    check(DY=DY, Z=Z)
    Dgamma, Dbeta = np.einsum("nk,nk->k", Z, DY), DY.sum(axis=0)
    scaled = gamma * DY
    DX = Z * (np.vecdot(Z, scaled)[:, None] / k)
    np.subtract(scaled, DX, out=DX)
    DX -= scaled.mean(axis=1, keepdims=True)
    DX *= inv_std
    return DX, Dgamma, Dbeta


PEERS: dict[str, Callable[..., Any]] = {
    f.__name__: f for f in (softmax, log_softmax, relu, gelu, batchnorm, layernorm)
}
