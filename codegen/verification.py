"""The levels P0 to P6 of one derivation, as a dictionary for tables, reports and programs.

Input: a `Derivation` and the sources its targets emitted. Output: a dictionary of plain values that
are the same on every machine, or `ProofFailure` with a counterexample. Levels: P0 shapes, P1 proved
for all sizes, P2 exact at finite sizes, P3 an independent oracle, P4 floating point, P5 edges, P6
mutants of the gradient, every one of which P1 and P2 must reject.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .derivation import Derivation
from .errors import ProofFailure
from .program import display_path
from .verify.edges import check_edges
from .verify.exact import ExactChecker
from .verify.floating import check_floating
from .verify.mutants import run_mutants
from .verify.oracle import check_oracle
from .verify.sparse_face import dense_faces


def verify(derivation: Derivation, backends: Mapping[str, Any]) -> dict[str, Any]:
    """Run every level. P0 and P1 were decided while deriving; a failure there never gets here."""
    program, gradients = derivation.program, derivation.gradients
    checker = ExactChecker(program, gradients, proof=derivation.proof)
    exact = checker.check(gradients)
    _require(derivation, "P2", exact.ok, exact.counterexample)
    oracle = check_oracle(program, gradients)
    _require(derivation, "P3", oracle.ok, oracle.counterexample)
    floating = check_floating(derivation, dense_faces(derivation, backends))
    edges = check_edges(derivation, backends)
    failed = [case for case in edges["cases"] if not case["passed"]]
    _require(derivation, "P5", not failed, "; ".join(_edge_text(case) for case in failed))
    mutants = run_mutants(program, gradients, derivation.proof, checker)
    survivors = ", ".join(m.description for m in mutants.survivors)
    _require(derivation, "P6", not mutants.survivors, f"undetected: {survivors}")
    return {
        "P0": "ok",
        "P1": "proved",
        "P2": {
            "sizes": _size_texts(exact.sizes),
            "status": "exact",
            "error_probability": exact.error_probability,
        },
        "P3": {"sizes": _size_texts(oracle.sizes), "status": "equal"},
        "P4": floating,
        "P5": edges,
        "mutants": {
            "killed": mutants.total - len(mutants.survivors),
            "total": mutants.total,
            "killed_by_proof": mutants.killed_by_proof,
            "killed_exactly": mutants.killed_exactly,
            "list": [{"name": m.name, "description": m.description} for m in mutants.mutants],
        },
    }


def _require(derivation: Derivation, level: str, ok: bool, detail: str | None) -> None:
    if not ok:
        where = display_path(derivation.program.source)
        raise ProofFailure(f"{where}: {derivation.name}: level {level} failed: {detail}")


def _size_texts(sizes: Iterable[Mapping[str, int]]) -> list[str]:
    """2x3 for N = 2 and K = 3, in the order the layer declares its sizes."""
    return ["x".join(str(n) for n in found.values()) for found in sizes]


def _edge_text(case: dict[str, Any]) -> str:
    return f"{case['name']} ({case['backend']}): {case['detail']}"
