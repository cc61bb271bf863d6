"""A layer's report as plain data: what programs read, and what Markdown and pages are made of.

Input: a derivation, the results of its verification. Output: a dictionary of strings, numbers and
lists, the same on every machine: no times, no paths, measured errors only as bounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..expression import Expr, Shape
from ..mathml import scalar_functions
from ..scalar import ScalarFunction
from ..text import scalar_text, to_text
from .cost import EXAMPLE_SIZES, entries_of, routine_cost, saved_values
from .equations import (
    Equation, Line, derivation_lines, forward_equations, gradient_equations,
)  # fmt: skip
from .guarantees import Guarantees, Item, guarantees
from .provenance import script_hash, script_path

_ROLES = {
    "variable": "has a gradient", "constant": "constant", "target": "target",
    "hyperparameter": "hyperparameter",
}  # fmt: skip


def report_data(derivation: Any, verification: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Everything a report says, for programs. Optimizers have empty gradients and no derivation."""
    program = derivation.program
    found = guarantees(derivation, verification or {})
    return {
        "layer": program.name,
        "title": program.title,
        "variables": [variable.name for variable in program.variables],
        "details": program.details,
        "conventions": list(program.conventions),
        "inputs": [_input(item) for item in program.inputs],
        "output": {"name": program.output_name, "shape": list(program.output.shape)},
        "forward": [_equation(e) for e in forward_equations(program)],
        "gradients": [_equation(e) for e in gradient_equations(derivation)],
        "where": where(derivation),
        "derivation": [_line(line) for line in derivation_lines(derivation)],
        "guarantees": _guarantee_lists(found),
        "verification": _verification(verification or {}),
        "cost": _cost(derivation),
        "script": {"path": script_path(program), "sha256": script_hash(program)},
        "proof": getattr(derivation, "proof_id", None),
    }


def functions_of(derivation: Any) -> list[ScalarFunction]:
    """The scalar functions of a layer, those of its gradients included."""
    shown: list[Expr] = [derivation.program.output]
    shown += [expr for _, expr in getattr(derivation, "gradients", ())]
    return scalar_functions(shown)


def where(derivation: Any) -> list[str]:
    """What the equations' functions and the factor of a reduction stand for."""
    lines = []
    for f in functions_of(derivation):
        arguments = ", ".join(v.name for v in f.variables)
        name = f.name.replace("_prime", "'")
        lines.append(f"{name}({arguments}) = {scalar_text(f.expr)}")
    divisor = derivation.program.divisor
    if divisor is not None:
        lines.append(f'scale = 1 / ({to_text(divisor)}), or 1 with reduction="sum"')
    return lines


def number_text(value: float) -> str:
    """1e-5, not 1e-05."""
    return f"{value:g}".replace("e-0", "e-").replace("e+0", "e")


def _input(item: Any) -> dict[str, Any]:
    return {
        "name": item.name, "shape": list(item.shape), "role": _ROLES.get(item.role, item.role),
        "domain": item.domain, "default": item.default,
    }  # fmt: skip


def _equation(equation: Equation) -> dict[str, Any]:
    return {
        "name": equation.left_text, "text": equation.text, "latex": equation.latex,
        "shape": list(equation.shape),
    }  # fmt: skip


def _line(line: Line) -> dict[str, Any]:
    equations = [_equation(e) for e in line.equations]
    return {"rule": line.rule, "remark": line.remark, "equations": equations}


def _guarantee_lists(found: Guarantees) -> dict[str, list[dict[str, str]]]:
    def plain(items: Iterable[Item]) -> list[dict[str, str]]:
        return [{"level": i.level, "state": i.state, "text": i.text} for i in items]

    return {
        "proved": plain(found.proved), "checked": plain(found.checked),
        "assumed": plain(found.assumed),
    }  # fmt: skip


def _verification(results: Mapping[str, Any]) -> dict[str, Any]:
    """Results that are the same on every machine: measured errors stay out."""
    kept = {key: results[key] for key in ("P0", "P1", "P2", "P3", "P5", "mutants") if key in results}
    return {key: kept[key] for key in sorted(kept)}


def _cost(derivation: Any) -> dict[str, Any] | None:
    kernel = getattr(derivation, "kernel", None)
    if kernel is None:
        return None
    example = {d: EXAMPLE_SIZES.get(d, 64) for d in derivation.program.sizes}
    routines = {}
    for routine in (kernel.forward, kernel.backward):
        cost = routine_cost(routine)
        ops = cost.operations
        counts = {
            "additions": ops.additions, "multiplications": ops.multiplications,
            "divisions and roots": ops.divisions, "transcendental": ops.transcendental,
            "values moved": cost.moved,
        }  # fmt: skip
        routines[routine.name] = {
            name: {"formula": str(count), "example": count.at(example)}
            for name, count in counts.items()
        }
    saved = [_saved(name, shape, example) for name, shape in saved_values(kernel)]
    return {"example": example, "routines": routines, "saved": saved}


def _saved(name: str, shape: Shape, example: Mapping[str, int]) -> dict[str, Any]:
    count = entries_of(shape)
    return {"name": name, "formula": str(count), "example": count.at(example)}
