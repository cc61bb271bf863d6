"""P5: the promises at the edges, one table for every layer and every backend.

Input: a derivation and a backend. Output: for each promise that concerns the layer whether it
holds. What concerns a layer is decided from the structure of its equations, never from its name,
so that layers from other people's scripts are held to the same promises.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    cases: list[dict[str, Any]] = []
    limitations: list[dict[str, Any]] = []
    for edge, subject, own in _concerned(derivation, backends):
        for name, backend in own.items():
            if edge.face and not hasattr(backend, "vjp"):
                continue
            detail = broken(edge, subject, backend)
            (cases if edge.strict or detail is None else limitations).append({
                "name": edge.name, "promise": edge.promise, "backend": name,
                "passed": detail is None, "detail": detail or "",
            })  # fmt: skip
    passed = sum(c["passed"] for c in cases)
    return {"cases": cases, "passed": passed, "total": len(cases), "limitations": limitations}


def _concerned(
    derivation: Derivation, backends: Mapping[str, Any]
) -> Iterator[tuple[Edge, Subject, Mapping[str, Any]]]:
    """The promises with whom they are checked on: of a sparse layer arithmetic is that of its dense
    definition, arguments are those of its face."""
    subject = Subject(derivation)
    if derivation.stored is None:
        yield from ((edge, subject, backends) for edge in edges_of(subject))
        return
    from ..sparse_face import PATTERNS, SparseSubject, dense_faces

    dense = dense_faces(derivation, backends)
    of_arguments = (*ARGUMENTS, *BUFFERS)
    yield from ((e, subject, dense) for e in edges_of(subject) if e not in of_arguments)
    sparse = SparseSubject.of(derivation)
    found = [*(edge for edge in edges_of(sparse) if edge in of_arguments), *PATTERNS]
    yield from ((edge, sparse, backends) for edge in found)


def broken(edge: Edge, subject: Subject, backend: Any) -> str | None:
    """What is wrong, or None. Errors a promise does not speak of break it too."""
    try:
        edge.check(subject, backend)
    except BrokenPromise as failure:
        return str(failure)
    except Exception as error:
        return f"{subject.name}: unexpected {type(error).__name__}: {error}"
    return None
