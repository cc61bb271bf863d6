"""The report of a whole network: HTML, Markdown and JSON.

Input: a `NetworkDerivation`, its optimizer, an example of sizes. Output: text. The pages say of a
whole network what the pages of layers say of one: shapes, forward, backward, update, memory,
operations, and what is proved.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from gradwright.composition import Value
from gradwright.memory import memory_table
from gradwright.specification import Specification

from ..expression import Expr
from ..formula import Name
from ..mathml import scalar_functions
from ..network import ChainStep, NamedValue, NetworkDerivation
from ..optimizer import OptimizerDerivation
from ..text import scalar_text, to_text
from .cost import Count, routine_cost
from .equations import Equation, named
from .updates import update_equations

_KINDS = {
    "data": "samples", "target": "targets, no gradient", "parameter": "has a gradient",
    "mask": "random mask, no gradient", "pattern": "pattern of weights, 0 or 1",
}  # fmt: skip
_OPERATIONS = (
    ("additions", "additions"), ("multiplications", "multiplications"),
    ("divisions", "divisions and roots"), ("transcendental", "transcendental"),
)  # fmt: skip


def network_data(
    found: NetworkDerivation,
    specification: Specification,
    optimizer: OptimizerDerivation,
    batch: int,
    mutants: int = 0,
) -> dict[str, Any]:
    """Everything the pages say, as plain values that are the same on every machine."""
    states = [item.name for item in optimizer.rule.inputs if item.role == "state"]
    memory = memory_table(specification, batch, states)
    sizes = {"N": batch, **found.composition.sizes}
    return {
        "network": found.name,
        "kind": "network",
        "title": found.program.title,
        "layers": "-".join(map(str, specification.sizes)),
        "sizes": sizes,
        "inputs": [_input(value) for value in found.composition.inputs],
        "forward": [_step(s, s.forward) for s in found.steps],
        "backward": [_step(s, s.backward) for s in reversed(found.steps)],
        "gradients": [_plain(e) for e in gradient_equations(found)],
        "where": _where(found),
        "update": {
            "optimizer": optimizer.name,
            "parameters": [value.name for value in found.composition.parameters],
            "equations": [_plain(e) for e in update_equations(optimizer)],
        },
        "memory": memory.to_json(),
        "operations": _operations(found, sizes),
        "guarantees": guarantees(found, mutants),
        "proof": found.proof_id,
    }


def gradient_equations(found: NetworkDerivation) -> list[Equation]:
    """The gradients written out over forward values."""
    names = dict(found.program.names)
    return [named(f"D{name}", gradient, names) for name, gradient in found.gradients]


def guarantees(found: NetworkDerivation, mutants: int = 0) -> list[dict[str, str]]:
    """What is proved and what is checked, a sentence each; `mutants` errors were rejected."""
    kernels = ", ".join(dict.fromkeys(step.part.kernel for step in found.steps))
    sizes = ", ".join(found.program.sizes)
    proved = []
    proved.append(
        f"The gradients of {kernels} are proved for all sizes and every upstream gradient; the "
        "backward pass joins them by the chain rule."
    )
    seams = ", ".join(seam.name for seam in found.seams)
    proved.append(
        "The gradients of the whole network, by the chain rule and by the reverse sweep over "
        "the composed program, have the normal form of its differentiation entry by entry in "
        f"index notation, taken apart at {seams}, for all {sizes}."
    )
    claims = [("proved", text) for text in proved] + [_exactness(found)]
    if mutants:
        rejected = (
            f"{mutants} errors planted into the gradients, all of them, are rejected by the proof "
            "and by the exact check."
        )
        claims.append(("checked", rejected))
    return [{"state": state, "text": text} for state, text in claims]


def _exactness(found: NetworkDerivation) -> tuple[str, str]:
    exact = found.exact
    if exact is None:
        return "not checked", (
            "No points of prime fields are known at which all roots and exponentials of a network "
            "this deep exist; at finite sizes only its layers are checked."
        )
    points = (
        " × ".join(map(str, point.values()))
        for point in exact.sizes
        if ", ".join(f"{d} = {n}" for d, n in point.items()) not in exact.skipped
    )
    return "checked", (
        "The same gradients agree exactly with forward-mode differentiation of the composed program "
        f"over prime fields, at {', '.join(found.program.sizes)} = {', '.join(points)}."
    )


def _input(value: Value) -> dict[str, Any]:
    return {"name": value.name, "shape": list(value.shape), "text": _KINDS[value.kind]}


def _step(step: ChainStep, lines: tuple[NamedValue, ...]) -> dict[str, Any]:
    equations = [_plain(named(line.name, line.expr, {})) for line in lines]
    return {"kernel": step.part.kernel, "layer": step.part.layer, "equations": equations}


def _plain(equation: Equation) -> dict[str, Any]:
    return {
        "name": equation.left_text, "text": equation.text, "latex": equation.latex,
        "shape": list(equation.shape),
    }  # fmt: skip


def _functions(found: NetworkDerivation) -> list[Any]:
    shown: list[Expr] = [
        line.expr for step in found.steps for line in (*step.forward, *step.backward)
    ]
    return scalar_functions(shown)


def _where(found: NetworkDerivation) -> list[str]:
    lines = ["DL = 1"]
    for f in _functions(found):
        arguments = ", ".join(v.name for v in f.variables)
        lines.append(f"{f.name.replace('_prime', chr(39))}({arguments}) = {scalar_text(f.expr)}")
    if found.program.divisor is not None:
        lines.append(f"scale = 1 / ({to_text(found.program.divisor)})")
    return lines


def _operations(found: NetworkDerivation, sizes: Mapping[str, int]) -> dict[str, Any]:
    """Counts of the emitted kernels, added up over the network."""
    totals: dict[str, dict[str, Count]] = {}
    for routine in ("forward", "backward"):
        counts = {title: Count() for _, title in _OPERATIONS}
        for step in found.steps:
            cost = routine_cost(getattr(step.derivation.kernel, routine))
            for field, title in _OPERATIONS:
                counts[title] += _renamed(getattr(cost.operations, field), step)
        totals[routine] = counts
    return {
        routine: {
            title: {"formula": str(count), "example": count.at(sizes)}
            for title, count in counts.items()
        }
        for routine, counts in totals.items()
    }


def _renamed(count: Count, step: ChainStep) -> Count:
    """A layer's count over the network's sizes."""
    arrays = [item for item in step.derivation.program.inputs if item.is_array]
    names: dict[str, str] = {}
    for item, value in zip(arrays, step.part.inputs, strict=True):
        names |= dict(zip(item.shape, value.shape, strict=True))
    terms: Counter[tuple[str, ...]] = Counter()
    for dims, number in count.terms.items():
        terms[tuple(sorted((names[d] for d in dims), key=lambda d: (d != "N", d)))] += number
    return Count(terms)


# ---- Pages ---------------------------------------------------------------------------------------


def render_network(
    found: NetworkDerivation,
    specification: Specification,
    optimizer: OptimizerDerivation,
    batch: int,
    mutants: int = 0,
) -> dict[str, str]:
    """The files of a network's report under generated/reports."""
    data = network_data(found, specification, optimizer, batch, mutants)
    return {
        f"{found.name}.html": _page(found, optimizer, data),
        f"{found.name}.json": json.dumps(data, indent=1, ensure_ascii=False) + "\n",
        f"{found.name}.md": "\n".join(_markdown(data)) + "\n",
    }


