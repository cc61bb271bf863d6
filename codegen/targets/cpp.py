"""The C++ target: one header a layer, which needs nothing but the runtime headers.

Input: a `Derivation`. Output: `<layer>.hpp` and its binding `bindings/<layer>.cpp`. Decisions
about values and passes were made in `lower` and `schedule`, about loops in `cpp_plan`; here they
are written down.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..derivation import Derivation
from ..errors import NotationError
from ..lower import Kernel
from ..schedule import width
from ..templates import environment, relative_source
from .cpp_context import RESERVED
from .cpp_routine import Function, Parameter, write
from .cpp_scalar import ScalarFunctions
from .numpy_target import claims, equation_lines

_WIDTH = 100


@dataclass(frozen=True)
class Header:
    """The functions of a layer's header."""

    functions: tuple[str, ...]
    forward: Function
    backward: Function


def header(kernel: Kernel) -> Header:
    """Both routines of a layer as C++ functions, and the scalar functions they call."""
    inputs = {i.name for i in kernel.program.inputs} | {"forward", "backward", "detail"}
    functions = ScalarFunctions(frozenset(inputs | RESERVED))
    forward = write(kernel, kernel.forward, functions)
    backward = write(kernel, kernel.backward, functions)
    return Header(tuple(functions.sources()), forward, backward)


def render(derivation: Derivation) -> dict[str, str]:
    """Relative path under generated/cpp -> text."""
    _check_layer_name(derivation.name)
    return {f"{derivation.name}.hpp": header_text(derivation)}


def _check_layer_name(name: str) -> None:
    if name in RESERVED or name in ("python", "Real"):
        raise NotationError(
            f"{name}: a layer of this name would hide part of the C++ runtime; rename it"
        )


def header_text(derivation: Derivation) -> str:
    """The text of a layer's header."""
    made = header(derivation.kernel)
    routines = [_routine(derivation, f) for f in (made.forward, made.backward)]
    return environment().get_template("cpp/layer.hpp.j2").render(
        source=relative_source(derivation.program), title=derivation.program.title,
        name=derivation.name, equations=equation_lines(derivation),
        claims=claims(derivation).split("\n"), functions=made.functions, routines=routines,
    )  # fmt: skip


def _routine(derivation: Derivation, function: Function) -> dict[str, object]:
    parameters = [p.declaration for p in function.parameters]
    return {
        "doc": _doc(derivation, function), "template": function.template, "body": function.body,
        "head": wrapped(f"void {function.name}(", parameters, ") {"),
    }  # fmt: skip


def _doc(derivation: Derivation, function: Function) -> list[str]:
    program = derivation.program
    what = f"The output {program.output_name}"
    if function.name == "backward":
        what = f"The gradients, from the upstream gradient {program.upstream}"
    elif derivation.kernel.extra_results:
        what += f", and {', '.join(derivation.kernel.extra_results)} for the backward pass"
    lines = [f"{what}."]
    for p in function.parameters:
        if not width(p.shape):
            continue
        note = {"labels": ": Matrix<const Real>, or OneHot<Real> for labels",
                "scratch": ": scratch memory"}.get(p.role, "")  # fmt: skip
        lines.append(f"{p.name} {_shape(p)}{note}")
    return [lines[0], "; ".join(lines[1:]) + "."] if len(lines) > 1 else lines


def _shape(p: Parameter) -> str:
    dims = [d for d in p.shape if d != "1"]
    return f"({dims[0]},)" if len(dims) == 1 else f"({', '.join(dims)})"


def wrapped(start: str, parts: list[str], end: str, indent: str = "") -> list[str]:
    """Parts separated by commas on as few lines as fit; later lines stand under the first part."""
    pad = " " * len(start)
    if len(pad) > 40:
        pad = indent + "    "
    lines, current = [], start
    for place, part in enumerate(parts):
        text = part + (", " if place < len(parts) - 1 else end)
        if len((current + text).rstrip()) > _WIDTH and current.strip():
            lines.append(current.rstrip())
            current = pad
        current += text
    if not parts:
        current += end
    return [*lines, current]


def render_package(derivations: Iterable[Derivation]) -> dict[str, str]:
    """What depends on the whole set of layers."""
    del derivations
    return {}
