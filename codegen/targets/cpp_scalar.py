"""Scalar functions as C++ function templates, in their stable form, branch-free where they can be.

Input: a scalar function of a script. Output: a template over the scalar type that gives NaN for
NaN. Its branches are computed first and selected last, which compilers turn into vector code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import sympy as sp

from ..errors import UnsupportedPrimitive
from ..scalar import ScalarFunction, with_decimals
from ..stable import StableScalar, erf_complement, stable_scalar

_SUM, _PRODUCT, _UNARY, _ATOM = 1, 2, 3, 4
_FUNCTIONS = {
    "exp": "math::exp", "log": "math::log", "log1p": "math::log1p", "expm1": "math::expm1",
    "tanh": "math::tanh", "sigmoid": "math::sigmoid", "softplus": "math::softplus",
    "erf": "math::erf", "erfc": "math::erfc", "erf_complement": "math::erfc",
    "sinh": "std::sinh", "cosh": "std::cosh", "sin": "std::sin", "cos": "std::cos",
    "tan": "std::tan", "atan": "std::atan", "normal_cdf": "math::normal_cdf",
    "normal_pdf": "math::normal_pdf", "times_normal_cdf": "math::times_normal_cdf",
    "times_normal_pdf": "math::times_normal_pdf",
}  # fmt: skip


class normal_cdf(sp.Function):  # noqa: N801 - named as a function
    """erfc(-x / sqrt(2)) / 2"""

    nargs = 1


class normal_pdf(sp.Function):  # noqa: N801
    """exp(-x^2 / 2) / sqrt(2 pi)"""

    nargs = 1


class times_normal_cdf(sp.Function):  # noqa: N801
    """x normal_cdf(x), with its limits far out"""

    nargs = 1


class times_normal_pdf(sp.Function):  # noqa: N801
    """x normal_pdf(x), with its limits far out"""

    nargs = 1


_TIMES = {normal_cdf: times_normal_cdf, normal_pdf: times_normal_pdf}
# Functions that are finite, or infinite as they should be, wherever their argument is.
_SETTLED = tuple(_TIMES.values()) + tuple(_TIMES)


@dataclass
class ScalarFunctions:
    """The scalar functions of one header, by C++ name; `reserved` names are taken."""

    reserved: frozenset[str] = frozenset()
    found: dict[str, StableScalar] = field(default_factory=dict)

    def name(self, f: ScalarFunction) -> str:
        """Equal names with different formulas get a number."""
        base = re.sub(r"\W", "", f.name) or "function"
        stable = stable_scalar(f)
        for suffix in ("", *(f"_{i}" for i in range(2, 99))):
            name = f"{base}{suffix}"
            if name not in self.reserved and self.found.setdefault(name, stable) == stable:
                return name
        raise UnsupportedPrimitive(f"too many functions named {f.name}")

    def sources(self) -> list[str]:
        return [source(name, stable) for name, stable in self.found.items()]


def source(name: str, stable: StableScalar) -> str:
    """One function template with its formula as the comment."""
    variables = [v.name for v in stable.function.variables]
    first = variables[0]
    lines = [f"/// {sp.sstr(with_decimals(stable.function.expr))}", "template <class Real>"]
    used = {s.name for s in stable.expr.free_symbols}
    # The formula decides; a slope may be constant in some of its arguments.
    arguments = ", ".join(f"Real {v}" if v in used else f"Real /* {v} */" for v in variables)
    lines.append(f"GRADWRIGHT_INLINE Real {name}({arguments}) {{")
    form = _special_forms(stable.expr)
    if not _is_settled(form):
        lines += _limited(first, stable)
    constants, value = _lines(form)
    tested = [v for v in variables if v in _tested(stable.expr)]
    if tested:
        local = "value" if "value" not in variables else "result"
        constants.append(f"const Real {local} = {value};")
        value = local
    for v in reversed(tested):
        value = f"{v} != {v} ? {v} : {value}"
    return "\n".join([*lines, *(f"    {c}" for c in constants), f"    return {value};", "}"])


def _tested(expr: sp.Expr) -> set[str]:
    """Variables whose NaN a comparison would hide."""
    conditions = [c for p in expr.atoms(sp.Piecewise) for _, c in p.args]
    return {v.name for c in conditions for v in getattr(c, "free_symbols", ())}


def _is_settled(form: sp.Expr) -> bool:
    """Whether every variable is the argument of a function that has its limits far out."""
    hidden = form.replace(lambda e: isinstance(e, _SETTLED), lambda _: sp.Integer(1))
    return not hidden.free_symbols


def _limited(first: str, stable: StableScalar) -> list[str]:
    """The variable brought back to where the formula is finite and the value has settled."""
    text, bound = first, sp.Integer(stable.bound)
    if stable.lower:
        text = f"math::at_least({text}, {_number(-bound)})"
    if stable.upper:
        text = f"math::at_most({text}, {_number(bound)})"
    if text == first:
        return []
    return ["    // Far out the value is constant, but the formula is infinity times 0.",
            f"    {first} = {text};"]  # fmt: skip


def _special_forms(expr: sp.Expr) -> sp.Expr:
    """The normal distribution where it is written out: one function instead of two roundings."""
    half = sp.sqrt(2) / 2

    def distribution(argument: sp.Expr) -> sp.Expr:
        return 2 * normal_cdf(sp.expand(-argument / half))

    def density(expr: sp.Expr) -> sp.Expr:
        for factor in expr.args:
            if isinstance(factor, sp.exp):
                square = sp.expand(-2 * factor.args[0])
                if isinstance(square, sp.Pow) and square.exp == 2:
                    return sp.sqrt(2 * sp.pi) * expr / factor * normal_pdf(square.base)
        return expr

    def product(expr: sp.Expr) -> sp.Expr:
        for factor in expr.args:
            times = _TIMES.get(type(factor))
            if times is not None and factor.args[0] in expr.args:
                return expr / factor / factor.args[0] * times(factor.args[0])
        return expr

    expr = expr.replace(erf_complement, distribution)
    for rule in (density, product):
        expr = expr.replace(lambda e: isinstance(e, sp.Mul), rule)
    return expr


def _lines(expr: sp.Expr) -> tuple[list[str], str]:
    """Local constants for the branches of a Piecewise, and the value."""
    if not isinstance(expr, sp.Piecewise):
        return [], _scalar(expr)[0]
    constants, names = [], []
    for place, (value, _) in enumerate(expr.args):
        text, level = _scalar(value)
        if value.is_number or (level == _ATOM and not value.has(sp.Function)):
            names.append(text)
        else:
            names.append("otherwise" if place == len(expr.args) - 1 else f"branch_{place + 1}")
            constants.append(f"const Real {names[-1]} = {text};")
    text = names[-1]
    for name, (_, condition) in reversed(list(zip(names[:-1], expr.args[:-1], strict=True))):
        text = f"{_condition(condition)} ? {name} : {text}"
    return constants, text


def _number(value: sp.Expr) -> str:
    if value.is_Integer and abs(int(value)) < 10**15:
        return f"Real({int(value)})"
    return f"Real({float(value.evalf(30))!r})"


def _scalar(expr: sp.Expr) -> tuple[str, int]:
    if isinstance(expr, sp.Symbol):
        return expr.name, _ATOM
    if expr.is_number:
        return _number(expr), _ATOM
    if isinstance(expr, sp.Add):
        return _sum(expr), _SUM
    if isinstance(expr, sp.Mul):
        return _product(expr), _PRODUCT
    if isinstance(expr, sp.Pow):
        return _power(expr)
    if isinstance(expr, sp.Piecewise):
        constants, text = _lines(expr)
        for line in reversed(constants):  # nested: written out where it stands
            name, value = line.removeprefix("const Real ").removesuffix(";").split(" = ", 1)
            text = re.sub(rf"\b{name}\b", f"({value})", text)
        return f"({text})", _ATOM
    function = _FUNCTIONS.get(type(expr).__name__)
    if function is None:
        raise UnsupportedPrimitive(
            f"the C++ printer has no function {type(expr).__name__}; add it to its table"
        )
    return f"{function}({_scalar(expr.args[0])[0]})", _ATOM


def _at_least(level: int, expr: sp.Expr) -> str:
    text, own = _scalar(expr)
    return text if own >= level else f"({text})"


def _sum(expr: sp.Add) -> str:
    terms = sorted(expr.args, key=lambda t: (t.could_extract_minus_sign(), sp.default_sort_key(t)))
    text = _at_least(_SUM, terms[0])
    for term in terms[1:]:
        negative = term.could_extract_minus_sign()
        text += f" {'-' if negative else '+'} {_at_least(_PRODUCT, -term if negative else term)}"
    return text


def _product(expr: sp.Mul) -> str:
    constant = sp.Mul(*(a for a in expr.args if a.is_number))
    others = [a for a in expr.args if not a.is_number]
    above = [a for a in others if not (a.is_Pow and a.exp.is_number and a.exp < 0)]
    below = [1 / a for a in others if a not in above]
    parts = [_at_least(_UNARY, a) for a in above]
    if constant == -1 and parts:
        parts[0] = f"-{parts[0]}"
    elif constant != 1 or not parts:
        parts.insert(0, _number(constant))
    text = " * ".join(parts)
    for factor in below:
        text += f" / {_at_least(_UNARY, factor)}"
    return text


def _power(expr: sp.Pow) -> tuple[str, int]:
    base, exponent = expr.args
    inner = _scalar(base)[0]
    if exponent == sp.Rational(1, 2):
        return f"math::sqrt({inner})", _ATOM
    if exponent == sp.Rational(-1, 2):
        return f"math::inv_sqrt({inner})", _ATOM
    if exponent == 2:
        return f"math::square({inner})", _ATOM
    if exponent.is_Integer and exponent < 0:
        return f"Real(1) / {_at_least(_UNARY, base**-exponent)}", _PRODUCT
    if exponent.is_Integer:
        return f"math::power<{exponent}>({inner})", _ATOM
    return f"std::pow({inner}, {_scalar(exponent)[0]})", _ATOM


def _condition(condition: sp.Basic) -> str:
    if isinstance(condition, sp.And | sp.Or):
        joiner = " && " if isinstance(condition, sp.And) else " || "
        return joiner.join(f"({_condition(c)})" for c in condition.args)
    if isinstance(condition, sp.Not):
        return f"!({_condition(condition.args[0])})"
    left, right = (_scalar(a)[0] for a in condition.args)
    return f"{left} {condition.rel_op} {right}"
