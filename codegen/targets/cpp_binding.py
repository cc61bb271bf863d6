"""The Python face of the C++ kernels: one binding and one type stub a layer, and the package.

Input: a `Derivation`. Output: `bindings/<layer>.cpp`, which `cpp/python/layer.hpp` turns into a
module with `forward`, `backward` and `vjp`, and `<layer>.pyi` for type checkers. Arguments, names
and results are those of the NumPy module; what they must satisfy is checked here, before a kernel
runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .. import expression as ex
from ..derivation import Derivation
from ..expression import Expr
from ..program import Input, Program, needs_two_samples
from ..schedule import width
from ..sparse import ENTRIES, PATTERN_ARGUMENTS
from ..templates import environment, relative_source
from .cpp_function import Function, Parameter
from .cpp_layout import folded
from .heading import claims

# Names of the bindings' own code, which a script's symbols must not hide.
_TAKEN = frozenset({
    "call", "zero", "target", "Real", "Call", "Size", "Input", "Output", "Scratch", "Domain", "PatternInput",
    "run", "finish", "with_target", "std", "math",
})  # fmt: skip


@dataclass(frozen=True)
class _Argument:
    """An argument of a Python call: an array, a number or the reduction."""

    name: str
    shape: ex.Shape
    kind: str
    input: Input | None = None


def binding(derivation: Derivation, functions: tuple[Function, Function]) -> str:
    """The text of `bindings/<layer>.cpp` for the header's forward and backward functions."""
    template = environment().get_template("cpp/binding.cpp.j2")
    return template.render(**_binding(derivation, functions))


def stub(derivation: Derivation, functions: tuple[Function, Function]) -> str:
    """The text of `<layer>.pyi`."""
    del functions
    return environment().get_template("cpp/layer.pyi.j2").render(**_stub(derivation))


def _binding(
    derivation: Derivation, functions: tuple[Function, Function]
) -> dict[str, Any]:
    program, kernel = derivation.face.program, derivation.face
    given = _forward_arguments(program)
    back = _backward_arguments(derivation)
    first = _first_matrix(program)
    checks = []
    if program.is_loss:
        checks.append((f"{first.shape[0]} > 0", "at least one sample", first.name))
    if needs_two_samples(program):
        checks.append((f"{first.shape[0]} != 1", "more than one sample", first.name))
    return {
        "source": relative_source(program),
        "name": derivation.name,
        "pattern": derivation.stored is not None,
        "doc": _literal(f"{program.title}\n\n{claims(derivation)}"),
        "routines": [
            _routine(derivation, functions[0], given, checks),
            _routine(derivation, functions[1], back, []),
        ],
        "forward_parameters": _parameters(given),
        "backward_parameters": _parameters(back),
        "forward_results": ", ".join(f'"{r}"' for r in kernel.forward.results),
        "backward_results": ", ".join(f'"{r}"' for r in kernel.backward.results),
        "saved": ", ".join(_saved(derivation, given, back)),
        "forward_doc": _literal(_signature("forward", given, out=True) + program.title),
        "backward_doc": _literal(
            _signature("backward", back, out=True)
            + f"The gradients from the upstream gradient {program.upstream}."
        ),
        "vjp_doc": _literal(_signature("vjp", given, out=False) + "The output and its pullback."),
    }


def _first_matrix(program: Program) -> Input:
    return next((i for i in program.inputs if width(i.shape) == 2), program.inputs[0])


def _forward_arguments(program: Program) -> list[_Argument]:
    found = [a for i in program.inputs for a in _argument(i.name, i.shape, i)]
    return found + _reduction(program, any_scale=True)


def _backward_arguments(derivation: Derivation) -> list[_Argument]:
    program, routine = derivation.face.program, derivation.face.backward
    inputs = {i.name: i for i in program.inputs}
    found = [
        a for n, s in routine.arguments if n != "scale" for a in _argument(n, s, inputs.get(n))
    ]
    return found + _reduction(program, any(n == "scale" for n, _ in routine.arguments))


def _argument(name: str, shape: ex.Shape, item: Input | None) -> list[_Argument]:
    if item is not None and item.role == "hyperparameter":
        return [_Argument(name, shape, "hyperparameter", item)]
    if item is not None and item.role == "pattern":
        return [_Argument(n, shape, "array") for n in PATTERN_ARGUMENTS]
    return [_Argument(name, shape, "array" if width(shape) else "number", item)]


