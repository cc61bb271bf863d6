"""Boxes as LaTeX for math mode with amsmath.

Guaranteed: balanced ASCII whatever the names are; text from scripts is escaped here.
"""

from __future__ import annotations

from functools import singledispatch

from .formula import (
    DIGITS,
    GREEK,
    Box,
    Call,
    Cases,
    Digits,
    Fenced,
    Lowered,
    Name,
    Ones,
    Operator,
    Over,
    Raised,
    Root,
    Row,
    Summed,
    Times,
    Upright,
    Words,
    is_tall,
    letters,
    separated,
)  # fmt: skip

_GREEK = {letter: f"\\{'lambda' if n == 'lambd' else n}" for n, letter in GREEK.items()}
_OPERATORS = {
    "⊙": r" \odot ", "⊘": r" \oslash ", "−": " - ", "+": " + ", "=": " = ", "≥": r" \ge ",
    "≤": r" \le ", "≠": r" \ne ", "∧": r" \land ", "∨": r" \lor ", "¬": r" \lnot ",
    "×": r" \times ", "∈": r" \in ", ",": r",\, ", "<": " < ", ">": " > ", "⊤": r"\top",
    "←": r" \gets ", "→": r" \to ", "′": "'",
}  # fmt: skip
_SYMBOLS = {"∂": r"\partial ", "ℝ": r"\mathbb{R}"}


@singledispatch
def latex(box: Box) -> str:
    """LaTeX of a box, for math mode with amsmath."""
    raise TypeError(f"{type(box).__name__} has no LaTeX; add it to formula_latex.py")


def _latex_text(text: str) -> str:
    special = {"\\": r"\backslash ", "^": r"\hat{\,}", "~": r"\sim ", "\N{NO-BREAK SPACE}": "~"}
    special |= {c: f"\\{c}" for c in "_#$%&{}"}
    return "".join(special.get(c, c) for c in text)


@latex.register
def _(box: Name) -> str:
    """Runs of Latin letters in one italic, Greek letters as commands."""
    pieces: list[str] = []
    run = ""
    for character in letters(box.text):
        if character in _GREEK:
            pieces += [_italic(run), _GREEK[character] + " "]
            run = ""
        elif character in DIGITS:
            pieces += [_italic(run), f"_{{{DIGITS[character]}}}"]
            run = ""
        else:
            run += character
    return "".join([*pieces, _italic(run)]).strip() or "{}"


def _italic(run: str) -> str:
    if len(run) <= 1:
        return _latex_text(run)
    return f"\\mathit{{{_latex_text(run)}}}"


@latex.register
def _(box: Upright) -> str:
    if box.text in _SYMBOLS:
        return _SYMBOLS[box.text]
    return f"\\operatorname{{{_latex_text(box.text)}}}"


@latex.register
def _(box: Digits) -> str:
    return box.text


@latex.register
def _(_box: Ones) -> str:
    return r"\mathbf{1}"


@latex.register
def _(box: Operator) -> str:
    text = _OPERATORS.get(box.text, _latex_text(box.text))
    return text.strip() if box.prefix else text


@latex.register
def _(_box: Times) -> str:
    return r"\, "


@latex.register
def _(box: Words) -> str:
    return f"\\text{{{_latex_text(box.text)}}}"


@latex.register
def _(box: Row) -> str:
    return "".join(latex(part) for part in box.parts)


@latex.register
def _(box: Over) -> str:
    return f"\\frac{{{latex(box.above)}}}{{{latex(box.below)}}}"


@latex.register
def _(box: Raised) -> str:
    return f"{_grouped(box.base)}^{{{latex(box.above).strip()}}}"


@latex.register
def _(box: Lowered) -> str:
    return f"{_grouped(box.base)}_{{{latex(box.below).strip()}}}"


def _grouped(base: Box) -> str:
    """A base in braces where it might have an index or exponent of its own."""
    simple = isinstance(base, Name | Upright | Digits | Ones | Fenced)
    return latex(base) if simple else f"{{{latex(base)}}}"


@latex.register
def _(box: Root) -> str:
    return f"\\sqrt{{{latex(box.body)}}}"


@latex.register
def _(box: Fenced) -> str:
    left, right = box.brackets[0], box.brackets[1]
    if is_tall(box.body):
        left, right = f"\\left{left}", f"\\right{right}"
    return f"{left}{latex(box.body)}{right}"


@latex.register
def _(box: Call) -> str:
    return f"{latex(box.function)}{latex(Fenced(separated(box.arguments, Operator(','))))}"


@latex.register
def _(box: Summed) -> str:
    start = latex(Row((box.index, Operator("="), box.below)))
    return f"\\sum_{{{start}}}^{{{latex(box.above)}}} {latex(box.body)}"


@latex.register
def _(box: Cases) -> str:
    rows = r" \\ ".join(f"{latex(value)} & {latex(condition)}" for value, condition in box.rows)
    return f"\\begin{{cases}} {rows} \\end{{cases}}"