def _page(
    found: NetworkDerivation, optimizer: OptimizerDerivation, data: Mapping[str, Any]
) -> str:
    from .pages import _equation, _space, math_markup, render_page

    def steps(chosen: Iterator[tuple[ChainStep, tuple[NamedValue, ...]]]) -> list[dict[str, Any]]:
        return [
            {
                "rule": f"{step.part.layer} {step.part.kernel}",
                "equations": [_equation(named(line.name, line.expr, {})) for line in lines],
            }
            for step, lines in chosen
        ]

    return render_page(
        "network.html.j2",
        data=data,
        inputs=[
            {"math": math_markup(Name(v.name)), "space": math_markup(_space(v.shape, "real")),
             "role": _KINDS[v.kind]}
            for v in found.composition.inputs
        ],
        forward=steps((s, s.forward) for s in found.steps),
        backward=steps((s, s.backward) for s in reversed(found.steps)),
        gradients=[_equation(e) for e in gradient_equations(found)],
        update=[_equation(e) for e in update_equations(optimizer)],
        memory=[("training", data["memory"]["training"], data["memory"]["training_bytes"]),
                ("inference", data["memory"]["inference"], data["memory"]["inference_bytes"])],
    )  # fmt: skip


def _markdown(data: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {data['network']}\n"
    yield f"{data['title']} Example: {data['layers']}, batches of {data['sizes']['N']}.\n"
    yield "## Shapes\n"
    for item in data["inputs"]:
        yield f"- `{item['name']}` {' × '.join(item['shape'])}, {item['text']}"
    for title in ("forward", "backward"):
        yield f"\n## {title.capitalize()}\n\n```text"
        for step in data[title]:
            for place, equation in enumerate(step["equations"]):
                margin = "" if place else f"{step['layer']} {step['kernel']}"
                yield f"{margin:26} {equation['text']}"
        yield "```"
    yield "\nwhere\n\n```text"
    yield from data["where"]
    yield "```\n\n## Gradients written out\n\n```text"
    yield from (equation["text"] for equation in data["gradients"])
    update = data["update"]
    yield f"```\n\n## Update by {update['optimizer']}\n"
    yield f"For theta in {', '.join(update['parameters'])} and g = Dtheta:\n\n```text"
    yield from (equation["text"] for equation in update["equations"])
    yield "```\n\n## Memory\n"
    for title in ("training", "inference"):
        yield f"| {title} | counted | floats | bytes |\n|---|---|--:|--:|"
        for row in data["memory"][title]:
            yield f"| {row['name']} | {row['formula']} | {row['count']:,} | {row['bytes']:,} |"
        yield f"| total | | | {data['memory'][f'{title}_bytes']:,} |\n"
    yield "## Operations\n"
    yield "| | forward | backward | example |\n|---|---|---|---|"
    forward, backward = (data["operations"][routine] for routine in ("forward", "backward"))
    for kind, one in forward.items():
        other = backward[kind]
        numbers = f"{one['example']:,} and {other['example']:,}"
        yield f"| {kind} | {one['formula']} | {other['formula']} | {numbers} |"
    yield "\n## What is guaranteed\n"
    yield from (f"- **{item['state']}** {item['text']}" for item in data["guarantees"])
    yield f"\nProof `{data['proof']}`"

