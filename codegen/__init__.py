"""Derive time: notation, derivation, proof, simplification, lowering, emission and reports.

    from gradwright.codegen import derive

    found = derive(my_layer)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .derivation import Derivation, derive, derive_all

__all__ = ["Derivation", "derive", "derive_all"]


def __getattr__(name: str) -> Any:
    """Names load on first use: hashing files must not wait for SymPy."""
    if name in __all__:
        from . import derivation

        return getattr(derivation, name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
