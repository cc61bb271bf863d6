"""Dropout masks from a counter-based generator: a function of seed, layer, step and entry alone."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def dropout_mask(
    seed: int, layer: int, step: int, shape: tuple[int, int], rate: float, dtype: Any
) -> Array:
    """The matrix R of a dropout layer: 0 with probability `rate`, else 1 / (1 - rate).

    Source: Philox4x64-10, Salmon et al. (2011); `gradwright.backends` says which bits are whose.
    """
    count = shape[0] * shape[1]
    philox = np.random.Philox(
        key=np.array([seed, layer], np.uint64), counter=np.array([0, step, 0, 0], np.uint64)
    )
    words = philox.random_raw((count + 1) // 2).astype("<u8", copy=False)
    bits = words.view("<u4")[:count]
    kept = bits >= np.uint32(int(rate * 2**32))
    return np.multiply(kept, 1 / (1 - rate), dtype=dtype).reshape(shape)
