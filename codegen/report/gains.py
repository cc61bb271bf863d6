"""The report page of the gains: the mean squares of every activation and what follows for weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy as sp

from ..formula import Box, Digits, Operator, Words, row
from ..gains import DIGITS, Gain, Moment
from ..scalar_formula import definition, scalar_box
from .pages import math_markup, render_page

_SHOWN = 6
_LONGEST = 60


def gains_page(gains: Sequence[Gain]) -> str:
    """One row for each activation."""
    rows = [
        {
            "name": gain.name,
            "definition": math_markup(definition(gain.function)),
            "mean_square": _moment("E[f(z)²]", gain.mean_square),
            "slope_square": _moment("E[f′(z)²]", gain.slope_square),
            "is_closed": gain.mean_square.closed is not None,
            "square": _number(1 / _at_defaults(gain)) if _has_defaults(gain) else "",
        }
        for gain in gains
    ]
    return render_page("gains.html.j2", rows=rows, digits=DIGITS)


def _has_defaults(gain: Gain) -> bool:
    return all(default is not None for _, default in gain.parameters)


def _at_defaults(gain: Gain) -> sp.Expr:
    values = {name: sp.Rational(str(default)) for name, default in gain.parameters}
    return gain.mean_square.value.subs(
        {s: values[s.name] for s in gain.mean_square.value.free_symbols if isinstance(s, sp.Symbol)}
    )


def _number(value: sp.Expr) -> str:
    return f"{float(value):.{_SHOWN}g}"


def _moment(name: str, moment: Moment) -> Any:
    """Its closed form and value, or its digits."""
    parts: list[Box] = [Words(name), Operator("=")]
    if moment.closed is None:
        return math_markup(row(*parts, Digits(str(moment.digits))))
    if sp.count_ops(moment.closed) <= _LONGEST:
        parts.append(scalar_box(moment.closed))
    else:
        parts.append(Words("a closed form of many terms, in generated/gains.py"))
    if not moment.closed.free_symbols and not moment.closed.is_Rational:
        parts += [Operator("≈"), Digits(_number(moment.closed))]
    return math_markup(row(*parts))
