"""Arrays a user gives: what they may be, and where a value is missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
_BLOCK_ENTRIES = 1 << 20


def as_matrix(name: str, value: Any, width: int | None, dtype: str | None) -> Array:
    """Samples (N, width) in a dtype and in row order; with dtype None, as they are.

    Raises TypeError for what holds no real numbers, ValueError for another shape.
    """
    array = numeric(name, value)
    if array.ndim != 2 or (width is not None and array.shape[1] != width):
        wanted = f"(N, {width})" if width is not None else "two axes"
        hint = "; one sample is X[None]" if array.ndim == 1 and len(array) == width else ""
        raise ValueError(f"expected {name} of shape {wanted}, got {array.shape}{hint}")
    return array if dtype is None else np.ascontiguousarray(array, dtype)


def numeric(name: str, value: Any) -> Array:
    """An array of real numbers: float, integer or bool."""
    if type(value).__module__.startswith("scipy.sparse"):
        raise TypeError(f"{name} is a sparse matrix; give {name}.toarray()")
    if isinstance(value, (str, bytes)) or value is None:
        raise TypeError(f"{name} is {type(value).__name__}, expected an array of numbers")
    try:
        array = value if isinstance(value, np.ndarray) else np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is no array: {error}") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} has dtype {array.dtype}, expected real numbers")
    return array


def require_finite(name: str, array: Array, first_row: int = 0) -> None:
    """Refuse a NaN or an infinite value, and name its row and column."""
    if array.dtype.kind != "f":
        return
    for rows in row_blocks(len(array), array.shape[1] if array.ndim > 1 else 1):
        finite = np.isfinite(array[rows])
        if not finite.all():
            place = np.unravel_index(int(finite.argmin()), finite.shape)
            row = first_row + rows.start + int(place[0])
            where = f"row {row}" + (f", column {int(place[1])}" if array.ndim > 1 else "")
            raise ValueError(
                f"{name} holds {array[rows][place]} in {where}; remove or replace such rows"
                + ("" if name != "X" else ", or train with allow_nan=True")
            )


def row_blocks(rows: int, width: int) -> Iterator[slice]:
    """Slices of rows of about a million entries."""
    step = max(1, _BLOCK_ENTRIES // max(width, 1))
    for first in range(0, rows, step):
        yield slice(first, min(first + step, rows))
