"""A report as plain data: what programs read, and what Markdown is made of.

Input: a derivation, the results of its verification. Output: a dictionary of strings, numbers and
lists, the same on every machine: no times, no paths, measured errors only as bounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..expression import Shape
from ..program import Input
from ..text import scalar_text, to_text
from .cost import EXAMPLE_SIZES, entries_of, routine_cost, saved_values
from .equations import Equation, Line
from .guarantees import Guarantees, Item, guarantees
from .provenance import script_hash, script_path
from .subject import Subject
from .updates import Statement

_ROLES = {"target": "target, no gradient", "constant": "constant, no gradient",
          "pattern": "0 or 1: where there are entries; kernels take values, indices and indptr (CSR)",
          "variable": "has a gradient", "step": "number of the step"}  # fmt: skip
_VERIFIED = ("P0", "P1", "P2", "P3", "P5", "mutants")


def report_data(derivation: Any, verification: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Everything a report says of a layer or an optimizer, for programs.

    `gradients` are in declared order; `gradient_equations` are for readers, in an order in which
    one may use another. An optimizer has neither, but `theorems`.
    """
    subject = derivation if isinstance(derivation, Subject) else Subject(derivation)
    results = verification or {}
    definition, program = subject.definition, subject.program
    output = program and {"name": program.output_name, "shape": list(program.output.shape)}
    return {
        "layer": subject.name,
        "kind": "optimizer" if subject.is_optimizer else "layer",
        "title": definition.title,
        "details": definition.details,
        "conventions": list(subject.conventions),
        "inputs": [_input(item) for item in subject.inputs],
        "output": output,
        "equations": [_equation(e) for e in subject.equations],
        "gradients": _gradients(subject),
        "gradient_equations": [_equation(e) for e in subject.gradient_equations],
        "where": where(subject),
        "derivation": [_line(line) for line in [*subject.sweep, *subject.simplification]],
        "theorems": [_theorem(s) for s in subject.statements],
        "guarantees": _guarantee_lists(guarantees(subject, results)),
        "verification": {key: results[key] for key in _VERIFIED if key in results},
        "cost": _cost(subject),
        "script": {"path": script_path(definition), "sha256": script_hash(definition)},
        "proof": subject.derivation.proof_id,
    }


def where(subject: Subject) -> list[str]:
    """What the equations' functions and the factor of a reduction stand for."""
    lines = []
    for f in subject.functions:
        arguments = ", ".join(v.name for v in f.variables)
        name = f.name.replace("_prime", "'")
        lines.append(f"{name}({arguments}) = {scalar_text(f.expr)}")
    if subject.program and subject.program.divisor is not None:
        divisor = to_text(subject.program.divisor)
        lines.append(f'scale = 1 / ({divisor}), or 1 with reduction="sum"')
    return lines


def number_text(value: float) -> str:
    """1e-5, not 1e-05."""
    return f"{value:g}".replace("e-0", "e-").replace("e+0", "e")


def role_text(item: Input) -> str:
    default = "" if item.default is None else f", default {number_text(item.default)}"
    return _ROLES.get(item.role, item.role) + default


def _input(item: Input) -> dict[str, Any]:
    return {
        "name": item.name, "shape": list(item.shape), "role": item.role, "domain": item.domain,
        "default": item.default, "text": role_text(item),
    }  # fmt: skip


def _gradients(subject: Subject) -> list[dict[str, Any]]:
    by_name = {e.left_text: e for e in subject.gradient_equations}
    return [
        {"variable": name, **_equation(by_name[f"D{name}"])} for name, _ in subject.gradients
    ]


def _equation(equation: Equation) -> dict[str, Any]:
    return {
        "name": equation.left_text, "text": equation.text, "latex": equation.latex,
        "shape": list(equation.shape),
    }  # fmt: skip


def _line(line: Line) -> dict[str, Any]:
    equations = [_equation(e) for e in line.equations]
    return {"rule": line.rule, "remark": line.remark, "equations": equations}


def _theorem(stated: Statement) -> dict[str, Any]:
    return {
        "name": stated.name, "words": stated.words, "scope": stated.scope,
        "text": list(stated.texts), "latex": stated.latex,
    }  # fmt: skip


def _guarantee_lists(found: Guarantees) -> dict[str, list[dict[str, str]]]:
    def plain(items: Iterable[Item]) -> list[dict[str, str]]:
        return [{"level": i.level, "state": i.state, "text": i.text} for i in items]

    return {
        "proved": plain(found.proved), "checked": plain(found.checked),
        "assumed": plain(found.assumed),
    }  # fmt: skip


def _cost(subject: Subject) -> dict[str, Any] | None:
    kernel = subject.kernel
    if kernel is None:
        return None
    example = {d: EXAMPLE_SIZES.get(d, 64) for d in subject.sizes}
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
