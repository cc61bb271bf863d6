"""The catalogue of the C++ target: tables of activations, losses and optimizers for the engine.

Input: all derivations. Output: `catalogue.hpp`, which gives every kernel of a kind the same face, so
that whatever is derived can be trained with. Left out: layers whose arrays a network does not hold,
such as activations with learned parameters or losses with weights for the classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..derivation import Derivation
from ..expression import Shape
from ..optimizer import OptimizerDerivation
from ..optimizer.rule import UpdateRule
from ..program import Program
from ..schedule import width
from ..templates import environment
from .cpp_binding import size_formula
from .cpp_function import Function, Parameter
from .cpp_header import header
from .cpp_optimizer import kernel_arguments


def render_catalogue(derivations: Iterable[Any]) -> str:
    """The text of `catalogue.hpp`."""
    activations, losses, optimizers = [], [], []
    for found in sorted(derivations, key=lambda d: str(d.name)):
        if isinstance(found, OptimizerDerivation):
            optimizers.append(_optimizer(found.rule))
        elif found.program.is_loss:
            losses += _loss(found)
        else:
            activations += _activation(found)
    every = [*activations, *losses, *optimizers]
    return environment().get_template("cpp/catalogue.hpp.j2").render(
        names=sorted(entry["name"] for entry in every), activations=activations, losses=losses,
        optimizers=optimizers,
    )  # fmt: skip


def _activation(derivation: Derivation) -> list[dict[str, Any]]:
    """Layers of one matrix and numbers, of which the backward pass needs input or output alone."""
    program = derivation.program
    arrays = [i for i in program.inputs if i.is_array]
    if len(arrays) != 1 or width(arrays[0].shape) != 2 or program.output.shape != arrays[0].shape:
        return []
    X, Y = arrays[0].name, program.output_name
    made = header(derivation.kernel)
    views = {X: "X", Y: "Y", program.upstream: "DY", f"D{X}": "DX"}
    given = _given(program, views)
    functions = (made.forward, made.backward)
    if any(p.name not in given for f in functions for p in f.parameters):
        return []
    return [{
        "name": derivation.name,
        "hyperparameters": _hyperparameters(program),
        "by_rows": program.output.op != "apply",
        "input": any(p.name == X for p in made.backward.parameters),
        "output": any(p.name == Y for p in made.backward.parameters),
        "forward": _call(made.forward, given),
        "backward": _call(made.backward, given),
    }]  # fmt: skip


def _loss(derivation: Derivation) -> list[dict[str, Any]]:
    """Losses of predictions and targets; what the two passes share lives in a workspace."""
    program = derivation.program
    arrays = [i for i in program.inputs if i.is_array]
    target = next((i for i in arrays if i.role == "target"), None)
    if target is None or len(arrays) != 2:
        return []
    prediction = next(i for i in arrays if i is not target)
    made = header(derivation.kernel)
    views = {prediction.name: "Y", target.name: "T", program.output_name: "L", "scale": "scale",
             program.upstream: "DL", f"D{prediction.name}": "DY"}  # fmt: skip
    given = _given(program, views)
    kept: dict[str, Parameter] = {}
    for function in (made.forward, made.backward):
        kept |= {p.name: p for p in function.parameters if p.name not in given}
    if any(not width(p.shape) for p in kept.values()):
        return []
    return [{
        "name": derivation.name,
        "hyperparameters": _hyperparameters(program),
        "scale": None if program.divisor is None else size_formula(program.divisor),
        "sizes": prediction.shape,
        "kept": [_kept(p) for p in kept.values()],
        "room": " + ".join(_entries(p.shape) for p in kept.values()) or "0",
        "labels": made.forward.labels is not None,
        "forward": _call(made.forward, given | {n: n for n in kept}, made.forward.labels),
        "backward": _call(made.backward, given | {n: n for n in kept}, made.backward.labels),
    }]  # fmt: skip


def _optimizer(rule: UpdateRule) -> dict[str, Any]:
    places = {name: f"states[{i}]" for i, name in enumerate(rule.states)}
    places |= {rule.parameter: "theta", rule.gradient: "g", "learning_rate": "learning_rate"}
    numbers = [i for i in rule.inputs if i.role == "hyperparameter" and i.name != "learning_rate"]
    places |= {item.name: f"hyperparameter[{i}]" for i, item in enumerate(numbers)}
    if rule.step:
        places[rule.step] = "t"
    arguments = [places[a.name.removesuffix("_out") if a.role == "result" else a.name]
                 for a in kernel_arguments(rule)]  # fmt: skip
    return {
        "name": rule.name,
        "states": list(rule.states),
        "hyperparameters": [i.name for i in numbers],
        "arguments": ", ".join(["count", *arguments]),
    }


def _given(program: Program, views: dict[str, str]) -> dict[str, str]:
    numbers = _hyperparameters(program)
    return views | {n: f"Real(hyperparameter[{i}])" for i, n in enumerate(numbers)}


def _hyperparameters(program: Program) -> list[str]:
    return [i.name for i in program.inputs if not i.is_array]


def _call(function: Function, given: dict[str, str], labels: str | None = None) -> str:
    types = "<Real, Target>" if labels else "<Real>"
    return f"{function.name}{types}({', '.join(given[p.name] for p in function.parameters)})"


def _kept(p: Parameter) -> str:
    view = "Matrix" if width(p.shape) == 2 else "Vector"
    sizes = ", ".join(d for d in p.shape if d != "1")
    return f"const {view}<{p.type}> {p.name}(room.take<{p.type}>({_entries(p.shape)}), {sizes});"


def _entries(shape: Shape) -> str:
    return " * ".join(d for d in shape if d != "1")
