"""Gains at run time: a Python module of formulas and numbers that needs neither SymPy nor NumPy.

Input: gains. Output: the text of `generated/gains.py`, one function for each activation.
"""

from __future__ import annotations

from collections.abc import Iterable

import sympy as sp
from sympy.printing.pycode import PythonCodePrinter

from .gains import DIGITS, Gain
from .templates import environment


def render_gains(gains: Iterable[Gain]) -> str:
    """The module's text."""
    rows = [
        {
            "name": gain.name,
            "signature": ", ".join(_parameter(name, default) for name, default in gain.parameters),
            "formula": _source(gain.mean_square.value),
            "digits": gain.mean_square.digits,
        }
        for gain in gains
    ]
    return environment().get_template("gains.py.j2").render(rows=rows, digits=DIGITS)


def _parameter(name: str, default: float | None) -> str:
    return f"{name}: float" if default is None else f"{name}: float = {default!r}"


def _source(value: sp.Expr) -> str:
    if value.is_number and not value.is_Rational:
        return repr(float(value))
    text: str = PythonCodePrinter().doprint(value)
    return text
