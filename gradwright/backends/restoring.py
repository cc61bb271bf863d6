"""Values that were kept, back into a backend: weights may have been elsewhere then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gradwright.sparse.supports import Support, from_csr

Array = np.ndarray[Any, np.dtype[Any]]


def restore(backend: Any, kept: Mapping[str, Array]) -> None:
    """Parameters and running statistics by name.

    Where the weights of a sparse layer have moved meanwhile, the optimizer's states of those that
    are in both places stay, others are 0.
    """
    placed = set()
    for number in range(1, len(backend.specification.layers) + 1):
        own = f"layer{number}.W."
        if f"{own}indices" not in kept:
            continue
        placed |= {f"{own}{part}" for part in ("indptr", "indices", "values")}
        support, now = support_of(backend, number, kept), backend.support(number)
        if np.array_equal(support.indptr, now.indptr) and np.array_equal(
            support.indices, now.indices
        ):
            backend.parameters()[f"{own}values"][:] = kept[f"{own}values"]
        else:
            backend.replace(number, support, kept[f"{own}values"])
    arrays = backend.parameters() | backend.state()
    for name, array in kept.items():
        if name not in placed:
            arrays[name][...] = array


def restore_watched(backend: Any, state: Mapping[str, Array]) -> None:
    """Go on to watch the places without a weight that a state says were watched.

    Raises ValueError where these cannot have been.
    """
    for number in range(1, len(backend.specification.layers) + 1):
        own = f"layer{number}.W.watched."
        if f"{own}momentum" not in state:
            continue
        support = support_of(backend, number, state, "watched.")
        momentum, beta = state[f"{own}momentum"], float(state[f"{own}beta"][0])
        dtype = backend.parameters()[f"layer{number}.W.values"].dtype
        if momentum.shape != (support.count,) or momentum.dtype != dtype or not 0 <= beta < 1:
            raise ValueError(f"{own}momentum does not fit its places")
        backend.restore_watched(
            number, support.indptr.copy(), support.indices.copy(), momentum.copy(), beta
        )


def support_of(backend: Any, number: int, arrays: Mapping[str, Array], part: str = "") -> Support:
    """The support of a sparse layer in arrays by name, which is checked."""
    layer, own = backend.specification.layers[number - 1], f"layer{number}.W.{part}"
    try:
        shape = layer.outputs, layer.inputs
        support = from_csr(shape, arrays[f"{own}indptr"], arrays[f"{own}indices"])
    except ValueError as error:
        raise ValueError(f"{own[:-1]}: {error}") from None
    if support.indices is not arrays[f"{own}indices"]:
        raise ValueError(f"{own}indices: expected int32 columns that rise within a row")
    return support
