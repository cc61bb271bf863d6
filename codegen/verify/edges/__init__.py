"""P5: the promises at the edges, one table for every layer and every backend.

Input: a derivation and a backend. Output: for each promise that concerns the layer whether it
holds. What concerns a layer is decided from the structure of its equations, never from its name,
so that layers from other people's scripts are held to the same promises.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...derivation import Derivation
from .arguments import ARGUMENTS
from .buffers import BUFFERS
from .limits import LIMITS
from .numbers import NUMBERS
from .subject import BrokenPromise, Edge, Subject

EDGES: tuple[Edge, ...] = (*NUMBERS, *LIMITS, *ARGUMENTS, *BUFFERS)

__all__ = ["EDGES", "BrokenPromise", "Edge", "Subject", "check_edges", "edges_of"]


def edges_of(subject: Subject) -> list[Edge]:
    """The promises that concern a layer."""
    return [edge for edge in EDGES if edge.applies(subject)]


def check_edges(derivation: Derivation, backends: Mapping[str, Any]) -> dict[str, Any]:
    """Every promise that concerns the layer, for every backend.

    Returns `{"cases": [{"name", "promise", "backend", "passed", "detail"}...], "passed", "total",
    "limitations"}`. The limitations are further cases, promises that a formula cannot keep.
    A backend without `vjp` is bare arithmetic: promises about its arguments are left out.
    """
    subject = Subject(derivation)
    cases: list[dict[str, Any]] = []
    limitations: list[dict[str, Any]] = []
    for edge in edges_of(subject):
        for name, backend in backends.items():
            if edge.face and not hasattr(backend, "vjp"):
                continue
            detail = broken(edge, subject, backend)
            (cases if edge.strict or detail is None else limitations).append({
                "name": edge.name, "promise": edge.promise, "backend": name,
                "passed": detail is None, "detail": detail or "",
            })  # fmt: skip
    passed = sum(c["passed"] for c in cases)
    return {"cases": cases, "passed": passed, "total": len(cases), "limitations": limitations}


def broken(edge: Edge, subject: Subject, backend: Any) -> str | None:
    """What is wrong, or None. Errors a promise does not speak of break it too."""
    try:
        edge.check(subject, backend)
    except BrokenPromise as failure:
        return str(failure)
    except Exception as error:
        return f"{subject.name}: unexpected {type(error).__name__}: {error}"
    return None