def _reduction(program: Program, any_scale: bool) -> list[_Argument]:
    if program.divisor is None or not any_scale:
        return []
    return [_Argument("reduction", ("1", "1"), "reduction")]


def _parameters(arguments: Sequence[_Argument]) -> str:
    parts = []
    for a in arguments:
        if a.kind == "reduction":
            parts.append('{"reduction", "mean"}')
        elif a.kind == "hyperparameter" and a.input is not None and a.input.default is not None:
            parts.append(f'{{"{a.name}", {a.input.default!r}}}')
        else:
            parts.append(f'{{"{a.name}"}}')
    return ", ".join(parts)


def _saved(
    derivation: Derivation, given: Sequence[_Argument], back: Sequence[_Argument]
) -> list[str]:
    places = {a.name: i for i, a in enumerate(given)}
    results = {name: i for i, name in enumerate(derivation.face.forward.results)}
    found = []
    for argument in back[1:]:
        if argument.name in places:
            found.append(f"{{Saved::argument, {places[argument.name]}}}")
        else:
            found.append(f"{{Saved::result, {results[argument.name]}}}")
    return found


def _routine(
    derivation: Derivation,
    function: Function,
    arguments: Sequence[_Argument],
    checks: Sequence[tuple[str, str, str]],
) -> dict[str, Any]:
    """The pieces of one bound function."""
    places = {a.name: i for i, a in enumerate(arguments)}
    arrays = [p for p in function.parameters if p.role == "argument" and width(p.shape)]
    floats = [places[p.name] for p in arrays if p.type == "Real"]
    labels = next((p for p in function.parameters if p.role == "labels"), None)
    sizes = dict.fromkeys(d for p in function.parameters for d in p.shape if d != "1")
    lines = [_input(p, places) for p in arrays]
    indices, indptr = (places.get(n) for n in PATTERN_ARGUMENTS)
    lines += [
        f"PatternInput {_local(p.name)}(call, {indices}, {indptr}, {', '.join(p.shape)}, {ENTRIES});"
        for p in function.of_role("pattern")
    ]
    lines += [_domain(p, derivation.face.program, places) for p in arrays]
    lines += [_number(a, places) for a in arguments if a.kind in ("number", "hyperparameter")]
    lines += [
        f'call.require({condition}, "{wanted}", {places[name]});'
        for condition, wanted, name in checks
    ]
    inner = _scale(derivation.face.program, function, places)
    results = function.of_role("result")
    inner += [_output(p, i) for i, p in enumerate(results)]
    inner += [f"Scratch<{p.type}> {_local(p.name)}({_call_sizes(p)});"
              for p in function.of_role("scratch")]  # fmt: skip
    inner.append(_run(derivation, function))
    inner.append(f"return finish(call, {', '.join(_local(p.name) for p in results)});")
    return {
        "name": function.name,
        "opening": f"call.with_type({{{', '.join(map(str, floats))}}}, " if floats else "",
        "closing": ")" if floats else "(0.0)",
        "sizes": ", ".join(f'{d}("{d}")' for d in sizes),
        "lines": folded([line for line in lines if line], 8),
        "inner": folded(inner, 12 if labels is not None else 8),
        "target": None if labels is None else {
            "float": floats[0], "place": places[labels.name], "sizes": ", ".join(labels.shape),
        },
    }  # fmt: skip


def _local(name: str) -> str:
    """The C++ variable of an argument or result."""
    return f"{name}_" if name in _TAKEN else name


def _input(p: Parameter, places: dict[str, int]) -> str:
    dims = ", ".join(d for d in p.shape if d != "1")
    return f"Input<{p.type}> {_local(p.name)}(call, {places[p.name]}, {dims});"


def _domain(p: Parameter, program: Program, places: dict[str, int]) -> str:
    domains = {i.name: i.domain for i in program.inputs if i.is_array}
    if domains.get(p.name) in ("nonnegative", "positive"):
        return f"{_local(p.name)}.require_nonnegative(call, {places[p.name]});"
    return ""


def _number(argument: _Argument, places: dict[str, int]) -> str:
    place = places[argument.name]
    if argument.kind == "hyperparameter" and argument.input is not None:
        domain = f"Domain::{argument.input.domain}"
        return f"const Real {_local(argument.name)} = call.hyperparameter<Real>({place}, {domain});"
    return f"const Real {_local(argument.name)} = call.number<Real>({place});"


