"""The HTML pages: data for the templates in templates/report, which hold all of the presentation.

Static pages without scripts and with one style sheet. Text from derivation scripts is escaped by
Jinja2; what is marked safe is MathML from `formula` and code from Pygments, which escape it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup, escape
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

from .. import expression as ex
from .. import primitives
from ..errors import GradwrightError
from ..expression import Expr
from ..formula import (
    Box, Digits, Lowered, Name, Operator, Over, Raised, Upright, Words, row,
)  # fmt: skip
from ..mathml import expression_box, math_element, shape_box
from ..scalar import ScalarFunction
from ..scalar_formula import definition
from ..stable import stable_scalar
from ..templates import environment
from .data import functions_of, number_text
from .equations import (
    Equation, Line, forward_equations, gradient_equations, simplification_lines, sweep_lines,
)  # fmt: skip
from .graph import draw
from .guarantees import backend_title

_FOLD_BEYOND = 10
_LANGUAGES = {"numpy": "python", "cpp": "cpp", "cuda": "cpp"}


@cache
def _pages() -> jinja2.Environment:
    """The templates' environment with escaping: a title may hold anything."""
    pages = environment().overlay(autoescape=True)
    pages.filters["thousands"] = lambda number: f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    return pages


def _render(template: str, **values: Any) -> str:
    return _pages().get_template(f"report/{template}").render(**values)


def style_sheet() -> str:
    return _render("style.css.j2")


def index_page(found: Sequence[Mapping[str, Any]]) -> str:
    """All layers, grouped by script in the order given."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for data in found:
        groups.setdefault(data["script"]["path"], []).append(data)
    mutants = [data["verification"].get("mutants") for data in found]
    planted = [m for m in mutants if m]
    return _render(
        "index.html.j2",
        groups=groups,
        gradient={name: _math(Name(f"D{name}")) for data in found for name in data["variables"]},
        count=len(found),
        proved=sum(data["verification"].get("P1") == "proved" for data in found),
        killed=sum(m["killed"] for m in planted),
        planted=sum(m["total"] for m in planted),
    )


def layer_page(
    derivation: Any, data: Mapping[str, Any], sources: Mapping[str, str]
) -> str:
    """One layer. Sections without content, such as an optimizer's gradient, are left out."""
    program = derivation.program
    has_way = getattr(derivation, "sweep", None) is not None
    sweep = [_line(line) for line in sweep_lines(derivation)] if has_way else []
    simplified = [_line(line) for line in simplification_lines(derivation)] if has_way else []
    return _render(
        "layer.html.j2",
        data=data,
        verification=data["verification"],
        inputs=[_input(item) for item in program.inputs],
        forward=[_equation(e) for e in forward_equations(program)],
        gradients=[_equation(e) for e in gradient_equations(derivation)],
        where=_where(derivation),
        sweep=sweep,
        simplified=simplified,
        fold=len(sweep) + len(simplified) > _FOLD_BEYOND,
        upstream=_math(Name(program.upstream)),
        stable=_stable_forms(derivation),
        drawing=draw(program),
        sources=[_source(target, text) for target, text in sources.items()],
    )


def primitives_page() -> str:
    """Every primitive, its meaning and its gradient rule."""
    proved = primitives.prove_rules()
    examples = primitives._examples()
    rows = []
    for name, entry in primitives.PRIMITIVES.items():
        found = examples.get(name, [])
        rows.append({
            "name": name,
            "meaning": _typeset(entry.formula),
            "equations": [math for node in found[-2:] for math in _rule(node)],
            "proved": proved.get(name),
        })  # fmt: skip
    return _render("primitives.html.j2", rows=rows)


def _typeset(formula: str) -> Markup:
    """The ASCII of a primitive's meaning with its signs, indices and exponents."""
    text = str(escape(formula.replace("(.)", "⊙").replace("inf", "∞")))
    text = re.sub(r"\b1_([A-Z])", r"<b>1</b><sub>\1</sub>", text)
    text = re.sub(r"_([a-z])\b", r"<sub>\1</sub>", text)
    return Markup(re.sub(r"\^([A-Za-z])", r"<sup>\1</sup>", text))  # noqa: S704 - escaped above


def _rule(node: Expr) -> list[Markup]:
    """Y = f(A) and the gradient of every operand, DY generic."""
    gradients = primitives.primitive(node.op).gradient(node, ex.symbol("DY", node.shape))
    parts = [_math(row(Name("Y"), Operator("="), expression_box(node)))]
    for argument, gradient in zip(node.args, gradients, strict=True):
        if argument.op == "symbol" and gradient is not None:
            left = Name(f"D{argument.attr}")
            parts.append(_math(row(left, Operator("="), expression_box(gradient))))
    return parts


def _math(box: Box, alternative: str = "") -> Markup:
    return Markup(math_element(box, alternative))  # noqa: S704 - `formula` escapes names


def _equation(equation: Equation) -> dict[str, Any]:
    return {
        "math": Markup(equation.mathml),  # noqa: S704 - `formula` escapes names
        "shape": "scalar" if equation.right.is_scalar else " × ".join(equation.shape),
    }


def _line(line: Line) -> dict[str, Any]:
    equations = [_equation(e) for e in line.equations]
    return {"rule": line.rule, "remark": line.remark, "equations": equations}


def _input(item: Any) -> dict[str, Any]:
    space = row(Name(item.name), Operator("∈"), _space(item.shape, item.domain))
    roles = {"variable": "variable", "hyperparameter": "hyperparameter"}
    default = "" if item.default is None else f", default {number_text(item.default)}"
    return {"math": _math(space), "role": roles.get(item.role, f"{item.role}, no gradient") + default}


def _space(shape: ex.Shape, domain: str) -> Box:
    if domain == "unit":
        return row(Operator("[", prefix=True), Digits("0"), Operator(","), Digits("1"), Operator(")"))
    real: Box = Upright("ℝ")
    if domain in ("positive", "nonnegative"):
        sign = Operator(">" if domain == "positive" else "≥")
        real = Lowered(real, row(sign, Digits("0")))
    return real if shape == ("1", "1") else Raised(real, shape_box(shape))


def _where(derivation: Any) -> list[Markup]:
    lines = [_math(definition(f)) for f in functions_of(derivation)]
    divisor = derivation.program.divisor
    if divisor is not None:
        scale = row(Name("scale"), Operator("="), Over(Digits("1"), expression_box(divisor)))
        words = Words('\N{NO-BREAK SPACE}for the mean, 1 with reduction="sum"')
        lines.append(_math(row(scale, words)))
    return lines


def _stable_forms(derivation: Any) -> list[Markup]:
    """Scalar functions that the kernels compute by another, proved equal, formula."""
    forms = []
    for f in functions_of(derivation):
        form = _stable_form(f)
        if form is not None:
            forms.append(_math(definition(f, form)))
    return forms


def _stable_form(f: ScalarFunction) -> Any:
    try:
        form = stable_scalar(f).expr
    except GradwrightError:
        return None
    return None if form == f.expr or type(form).__name__ == f.name else form


def _source(target: str, text: str) -> dict[str, Any]:
    lexer = get_lexer_by_name(_LANGUAGES.get(target, "text"))
    code = highlight(text, lexer, HtmlFormatter(nowrap=True))
    return {"title": backend_title(target), "code": Markup(code)}  # noqa: S704 - Pygments escapes
