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
    Box,
    Digits,
    Fenced,
    Lowered,
    Name,
    Operator,
    Over,
    Raised,
    Upright,
    Words,
    row,
)  # fmt: skip
from ..mathml import expression_box, math_element, shape_box
from ..program import Input
from ..scalar import ScalarFunction
from ..scalar_formula import definition
from ..stable import stable_scalar
from ..templates import environment
from .data import role_text
from .equations import Equation, Line
from .graph import draw
from .guarantees import backend_title
from .subject import Subject
from .updates import Statement

_FOLD_BEYOND = 10
_LANGUAGES = {"numpy": "python", "cpp": "cpp", "cuda": "cpp"}


@cache
def _pages() -> jinja2.Environment:
    """The templates' environment with escaping: a title may hold anything."""
    pages = environment().overlay(autoescape=True)
    pages.filters["thousands"] = _thousands
    return pages


def _thousands(number: int) -> str:
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def render_page(template: str, **values: Any) -> str:
    """A template of templates/report with its values, escaped."""
    return _pages().get_template(f"report/{template}").render(**values)


def style_sheet() -> str:
    return render_page("style.css.j2")


def index_page(
    found: Sequence[Mapping[str, Any]],
    networks: Sequence[tuple[str, str]] = (),
    has_gains: bool = False,
) -> str:
    """All layers, grouped by script in the order given, and whole networks by name and title."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for data in found:
        groups.setdefault(data["script"]["path"], []).append(data)
    mutants = [data["verification"].get("mutants") for data in found]
    planted = [m for m in mutants if m]
    names = {g["variable"] for data in found for g in data["gradients"]}
    return render_page(
        "index.html.j2",
        groups=groups,
        networks=networks,
        has_gains=has_gains,
        gradient={name: math_markup(Name(f"D{name}")) for name in sorted(names)},
        count=len(found),
        proved=sum(data["verification"].get("P1") == "proved" for data in found),
        killed=sum(m["killed"] for m in planted),
        planted=sum(m["total"] for m in planted),
    )


def layer_page(subject: Subject, data: Mapping[str, Any], sources: Mapping[str, str]) -> str:
    """One layer or optimizer; sections without content are left out."""
    program, results = subject.program, data["verification"]
    return render_page(
        "layer.html.j2",
        data=data,
        inputs=[_input(item, subject.is_optimizer) for item in subject.inputs],
        equations=[_equation(e) for e in subject.equations],
        gradients=[_equation(e) for e in subject.gradient_equations],
        statements=[_statement(s) for s in subject.statements],
        where=_where(subject),
        sweep=[_line(line) for line in subject.sweep],
        simplified=[_line(line) for line in subject.simplification],
        fold=len(subject.sweep) + len(subject.simplification) > _FOLD_BEYOND,
        upstream=math_markup(Name(program.upstream)) if program else "",
        stable=_stable_forms(subject),
        drawing=draw(program) if program else None,
        sources=[_source(target, text) for target, text in sources.items()],
        mutants=results.get("mutants"),
        edges=_edges(results.get("P5")),
    )


def _edges(result: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Edge cases, each once, with the backends it was checked for and those that fail it."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    result = result or {}
    for case in (*result.get("cases", ()), *result.get("limitations", ())):
        key = (case["name"], case["promise"])
        row = rows.setdefault(key, {"name": key[0], "promise": key[1], "on": [], "failed": []})
        where = backend_title(case.get("backend", ""))
        row["on" if case["passed"] else "failed"].append(where)
    return list(rows.values())


def _statement(stated: Statement) -> dict[str, Any]:
    formulas = [Markup(formula) for formula in stated.mathml]  # noqa: S704 - `formula` escapes
    return {"name": stated.name, "words": stated.words, "scope": stated.scope,
            "formulas": formulas}  # fmt: skip


def primitives_page() -> str:
    """Every primitive, its meaning and its gradient rule."""
    proved = primitives.prove_rules()
    examples = primitives.examples()
    rows = []
    for name, entry in primitives.PRIMITIVES.items():
        found = examples.get(name, [])
        rows.append({
            "name": name,
            "meaning": _typeset(entry.formula),
            "equations": [math for node in found[-2:] for math in _rule(node)],
            "proved": proved.get(name),
        })  # fmt: skip
    return render_page("primitives.html.j2", rows=rows)


def _typeset(formula: str) -> Markup:
    """The ASCII of a primitive's meaning with its signs, indices and exponents."""
    text = str(escape(formula.replace("(.)", "⊙").replace("inf", "∞")))
    text = re.sub(r"\b1_([A-Z])", r"<b>1</b><sub>\1</sub>", text)
    text = re.sub(r"_([a-z])\b", r"<sub>\1</sub>", text)
    return Markup(re.sub(r"\^([A-Za-z])", r"<sup>\1</sup>", text))  # noqa: S704 - escaped above


