"""Small sets that need no download; the same seed gives the same bits."""

from __future__ import annotations

import numpy as np

from .dataset import DataError, Dataset


def xor(samples: int = 4, noise: float = 0.0, seed: int = 0) -> Dataset:
    """The corners of the unit square, over and over; the label is the exclusive or."""
    _check(samples, noise)
    corners = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    X = corners[np.arange(samples) % 4]
    y = (X[:, 0] != X[:, 1]).astype(np.int64)
    X = X + noise * np.random.default_rng(seed).standard_normal(X.shape)
    return Dataset("xor", X, y, ("0", "1"), ("x1", "x2"))


def spiral(samples: int = 600, classes: int = 3, noise: float = 0.15, seed: int = 0) -> Dataset:
    """Arms that wind once around the origin, one a class."""
    _check(samples, noise, classes)
    rng = np.random.default_rng(seed)
    y = np.arange(samples) % classes
    radius = np.sqrt(rng.uniform(0.01, 1, samples))
    angle = 2 * np.pi * (radius + y / classes) + noise * rng.standard_normal(samples)
    X = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    names = tuple(str(i) for i in range(classes))
    return Dataset("spiral", X, y.astype(np.int64), names, ("x1", "x2"))


def blobs(
    samples: int = 600, classes: int = 3, features: int = 2, noise: float = 0.5, seed: int = 0
) -> Dataset:
    """Normally distributed clouds around centres that lie far apart."""
    _check(samples, noise, classes)
    if features < 1:
        raise DataError(f"blobs have at least one feature, got {features}")
    rng = np.random.default_rng(seed)
    centres = np.zeros((classes, features))
    angle = 2 * np.pi * np.arange(classes) / classes
    centres[:, 0] = 4 * np.cos(angle) if features > 1 else 4 * np.arange(classes)
    if features > 1:
        centres[:, 1] = 4 * np.sin(angle)
    y = np.arange(samples) % classes
    X = centres[y] + noise * rng.standard_normal((samples, features))
    return Dataset("blobs", X, y.astype(np.int64), tuple(str(i) for i in range(classes)))


def sine(samples: int = 400, noise: float = 0.0, seed: int = 0) -> Dataset:
    """A regression: y = sin(x) for x in [-pi, pi]."""
    _check(samples, noise)
    rng = np.random.default_rng(seed)
    X = np.linspace(-np.pi, np.pi, samples)[:, None]
    return Dataset("sine", X, np.sin(X) + noise * rng.standard_normal(X.shape), None, ("x",))


def digits() -> Dataset:
    """scikit-learn's 1797 handwritten digits, 8 x 8 pixels in [0, 1]; needs scikit-learn."""
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError:
        raise DataError(
            "the digits come with scikit-learn: pip install 'gradwright[sklearn]'"
        ) from None
    found = load_digits()
    classes = tuple(str(i) for i in range(10))
    return Dataset("digits", found.data / 16, found.target.astype(np.int64), classes)


def _check(samples: int, noise: float, classes: int = 2) -> None:
    if samples < 1 or classes < 2 or not 0 <= noise < float("inf"):
        raise DataError(
            "expected samples >= 1, classes >= 2 and a finite noise >= 0, got "
            f"{samples}, {classes} and {noise}"
        )