def _scale(program: Program, function: Function, places: dict[str, int]) -> list[str]:
    if not any(p.name == "scale" for p in function.parameters):
        return []
    assert program.divisor is not None
    mean = f"call.is_mean({places['reduction']})"
    divisor = size_formula(program.divisor)
    return [f"const Real scale = {mean} ? Real(1.0 / ({divisor})) : Real(1);"]


def size_formula(expr: Expr) -> str:
    """A product or quotient of sizes as a double."""
    if expr.op == "size":
        return f"static_cast<double>({expr.attr})"
    if expr.op == "number":
        return f"{float(expr.attr)!r}"  # type: ignore[arg-type]
    if expr.op in ("hadamard", "add"):
        sign = " * " if expr.op == "hadamard" else " + "
        return f"({sign.join(size_formula(a) for a in expr.args)})"
    if expr.op == "power":
        return f"std::pow({size_formula(expr.args[0])}, {float(expr.attr)!r})"  # type: ignore[arg-type]
    return size_formula(expr.args[0])


def _call_sizes(p: Parameter) -> str:
    return ", ".join(["call", *(d for d in p.shape if d != "1")])


def _output(p: Parameter, place: int) -> str:
    dims = [d for d in p.shape if d != "1"]
    return f"Output<{p.type}> {_local(p.name)}({', '.join(['call', str(place), *dims])});"


def _run(derivation: Derivation, function: Function) -> str:
    widest = max(function.parameters, key=lambda p: width(p.shape))
    work = " * ".join(d for d in widest.shape if d != "1") or "1"
    types = "<Real, decltype(target.matrix())>" if function.labels else "<Real>"
    views = [_view(p) for p in function.parameters]
    kernel = f"{derivation.name}::{function.name}{types}"
    return f"run({work}, {kernel}, {', '.join(views)});"


def _view(p: Parameter) -> str:
    if p.role == "labels":
        return "target.matrix()"
    if p.role == "pattern":
        return f"{_local(p.name)}.pattern()"
    if not width(p.shape):
        return f"{_local(p.name)}.scalar()" if p.role == "result" else _local(p.name)
    return f"{_local(p.name)}.{'matrix' if width(p.shape) == 2 else 'vector'}()"


def _signature(name: str, arguments: Sequence[_Argument], out: bool) -> str:
    parts = []
    for a in arguments:
        if a.kind == "reduction":
            continue
        default = "" if a.input is None or a.input.default is None else f"={a.input.default!r}"
        parts.append(f"{a.name}{default}")
    options = ["reduction='mean'"] if any(a.kind == "reduction" for a in arguments) else []
    options += ["out=None"] if out else []
    if options:
        parts += ["*", *options]
    return f"{name}({', '.join(parts)})\n--\n\n"


def _literal(text: str) -> str:
    """A C++ string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _stub(derivation: Derivation) -> dict[str, Any]:
    program, kernel = derivation.face.program, derivation.face
    tuples = []
    if kernel.extra_results:
        tuples.append({"name": "Forward", "fields": _fields(derivation, kernel.forward.results)})
    if len(program.variables) > 1:
        gradients = kernel.gradient_names
        tuples.append({"name": "Gradients", "fields": [(n, "Array") for n in gradients]})
    scalar = "np.floating[Any]"
    output = scalar if program.is_loss else "Array"
    return {
        "source": relative_source(program),
        "tuples": tuples,
        "forward": _typed(_forward_arguments(program), out=True),
        "backward": _typed(_backward_arguments(derivation), out=True),
        "vjp": _typed(_forward_arguments(program), out=False),
        "output": output,
        "forward_returns": "Forward" if kernel.extra_results else output,
        "gradients": "Gradients" if len(program.variables) > 1 else "Array",
    }


def _fields(derivation: Derivation, names: Iterable[str]) -> list[tuple[str, str]]:
    shape = derivation.face.forward.shape
    return [(n, "Array" if width(shape(n)) else "np.floating[Any]") for n in names]


def _typed(arguments: Sequence[_Argument], out: bool) -> str:
    parts = []
    for a in arguments:
        if a.kind == "reduction":
            continue
        kind = "Array" if a.kind == "array" else "float"
        default = "" if a.input is None or a.input.default is None else " = ..."
        parts.append(f"{a.name}: {kind}{default}")
    options = ["reduction: str = ..."] if any(a.kind == "reduction" for a in arguments) else []
    options += ["out: Any = ..."] if out else []
    return ", ".join([*parts, *(["*", *options] if options else [])])