def _rule(node: Expr) -> list[Markup]:
    """Y = f(A) and the gradient of every operand, DY generic."""
    gradients = primitives.primitive(node.op).gradient(node, ex.symbol("DY", node.shape))
    parts = [math_markup(row(Name("Y"), Operator("="), expression_box(node)))]
    for argument, gradient in zip(node.args, gradients, strict=True):
        if argument.op == "symbol" and gradient is not None:
            left = Name(f"D{argument.attr}")
            parts.append(math_markup(row(left, Operator("="), expression_box(gradient))))
    return parts


def math_markup(box: Box, alternative: str = "") -> Markup:
    return Markup(math_element(box, alternative))  # noqa: S704 - `formula` escapes names


def _equation(equation: Equation) -> dict[str, Any]:
    return {
        "math": Markup(equation.mathml),  # noqa: S704 - `formula` escapes names
        "shape": "" if equation.right.is_scalar else " × ".join(equation.shape),
    }


def _line(line: Line) -> dict[str, Any]:
    equations = [_equation(e) for e in line.equations]
    return {"rule": line.rule, "remark": line.remark, "equations": equations}


def _input(item: Input, entry_only: bool) -> dict[str, Any]:
    """x ∈ its space; an optimizer's arrays may have any shape."""
    if entry_only and item.role in ("parameter", "gradient", "state"):
        return {"math": math_markup(Name(item.name)), "role": role_text(item)}
    if item.role == "step":
        counted = row(Name(item.name), Operator("="), Words("1, 2, 3, …"))
        return {"math": math_markup(counted), "role": role_text(item)}
    space = row(Name(item.name), Operator("∈"), _space(item.shape, item.domain))
    return {"math": math_markup(space), "role": role_text(item)}


def _space(shape: ex.Shape, domain: str) -> Box:
    if domain == "unit":
        return Fenced(row(Digits("0"), Operator(","), Digits("1")), "[)")
    if domain == "share":
        return Fenced(row(Digits("0"), Operator(","), Digits("1")), "[]")
    real: Box = Upright("ℝ")
    if domain in ("positive", "nonnegative"):
        sign = Operator(">" if domain == "positive" else "≥")
        real = Lowered(real, row(sign, Digits("0")))
    return real if shape == ("1", "1") else Raised(real, shape_box(shape))


def _where(subject: Subject) -> list[Markup]:
    lines = [math_markup(definition(f)) for f in subject.functions]
    divisor = subject.program.divisor if subject.program else None
    if divisor is not None:
        scale = row(Name("scale"), Operator("="), Over(Digits("1"), expression_box(divisor)))
        words = Words('\N{NO-BREAK SPACE}for the mean, 1 with reduction="sum"')
        lines.append(math_markup(row(scale, words)))
    return lines


def _stable_forms(subject: Subject) -> list[Markup]:
    """Scalar functions that the kernels compute by another, proved equal, formula."""
    forms = []
    for f in subject.functions:
        form = _stable_form(f)
        if form is not None:
            forms.append(math_markup(definition(f, form)))
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
