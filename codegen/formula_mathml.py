"""Boxes as presentation MathML.

Guaranteed: well-formed MathML whatever the names are; text from scripts is escaped here. Not
guaranteed: line breaks; a long formula is one line.
"""

from __future__ import annotations

from functools import singledispatch
from html import escape

from .formula import (
    DIGITS,
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


@singledispatch
def mathml(box: Box) -> str:
    """Presentation MathML of a box, without the enclosing `math` element."""
    raise TypeError(f"{type(box).__name__} has no MathML; add it to codegen/formula_mathml.py")


@mathml.register
def _(box: Name) -> str:
    text = escape(letters(box.text))
    if len(text) == 2 and text[1] in DIGITS:
        return f"<msub><mi>{text[0]}</mi><mn>{DIGITS[text[1]]}</mn></msub>"
    return f"<mi>{text}</mi>" if len(text) == 1 else f'<mi class="name">{text}</mi>'


@mathml.register
def _(box: Upright) -> str:
    variant = ' mathvariant="normal"' if len(box.text) == 1 else ""
    return f"<mi{variant}>{escape(box.text)}</mi>"


@mathml.register
def _(box: Digits) -> str:
    return f"<mn>{escape(box.text)}</mn>"


@mathml.register
def _(_box: Ones) -> str:
    return "<mn>\N{MATHEMATICAL BOLD DIGIT ONE}</mn>"


@mathml.register
def _(box: Operator) -> str:
    form = ' form="prefix" lspace="0" rspace="0"' if box.prefix else ""
    return f"<mo{form}>{escape(box.text)}</mo>"


@mathml.register
def _(_box: Times) -> str:
    return '<mo lspace="0.15em" rspace="0.1em">\N{INVISIBLE TIMES}</mo>'


@mathml.register
def _(box: Words) -> str:
    return f"<mtext>{escape(box.text)}</mtext>"


@mathml.register
def _(box: Row) -> str:
    return f"<mrow>{''.join(mathml(part) for part in box.parts)}</mrow>"


@mathml.register
def _(box: Over) -> str:
    return f"<mfrac>{mathml(box.above)}{mathml(box.below)}</mfrac>"


@mathml.register
def _(box: Raised) -> str:
    return f"<msup>{mathml(box.base)}{mathml(box.above)}</msup>"


@mathml.register
def _(box: Lowered) -> str:
    return f"<msub>{mathml(box.base)}{mathml(box.below)}</msub>"


@mathml.register
def _(box: Root) -> str:
    return f"<msqrt>{mathml(box.body)}</msqrt>"


@mathml.register
def _(box: Fenced) -> str:
    left, right = box.brackets[0], box.brackets[1]
    stretchy = "" if is_tall(box.body) else ' stretchy="false"'
    body = mathml(box.body)
    return f"<mrow><mo{stretchy}>{left}</mo>{body}<mo{stretchy}>{right}</mo></mrow>"


@mathml.register
def _(box: Call) -> str:
    arguments = mathml(Fenced(separated(box.arguments, Operator(","))))
    return f"<mrow>{mathml(box.function)}<mo>\N{FUNCTION APPLICATION}</mo>{arguments}</mrow>"


@mathml.register
def _(box: Summed) -> str:
    start = mathml(Row((box.index, Operator("="), box.below)))
    sign = f"<munderover><mo>∑</mo>{start}{mathml(box.above)}</munderover>"
    return f"<mrow>{sign}{mathml(box.body)}</mrow>"


@mathml.register
def _(box: Cases) -> str:
    rows = "".join(
        f'<mtr><mtd style="text-align:left">{mathml(value)}</mtd>'
        f'<mtd style="text-align:left">{mathml(condition)}</mtd></mtr>'
        for value, condition in box.rows
    )
    return f"<mrow><mo>{{</mo><mtable>{rows}</mtable></mrow>"
