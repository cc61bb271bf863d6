"""Scalar functions of arrays as statements in place: one array holds the value as it grows.

Input: a stable form. Output: a function that writes into `out`. Of the operands of a sum or a
product the one that needs the most memory comes first, so that few arrays live at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sympy as sp

from ..scalar import with_decimals
from ..stable import StableScalar
from .numpy_scalar import (
    condition_source,
    function_name,
    hides_nan,
    product_parts,
    scalar_source,
    shared_calls,
    sum_parts,
)

_SIGNS = {"np.add": "+", "np.subtract": "-", "np.multiply": "*", "np.divide": "/"}
_COMPARISONS = {">": "np.greater", ">=": "np.greater_equal", "<": "np.less", "<=": "np.less_equal"}
_READS_TWICE = ("_erfc", "_erf")


def array_function(
    name: str, stable: StableScalar, helpers: set[str], in_place: bool
) -> dict[str, Any]:
    """The function as lines. Where its first variable is not as large as its value, it is one
    expression: there is no array of the right size to begin with."""
    variables = [v.name for v in stable.function.variables]
    x = stable.function.variables[0]
    writer = _Writer(stable.function.variables, helpers)
    writer.bound(stable)
    shared, expr = shared_calls(stable)
    if in_place:
        for shared_name, call in shared:
            writer.share(call, shared_name)
    else:
        writer.lines += [f"{n} = {scalar_source(c, helpers)}" for n, c in shared]
    value = writer.fresh("value")
    if in_place:
        writer.compute(expr, value, "out")
    else:
        source = scalar_source(expr, helpers)
        writer.lines.append(f"{value} = np.multiply({source}, 1, out=out, dtype={variables[0]}.dtype)")
    if hides_nan(expr, x) and not _is_maximum(expr, x):
        helpers.add("_with_nan")
        value = f"_with_nan({value}, {variables[0]})"
    shown = with_decimals(stable.function.expr)
    plain = not shared and expr == stable.function.expr
    doc = f"{shown}." if plain else f"{shown} in a form that stays finite."
    lines = _returned(writer.lines, value)
    return {
        "name": name, "arguments": ", ".join([*variables, "out=None"]), "doc": doc, "body": lines,
        "temporaries": len(shared) + writer.made,
    }  # fmt: skip


def _returned(lines: list[str], value: str) -> list[str]:
    """A last statement that computes the value returns it."""
    start = f"{value} = "
    if lines and lines[-1].startswith(start):
        return [*lines[:-1], f"return {lines[-1].removeprefix(start)}"]
    return [*lines, f"return {value}"]


def _is_maximum(expr: sp.Expr, x: sp.Symbol) -> bool:
    """Whether NumPy has it, NaN and all."""
    return bool(expr == sp.Piecewise((x, x > 0), (0, True)))


class _Writer:
    def __init__(self, variables: Sequence[sp.Symbol], helpers: set[str]) -> None:
        self.lines: list[str] = []
        self._x = variables[0]
        self._arrays = {variables[0]}
        self._helpers = helpers
        self._free: list[str] = []
        self.made = 0
        self._taken = {v.name for v in variables} | {"out", "np"}

    def fresh(self, name: str) -> str:
        names = (name, *(f"{name}_{i}" for i in range(2, 99)))
        found = next(n for n in names if n not in self._taken)
        self._taken.add(found)
        return found

    def bound(self, stable: StableScalar) -> None:
        """Keep infinities out of formulas that would multiply them by zero."""
        if stable.lower or stable.upper:
            self._helpers.add("_bounded")
            shown = str(stable.bound) if stable.bound < 10**6 else f"{float(stable.bound)!r}"
            lower, upper = f"-{shown}" if stable.lower else "-np.inf", shown if stable.upper else "np.inf"
            self.lines.append(f"{self._x} = _bounded({self._x}, {lower}, {upper})")

    def share(self, call: sp.Expr, name: str) -> None:
        """Compute a value that is read more than once."""
        self._taken.add(name)
        self.compute(call, name, None)
        self._arrays.add(sp.Symbol(name, real=True))

    def _is_array(self, expr: sp.Expr) -> bool:
        return bool(expr.free_symbols & self._arrays)

    def compute(self, expr: sp.Expr, name: str, out: str | None) -> None:
        """Statements after which `name` holds the value, in `out` if that is given."""
        if not self._is_array(expr):
            self._fill(self._text(expr), name, out)
        elif isinstance(expr, sp.Piecewise):
            self._branches(expr, name, out)
        elif isinstance(expr, sp.Add):
            self._sum(expr, name, out)
        elif isinstance(expr, sp.Mul):
            self._product(expr, name, out)
        elif isinstance(expr, sp.Pow):
            self._power(expr, name, out)
        elif isinstance(expr, sp.Symbol):
            self._call("np.positive", [expr.name], name, out)
        else:
            self._function(expr, name, out)

    def _text(self, expr: sp.Expr) -> str:
        return scalar_source(expr, self._helpers)

    def _is_inline(self, expr: sp.Expr) -> bool:
        """Without the array, or the array times a number."""
        return self._scaled(expr) is not None or not self._is_array(expr)

    def _scaled(self, expr: sp.Expr) -> tuple[sp.Expr, sp.Symbol] | None:
        """The number and the array of which the expression is the product."""
        rest = [a for a in sp.Mul.make_args(expr) if not a.is_number]
        if len(rest) == 1 and rest[0] in self._arrays:
            return expr / rest[0], rest[0]
        return None

    def _need(self, expr: sp.Expr) -> int:
        """Arrays that live beside the value while it is computed."""
        if self._is_inline(expr):
            return 0
        if isinstance(expr, sp.Add | sp.Mul):
            needs = sorted((self._need(a) for a in expr.args if not self._is_inline(a)), reverse=True)
            return max([needs[0], *(n + 1 for n in needs[1:])]) if needs else 0
        if isinstance(expr, sp.Piecewise):
            *branches, last = [self._need(v) + (not self._is_inline(v)) for v, _ in expr.args]
            return max([last, *branches])
        base = expr.args[0]
        extra = expr.args[1] == 3 if isinstance(expr, sp.Pow) else function_name(expr) in _READS_TWICE
        return self._need(base) + (extra and not self._is_inline(base)) + (extra and not isinstance(expr, sp.Pow))

    def _call(self, function: str, operands: list[str], name: str, out: str | None) -> None:
        """A value in a new array, or in `out`; in place where `out` is the name itself."""
        sign = _SIGNS.get(function)
        if out == name and sign and operands[0] == name:
            self.lines.append(f"{name} {sign}= {operands[1]}")
        elif out == name:
            self.lines.append(f"{function}({', '.join(operands)}, out={out})")
        elif out is None:
            self.lines.append(f"{name} = {function}({', '.join(operands)})")
        else:
            self.lines.append(f"{name} = {function}({', '.join(operands)}, out={out})")

    def _fill(self, text: str, name: str, out: str | None) -> None:
        if out is None:
            self.lines.append(f"{name} = np.full_like({self._x}, {text})")
            return
        if out != name:
            self.lines.append(f"{name} = np.empty_like({self._x}) if {out} is None else {out}")
        self.lines.append(f"{name}[...] = {text}")

    @contextmanager
    def _operand(self, expr: sp.Expr, kind: str) -> Iterator[str]:
        """Source of an operand, computed under a name of its own unless it is short; its array
        is free afterwards for the next one."""
        scaled = self._scaled(expr)
        if not self._is_array(expr) or (scaled and (not self._free or scaled[0] == 1)):
            yield self._text(expr)
            return
        self.made += not self._free
        name, out = (self._free[-1], self._free.pop()) if self._free else (self.fresh(kind), None)
        self.compute(expr, name, out)
        yield name
        self._free.append(name)

    def _costliest(self, operands: Sequence[sp.Expr]) -> sp.Expr | None:
        found = [o for o in operands if not self._is_inline(o)]
        return max(found, key=self._need, default=None)

    def _sum(self, expr: sp.Add, name: str, out: str | None) -> None:
        terms = sum_parts(expr)
        first = self._costliest([t for _, t in terms])
        if first is None:
            rest = self._start_of_sum(terms, name, out)
        else:
            sign = next(s for s, t in terms if t == first)
            rest = [(s, t) for s, t in terms if t != first]
            self.compute(first, name, out)
            if sign == "-":
                place = next((i for i, (s, t) in enumerate(rest) if s == "+"), None)
                if place is None:
                    self._call("np.negative", [name], name, name)
                else:
                    other = rest.pop(place)[1]
                    with self._operand(other, "term") as left:
                        self._call("np.subtract", [left, name], name, name)
        for sign, term in rest:
            function = "np.add" if sign == "+" else "np.subtract"
            with self._operand(term, "term") as right:
                self._call(function, [name, right], name, name)

    def _start_of_sum(
        self, terms: list[tuple[str, sp.Expr]], name: str, out: str | None
    ) -> list[tuple[str, sp.Expr]]:
        """Combine two plain terms, one of them an array; what is left of the others."""
        array = next(part for part in terms if self._is_array(part[1]))
        rest = [part for part in terms if part != array]
        if not isinstance(array[1], sp.Symbol):
            self.compute(array[1] if array[0] == "+" else -array[1], name, out)
            return rest
        other = rest.pop(0)
        left, right = (array, other) if array[0] == "+" else (other, array)
        start = left[1] if left[0] == "+" else -left[1]
        function = "np.add" if right[0] == "+" else "np.subtract"
        self._call(function, [self._text(start), self._text(right[1])], name, out)
        return rest

    def _product(self, expr: sp.Mul, name: str, out: str | None) -> None:
        number, above, below = product_parts(expr)
        first = self._costliest(above)
        if first is not None:
            self.compute(first, name, out)
            above.remove(first)
        elif (under := self._costliest(below)) is not None:
            self.compute(under, name, out)
            below.remove(under)
            head, number = (above.pop(0), number) if above else (number, sp.S.One)
            self._call("np.divide", [self._text(head), name], name, name)
        else:
            above.sort(key=lambda factor: not self._is_array(factor))
            head, number = (number, sp.S.One) if number != 1 or not above else (above.pop(0), number)
            if above:
                self._call("np.multiply", [self._text(head), self._text(above.pop(0))], name, out)
            else:
                self._call("np.divide", [self._text(head), self._text(below.pop(0))], name, out)
        if number == -1:
            self._call("np.negative", [name], name, name)
        elif number != 1:
            self._call("np.multiply", [name, self._text(number)], name, name)
        for function, factors in (("np.multiply", above), ("np.divide", below)):
            for factor in factors:
                with self._operand(factor, "factor") as right:
                    self._call(function, [name, right], name, name)

    def _power(self, expr: sp.Pow, name: str, out: str | None) -> None:
        base, exponent = expr.args
        inline = isinstance(base, sp.Symbol)
        if exponent.is_Rational and exponent < 0:
            self.compute(base ** (-exponent), name, out)
            self._call("np.reciprocal", [name], name, name)
            return
        if not exponent.is_number:
            self.compute(base, name, out)
            self._call("np.power", [name, self._text(exponent)], name, name)
            return
        if not inline:
            self.compute(base, name, out)
            out = name
        held = base.name if inline else name
        if exponent == 3:
            factor = held if inline else self.fresh("factor")
            if not inline:
                self.lines.append(f"{factor} = {held}.copy()")
            self._call("np.square", [held], name, out)
            self._call("np.multiply", [name, factor], name, name)
        elif exponent == 4:
            self._call("np.square", [held], name, out)
            self._call("np.square", [name], name, name)
        elif exponent == 2:
            self._call("np.square", [held], name, out)
        elif exponent == sp.Rational(1, 2):
            self._call("np.sqrt", [held], name, out)
        else:
            self._call("np.power", [held, self._text(exponent)], name, out)

    def _function(self, expr: sp.Expr, name: str, out: str | None) -> None:
        function = function_name(expr)
        argument = expr.args[0]
        if function.startswith("_"):
            self._helpers.add(function)
        if isinstance(argument, sp.Symbol):
            self._call(function, [argument.name], name, out)
        elif function in _READS_TWICE:
            scaled = self._scaled(argument)
            if function == "_erfc" and scaled is not None:
                self._call(function, [scaled[1].name, self._text(scaled[0])], name, out)
            else:
                with self._operand(argument, "argument") as inner:
                    self._call(function, [inner], name, out)
        else:
            self.compute(argument, name, out)
            self._call(function, [name], name, name)

    def _branches(self, expr: sp.Piecewise, name: str, out: str | None) -> None:
        if _is_maximum(expr, self._x):
            self._call("np.maximum", [self._x.name, "0"], name, out)
            return
        if [v for v, _ in expr.args] == [1, 0]:
            self._indicator(expr.args[0][1], name, out)
            return
        *branches, (last, _) = [(v, c) for v, c in expr.args]
        self.compute(last, name, out)
        for value, condition in reversed(branches):
            where = condition_source(condition, self._helpers)
            with self._operand(value, "branch") as shown:
                self.lines.append(f"np.copyto({name}, {shown}, where={where})")

    def _indicator(self, condition: sp.Basic, name: str, out: str | None) -> None:
        """1 where a condition holds, 0 elsewhere, as floats."""
        compare = _COMPARISONS.get(getattr(condition, "rel_op", ""))
        if compare is None or self._x not in condition.args:
            self._fill(condition_source(condition, self._helpers), name, out)
            return
        left, right = (self._text(a) for a in condition.args)
        new = f"np.empty_like({self._x})"
        target = new if out is None else f"{new} if {out} is None else {out}"
        self._call(compare, [left, right], name, name if out == name else target)
