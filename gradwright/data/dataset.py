"""A data set in memory or mapped from a file, and the error all readers raise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]


class DataError(ValueError):
    """A data file that cannot be used; the message says what, where and what to do."""


@dataclass(frozen=True)
class Dataset:
    """Samples in rows.

    `X` is (N, D), floats or the bytes of a file. `y` is (N,) of labels 0, ..., K - 1 for a
    classification, (N, K) of whole numbers 0 and 1 for several labels a sample, and (N,) or (N, K)
    of floats for a regression; None where there are none. `classes` names the labels of a
    classification, `targets` the columns of y.
    """

    name: str
    X: Array
    y: Array | None
    classes: tuple[str, ...] | None = None
    features: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.X.ndim != 2:
            raise DataError(f"{self.name}: X has to have two axes, got shape {self.X.shape}")
        if self.y is not None and len(self.y) != len(self.X):
            raise DataError(f"{self.name}: {len(self.X)} samples, but {len(self.y)} targets")
        if self.classes is not None and self.y is not None and len(self.y):
            low, high = int(self.y.min()), int(self.y.max())
            if low < 0 or high >= len(self.classes):
                wrong = low if low < 0 else high
                row = int(np.flatnonzero(self.y == wrong)[0])
                raise DataError(
                    f"{self.name}: label {wrong} in row {row}; there are {len(self.classes)} "
                    f"classes, 0 to {len(self.classes) - 1}"
                )

    def __len__(self) -> int:
        return len(self.X)

    @property
    def is_classification(self) -> bool:
        return self.classes is not None

    @property
    def has_several_labels(self) -> bool:
        """Whether a sample has each of several labels or not."""
        return self.classes is None and self.y is not None and self.y.dtype.kind in "iu"

    @property
    def inputs(self) -> int:
        """Features of a sample."""
        return int(self.X.shape[1])

    @property
    def outputs(self) -> int:
        """Classes, or target values of a sample."""
        if self.classes is not None:
            return len(self.classes)
        return 0 if self.y is None else 1 if self.y.ndim == 1 else int(self.y.shape[1])

    def scaled(self, dtype: DTypeLike = np.float32) -> Dataset:
        """Bytes as floats in [0, 1]; floats in the wanted type."""
        factor = 255 if self.X.dtype == np.uint8 else None
        X = self.X.astype(dtype, copy=False)
        if factor is not None:
            X /= np.asarray(factor, dtype)
        y = self.y
        if y is not None and y.dtype.kind == "f":
            y = y.astype(dtype, copy=False)
        return replace(self, X=X, y=y)

    def take(self, rows: Array | slice) -> Dataset:
        """Some of the samples."""
        return replace(self, X=self.X[rows], y=None if self.y is None else self.y[rows])

    def split(self, fraction: float, seed: int = 0) -> tuple[Dataset, Dataset]:
        """All but a random `fraction` of the samples, and that fraction, at least one of each.

        Labels keep their shares: each class is split for itself.
        """
        if not 0 < fraction < 1:
            raise DataError(f"the fraction that is held out lies between 0 and 1, got {fraction}")
        if len(self) < 2:
            raise DataError(f"{self.name}: {len(self)} samples cannot be split")
        order = np.random.default_rng(seed).permutation(len(self))
        if self.classes is not None and self.y is not None:
            order = order[np.argsort(self.y[order], kind="stable")]
        # Every 1/fraction-th of the shuffled, grouped samples: each class gives its share.
        places = np.arange(len(self))
        held = np.floor((places + 1) * fraction) > np.floor(places * fraction)
        if not held.any():
            held[-1] = True
        if held.all():
            held[0] = False
        return self.take(np.sort(order[~held])), self.take(np.sort(order[held]))
