"""Batch matrix-form gradients of neural-network layers: derived, proved and emitted.

`MLP` and `Layer` train networks of the generated kernels; `load` reads a saved one. They are
imported when first asked for: the package itself loads nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gradwright import instructions

if TYPE_CHECKING:
    from gradwright.checkpoint import CheckpointError, load
    from gradwright.layer import Layer
    from gradwright.network import MLP
    from gradwright.sparse.linear import SparseLinear
    from gradwright.specification import LayerSpecification, Specification
    from gradwright.training.divergence import DivergenceError

__version__ = "0.1.0"

_HOMES = {
    "CheckpointError": "gradwright.checkpoint",
    "DivergenceError": "gradwright.training.divergence",
    "Layer": "gradwright.layer",
    "LayerSpecification": "gradwright.specification",
    "MLP": "gradwright.network",
    "SparseLinear": "gradwright.sparse.linear",
    "Specification": "gradwright.specification",
    "load": "gradwright.checkpoint",
}

__all__ = [
    "MLP",
    "CheckpointError",
    "DivergenceError",
    "Layer",
    "LayerSpecification",
    "SparseLinear",
    "Specification",
    "load",
]


# Here the compiled modules of a portable build lie, for the instructions this processor has.
__path__.extend(instructions.folders(__path__))


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gradwright' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
