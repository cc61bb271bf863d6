"""The C++ target: one header a layer, which needs nothing but the runtime headers.

Input: a `Derivation`. Output: `<layer>.hpp` and its binding `bindings/<layer>.cpp`. Decisions
about values and passes were made in `lower` and `schedule`, about loops in `cpp_plan`; here they
are written down.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..derivation import Derivation
from ..errors import NotationError
from ..schedule import width
from ..templates import environment, relative_source
from .cpp_binding import binding, stub
from .cpp_context import RESERVED
from .cpp_function import Function, Parameter
from .cpp_header import Header, header
from .cpp_layout import folded, wrapped
from .heading import claims, equation_lines


def render(derivation: Derivation) -> dict[str, str]:
    """Relative path under generated/cpp -> text."""
    name = derivation.name
    check_name(name)
    made = header(derivation.face)
    functions = (made.forward, made.backward)
    return {
        f"{name}.hpp": header_text(derivation, made),
        f"bindings/{name}.cpp": binding(derivation, functions),
        f"{name}.pyi": stub(derivation, functions),
    }


def check_name(name: str) -> None:
    """Refuse a layer or optimizer whose namespace would hide part of the runtime."""
    if name in RESERVED or name in ("python", "Real"):
        raise NotationError(
            f"{name}: a layer of this name would hide part of the C++ runtime; rename it"
        )


def header_text(derivation: Derivation, made: Header) -> str:
    """The text of a layer's header."""
    routines = [_routine(derivation, f) for f in (made.forward, made.backward)]
    return environment().get_template("cpp/layer.hpp.j2").render(
        source=relative_source(derivation.program), title=derivation.program.title,
        name=derivation.name, equations=equation_lines(derivation), pattern=derivation.stored is not None,
        claims=claims(derivation).split("\n"), functions=made.functions, routines=routines,
    )  # fmt: skip


def _routine(derivation: Derivation, function: Function) -> dict[str, object]:
    parameters = [p.declaration for p in function.parameters]
    return {
        "doc": folded(_doc(derivation, function), 4),
        "template": function.template,
        "head": wrapped(f"void {function.name}(", parameters, ") {"),
        "body": folded(list(function.body), 4),
    }


def _doc(derivation: Derivation, function: Function) -> list[str]:
    program = derivation.program
    what = f"The output {program.output_name}"
    if function.name == "backward":
        what = f"The gradients, from the upstream gradient {program.upstream}"
    elif derivation.face.extra_results:
        what += f", and {', '.join(derivation.face.extra_results)} for the backward pass"
    lines = [f"{what}."]
    for p in function.parameters:
        if not width(p.shape):
            continue
        note = {"pattern": ": where the entries are", "labels": ": Matrix<const Real>, or OneHot<Real> for labels",
                "scratch": ": scratch memory"}.get(p.role, "")  # fmt: skip
        lines.append(f"{p.name} {_shape(p)}{note}")
    return [lines[0], "; ".join(lines[1:]) + "."] if len(lines) > 1 else lines


def _shape(p: Parameter) -> str:
    dims = [d for d in p.shape if d != "1"]
    return f"({dims[0]},)" if len(dims) == 1 else f"({', '.join(dims)})"


def render_package(derivations: Iterable[Derivation]) -> dict[str, str]:
    """The Python package's __init__ and its stub, one name a layer, and the engine's catalogue."""
    from .cpp_catalogue import render_catalogue

    derivations = list(derivations)
    names = sorted(d.name for d in derivations)
    templates = {"__init__.py": "cpp/package.py.j2", "__init__.pyi": "cpp/package.pyi.j2"}
    texts = {p: environment().get_template(t).render(names=names) for p, t in templates.items()}
    return texts | {"catalogue.hpp": render_catalogue(derivations)}
