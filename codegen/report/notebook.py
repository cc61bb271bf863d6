"""Derivations in a notebook: formulas there, text in a terminal.

The helpers return MIME bundles for `_repr_mimebundle_`: MathML for a browser, LaTeX for paper,
plain text for everything else. The notebook picks what it can show.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from ..expression import Expr
from ..formula import Words
from ..formula_latex import latex
from .equations import Equation, Line, derivation_lines, named
from .subject import Subject

Bundle = dict[str, str]


def derivation_bundle(derivation: Any) -> Bundle:
    """The forward equations and the gradients of a layer, or the rule of an optimizer."""
    subject = Subject(derivation)
    lines = [Line("", "", (e,)) for e in [*subject.equations, *subject.gradient_equations]]
    return {**lines_bundle(lines), "text/plain": repr(derivation)}


def step_bundle(rule: str, reason: str, gradients: Iterable[tuple[str, Expr]]) -> Bundle:
    """One step of the simplification, with all gradients after it."""
    equations = tuple(named(f"D{name}", expr, {}) for name, expr in gradients)
    return lines_bundle([Line(rule, reason, equations)])


def way_bundle(derivation: Any) -> Bundle:
    """All steps from the definition to the gradients, each named by its rule."""
    return lines_bundle(derivation_lines(derivation))


def lines_bundle(lines: Iterable[Line]) -> Bundle:
    found = [(_words(line), e) for line in lines for e in line.equations]
    rows = [_latex_row(words, e) for words, e in found]
    body = " \\\\\n".join(rows)
    return {
        "text/plain": "\n".join(f"{words}: {e.text}" if words else e.text for words, e in found),
        "text/html": "".join(_html_row(words, e) for words, e in found),
        "text/latex": f"$$\n\\begin{{aligned}}\n{body}\n\\end{{aligned}}\n$$",
    }


def _words(line: Line) -> str:
    return f"{line.rule}: {line.remark}".strip(": ")


def _latex_row(words: str, equation: Equation) -> str:
    formula = equation.latex.replace(" = ", " &= ", 1)
    return f"{formula} && {latex(Words(words))}" if words else formula


def _html_row(words: str, equation: Equation) -> str:
    remark = f"<small>{escape(words)}</small>" if words else ""
    return f'<div style="margin:0.4em 0">{equation.mathml} {remark}</div>'
