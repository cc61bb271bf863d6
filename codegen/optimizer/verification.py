"""The levels P0 to P6 of an optimizer, in the shape of a layer's verification.

Input: an `OptimizerDerivation` and the backends its targets made. Output: a dictionary of plain
values, or `ProofFailure` where a level fails. Levels: P0 element-wise, P1 theorems proved for every
step, P2 exact at random values, P3 SymPy step by step, P4 floating point, P5 edges, P6 mutants of
the update equations, every one of which P1 and P2 must reject.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ProofFailure
from ..program import display_path
from . import exact, oracle
from .accuracy import check_accuracy
from .derivation import OptimizerDerivation
from .edges import check_edges
from .exact import refuted
from .mutants import judge
from .oracle import differs


def verify_optimizer(
    derivation: OptimizerDerivation, backends: Mapping[str, Any]
) -> dict[str, Any]:
    """Run every level. P0 and P1 were decided while deriving; a failure there never gets here."""
    rule = derivation.rule
    for theorem in derivation.theorems:
        wrong = refuted(rule, theorem)
        _require(derivation, "P2", wrong is None, f"{theorem.name}: {wrong}")
        if derivation.script is not None:
            wrong = differs(derivation.script, rule, theorem)
            _require(derivation, "P3", wrong is None, f"{theorem.name}: {wrong}")
    floating = check_accuracy(rule, backends)
    edges = check_edges(rule, backends)
    broken = "; ".join(f"{c['name']} ({c['backend']}): {c['detail']}"
                       for c in edges["cases"] if not c["passed"])  # fmt: skip
    _require(derivation, "P5", not broken, broken)
    verdicts = judge(rule, derivation.theorems)
    survivors = ", ".join(v.mutant.description for v in verdicts if v.survives)
    _require(derivation, "P6", not survivors, f"undetected: {survivors}")
    return {
        "P0": "ok",
        "P1": "proved",
        "P2": {
            "sizes": [f"t = 0..{exact.STEPS}"],
            "status": "exact",
            "error_probability": exact.error_probability(rule),
        },
        "P3": {"sizes": [f"t = 1..{oracle.STEPS}"], "status": "equal"},
        "P4": floating,
        "P5": edges,
        "mutants": {
            "killed": sum(not v.survives for v in verdicts),
            "total": len(verdicts),
            "killed_by_proof": sum(v.killed_by_proof for v in verdicts),
            "killed_exactly": sum(v.killed_exactly for v in verdicts),
            "list": [
                {"name": v.mutant.name, "description": v.mutant.description} for v in verdicts
            ],
        },
    }


def _require(derivation: OptimizerDerivation, level: str, ok: bool, detail: str) -> None:
    if not ok:
        where = display_path(derivation.rule.source)
        raise ProofFailure(f"{where}: {derivation.name}: level {level} failed: {detail}")
