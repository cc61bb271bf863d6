"""The proof kernel: entries of matrix expressions in index normal form.

Input: an entry of a matrix expression, built with `element`, `size`, `delta`, `function`,
`add`, `multiply`, `power` and `sum_over`. Output: a `Poly`, a sum of terms, each a rational
coefficient times a product of atoms with rational exponents.

Soundness: every constructor applies identities that hold for all sizes and all values in the
domain of the expression, so identical normal forms mean equal expressions for every size. Not
guaranteed: the converse. Atoms that depend on each other in a way the kernel does not know
(`sin` and `cos`, say) can keep two equal expressions apart; a proof then fails, it never lies.

Identities used: a delta on a summed index substitutes; an index that occurs in no factor
contributes its dimension; factors without the summed index leave the sum; sums of products
split into connected components; equal atoms merge exponents; integer powers of sums expand;
`exp(a + b)` splits; `exp(log a) = a`; `log` of a product of positive factors splits; the leading
monomial of `p` in `m p^-k` is divided out. Summed indices are relabelled canonically.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from math import ceil

from sympy import factorint

Label = str
Monomial = tuple[tuple["Atom", Fraction], ...]
Bound = tuple[tuple[Label, str], ...]

ONE = Fraction(1)
ODD_FUNCTIONS = frozenset({"erf", "sin", "tan", "atan"})
EVEN_FUNCTIONS = frozenset({"cos"})


@dataclass(frozen=True, eq=False)
class Atom:
    """An indivisible factor; equal atoms have equal keys. `skeleton` is the key without labels."""

    key: str = field(init=False, repr=False)
    skeleton: str = field(init=False, repr=False)
    labels: frozenset[Label] = field(init=False, repr=False)
    height: int = field(init=False, repr=False)

    def _identify(
        self, key: str, skeleton: str, labels: Iterable[Label] = (), height: int = 0
    ) -> None:
        object.__setattr__(self, "key", key)
        object.__setattr__(self, "skeleton", skeleton)
        object.__setattr__(self, "labels", frozenset(labels))
        object.__setattr__(self, "height", height)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Atom) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __str__(self) -> str:
        return self.key


@dataclass(frozen=True, eq=False)
class Element(Atom):
    """An entry of a named array: `X[n,k]`."""

    name: str
    indices: tuple[Label, ...]
    positive: bool = False

    def __post_init__(self) -> None:
        key = f"{self.name}[{','.join(self.indices)}]" if self.indices else self.name
        pattern = ",".join(str(self.indices.index(i)) for i in self.indices)
        self._identify(key, f"{self.name}[{pattern}]", self.indices)


@dataclass(frozen=True, eq=False)
class Number(Atom):
    """A positive constant: a size (`N`), `pi`, `e`, or a prime under a fractional power."""

    name: str

    def __post_init__(self) -> None:
        self._identify(f"#{self.name}", f"#{self.name}")


@dataclass(frozen=True, eq=False)
class Delta(Atom):
    """Kronecker's delta of two different labels."""

    first: Label
    second: Label

    def __post_init__(self) -> None:
        key = f"delta({self.first},{self.second})"
        self._identify(key, "delta", (self.first, self.second))

    def other(self, label: Label) -> Label:
        return self.second if label == self.first else self.first


@dataclass(frozen=True, eq=False)
class Function(Atom):
    """A scalar function of a canonical argument: `exp`, `log`, `erf`, `step`, ..."""

    name: str
    argument: Poly

    def __post_init__(self) -> None:
        body = self.argument
        self._identify(
            f"{self.name}({body.key})", f"{self.name}({body.skeleton})", body.labels, body.height
        )


@dataclass(frozen=True, eq=False)
class Base(Atom):
    """A primitive sum, the base of a power that does not expand."""

    poly: Poly

    def __post_init__(self) -> None:
        body = self.poly
        self._identify(f"({body.key})", f"({body.skeleton})", body.labels, body.height)


@dataclass(frozen=True, eq=False)
class Contraction(Atom):
    """A connected sum of products over canonically labelled indices."""

    bound: Bound
    factors: Monomial

    def __post_init__(self) -> None:
        inner = {label for label, _ in self.bound}
        labels = frozenset().union(*(atom.labels for atom, _ in self.factors)) - inner
        over = ",".join(f"{label}:{dim}" for label, dim in self.bound)
        dims = ",".join(sorted(dim for _, dim in self.bound))
        height = 1 + max(atom.height for atom, _ in self.factors)
        skeleton = "*".join(sorted(_power_key(a.skeleton, e) for a, e in self.factors))
        self._identify(
            f"sum[{over}]({monomial_key(self.factors)})", f"sum[{dims}]({skeleton})", labels, height
        )


@dataclass(frozen=True, eq=False)
class Selection(Atom):
    """1 where `index` is the first place at which `body` is largest over `label`, else 0."""

    label: Label
    dim: str
    body: Poly
    index: Label

    def __post_init__(self) -> None:
        labels = (self.body.labels - {self.label}) | {self.index}
        key = f"select[{self.label}:{self.dim}={self.index}]({self.body.key})"
        self._identify(
            key, f"select[{self.dim}]({self.body.skeleton})", labels, 1 + self.body.height
        )


def _power_key(key: str, exponent: Fraction) -> str:
    return key if exponent == 1 else f"{key}^{exponent}"


def monomial_key(monomial: Monomial) -> str:
    return "*".join(_power_key(atom.key, exponent) for atom, exponent in monomial)


@dataclass(frozen=True, eq=False)
class Poly:
    """A normal form: terms sorted by key, no zero coefficients; built by the functions below."""

    terms: tuple[tuple[Monomial, Fraction], ...]

    @cached_property
    def key(self) -> str:
        return "+".join(f"{coefficient}*{monomial_key(m)}" for m, coefficient in self.terms) or "0"

    @cached_property
    def skeleton(self) -> str:
        return "+".join(sorted(f"{c}*{_skeleton(m)}" for m, c in self.terms))

    @cached_property
    def labels(self) -> frozenset[Label]:
        return frozenset().union(*(atom.labels for m, _ in self.terms for atom, _ in m))

    @cached_property
    def height(self) -> int:
        return max((atom.height for m, _ in self.terms for atom, _ in m), default=0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Poly) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __str__(self) -> str:
        return self.key

    def __add__(self, other: Poly) -> Poly:
        return add(self, other)

    def __sub__(self, other: Poly) -> Poly:
        return add(self, scale(other, Fraction(-1)))

    def __mul__(self, other: Poly) -> Poly:
        return multiply(self, other)

    def __neg__(self) -> Poly:
        return scale(self, Fraction(-1))


def _skeleton(monomial: Monomial) -> str:
    return "*".join(sorted(_power_key(atom.skeleton, e) for atom, e in monomial))


ZERO = Poly(())
UNIT = Poly((((), ONE),))


# Construction


def constant(value: Fraction | int) -> Poly:
    """A rational number."""
    return Poly((((), Fraction(value)),)) if value else ZERO


def _of(atom: Atom, exponent: Fraction = ONE) -> Poly:
    return Poly(((((atom, exponent),), ONE),))


def element(name: str, *indices: Label, positive: bool = False) -> Poly:
    """The entry of the array `name` at `indices`; `positive` licenses fractional powers."""
    return _of(Element(name, indices, positive))


def size(name: str) -> Poly:
    """A dimension as a number; the dimension "1" is one."""
    return UNIT if name == "1" else _of(Number(name))


def named_constant(name: str) -> Poly:
    """A positive real constant that is no rational number, such as `pi`."""
    return _of(Number(name))


def delta(first: Label, second: Label) -> Poly:
    """Kronecker's delta."""
    if first == second:
        return UNIT
    return _of(Delta(*sorted((first, second))))


def add(*polys: Poly) -> Poly:
    total: dict[Monomial, Fraction] = {}
    for poly in polys:
        for monomial, coefficient in poly.terms:
            total[monomial] = total.get(monomial, Fraction(0)) + coefficient
    return _collect(total)


def _collect(total: Mapping[Monomial, Fraction]) -> Poly:
    kept = [(monomial, c) for monomial, c in total.items() if c]
    return Poly(tuple(sorted(kept, key=lambda term: monomial_key(term[0]))))


def scale(poly: Poly, factor: Fraction) -> Poly:
    return Poly(tuple((m, c * factor) for m, c in poly.terms)) if factor else ZERO


def multiply(left: Poly, right: Poly) -> Poly:
    total: dict[Monomial, Fraction] = {}
    for first, a in left.terms:
        for second, b in right.terms:
            for monomial, c in _product(first, second).terms:
                total[monomial] = total.get(monomial, Fraction(0)) + a * b * c
    return _collect(total)


def product(polys: Iterable[Poly]) -> Poly:
    result = UNIT
    for poly in polys:
        result = multiply(result, poly)
    return result


def _product(first: Monomial, second: Monomial) -> Poly:
    merged = dict(first)
    for atom, exponent in second:
        merged[atom] = merged.get(atom, Fraction(0)) + exponent
    return _normal_product(merged)


def _normal_product(factors: dict[Atom, Fraction]) -> Poly:
    """Normalise one product of atoms; the result may have several terms."""
    factors = {atom: exponent for atom, exponent in factors.items() if exponent}
    coefficient = ONE
    for atom, exponent in list(factors.items()):
        rest = {other: e for other, e in factors.items() if other is not atom}
        if isinstance(atom, Delta):
            target, source = atom.first, atom.second
            if any(source in other.labels for other in rest):
                renamed = rename(_normal_product(rest), {source: target})
                return multiply(renamed, _of(atom))
            factors[atom] = ONE
        elif _is_indicator(atom) and exponent > 0:
            factors[atom] = ONE
        elif isinstance(atom, Number) and atom.name.isdigit() and not 0 < exponent < 1:
            whole = exponent.numerator // exponent.denominator
            coefficient *= Fraction(int(atom.name)) ** whole
            factors[atom] = exponent - whole
        elif isinstance(atom, Base):
            if exponent >= 1:
                whole = exponent.numerator // exponent.denominator
                expanded = _natural_power(atom.poly, whole)
                rest[atom] = exponent - whole
                return multiply(_normal_product(rest), expanded)
            reduced = None
            if exponent < 0:
                reduced = _divide_leading(atom, exponent, rest)
                reduced = reduced or _split_fraction(atom, exponent, rest)
            if reduced is not None:
                return reduced
    kept = sorted(((a, e) for a, e in factors.items() if e), key=lambda factor: factor[0].key)
    return Poly(((tuple(kept), coefficient),))


def _is_indicator(atom: Atom) -> bool:
    """Whether the atom is 0 or 1, hence its own square."""
    return isinstance(atom, Selection) or (isinstance(atom, Function) and atom.name == "step")


def _divide_leading(base: Base, exponent: Fraction, rest: dict[Atom, Fraction]) -> Poly | None:
    """m p^q = (p^(q+1) - (p - c m) p^q) / c, where c m is the leading term of p."""
    leading = _leading_term(base.poly)
    if leading is None:
        return None
    monomial, coefficient = leading
    if any(e < 0 or rest.get(atom, Fraction(0)) < e for atom, e in monomial):
        return None
    cofactor = dict(rest)
    for atom, e in monomial:
        cofactor[atom] -= e
    remainder = add(base.poly, Poly(((monomial, -coefficient),)))
    raised = _normal_product({**cofactor, base: exponent + 1})
    lowered = multiply(_normal_product({**cofactor, base: exponent}), remainder)
    return scale(raised - lowered, 1 / coefficient)


def _split_fraction(base: Base, exponent: Fraction, rest: dict[Atom, Fraction]) -> Poly | None:
    """1 / (x p) = (1/x - (p - c)/(x p)) / c, where c is the constant of p and x is in its rest."""
    numbers = [c for m, c in base.poly.terms if not m]
    others = [dict(m) for m, _ in base.poly.terms if m]
    if not numbers or not any(
        rest.get(atom, Fraction(0)) < 0 and all(m.get(atom, Fraction(0)) > 0 for m in others)
        for atom in others[0]
    ):
        return None
    whole = _normal_product({**rest, base: exponent + 1})
    remainder = base.poly - constant(numbers[0])
    shifted = [
        scale(_normal_product(_merge({**rest, base: exponent}, m)), c) for m, c in remainder.terms
    ]
    return scale(whole - add(*shifted), 1 / numbers[0])


def _merge(factors: dict[Atom, Fraction], monomial: Monomial) -> dict[Atom, Fraction]:
    merged = dict(factors)
    for atom, exponent in monomial:
        merged[atom] = merged.get(atom, Fraction(0)) + exponent
    return merged


def _leading_term(poly: Poly) -> tuple[Monomial, Fraction] | None:
    """The term of highest degree; chosen without looking at labels, so that renaming keeps it."""

    def rank(term: tuple[Monomial, Fraction]) -> tuple[Fraction, str]:
        return sum((e for _, e in term[0]), Fraction(0)), _skeleton(term[0])

    ranked = sorted(poly.terms, key=rank)
    if len(ranked) > 1 and rank(ranked[-1]) == rank(ranked[-2]):
        return None
    return ranked[-1]


def _natural_power(poly: Poly, exponent: int) -> Poly:
    return product([poly] * exponent)


def is_positive(atom: Atom) -> bool:
    """Whether the atom is known to be positive, which licenses splitting roots and logarithms."""
    if isinstance(atom, Element):
        return atom.positive
    if isinstance(atom, Number):
        return True
    if isinstance(atom, Function):
        return atom.name == "exp"
    if isinstance(atom, Base):
        return all(c > 0 and holds_positive(m) for m, c in atom.poly.terms)
    if isinstance(atom, Contraction):
        return holds_positive(atom.factors)
    return False


def holds_positive(monomial: Monomial) -> bool:
    """Whether a product is positive (or, by even powers, not negative)."""
    return all(is_positive(atom) or exponent % 2 == 0 for atom, exponent in monomial)


def power(poly: Poly, exponent: Fraction | int) -> Poly:
    """A rational power. Fractional powers are taken of positive values only."""
    exponent = Fraction(exponent)
    if not exponent:
        return UNIT
    if not poly.terms:
        if exponent < 0:
            raise ZeroDivisionError("a power of zero with a negative exponent")
        return ZERO
    if exponent.denominator == 1 and exponent > 0:
        return _natural_power(poly, int(exponent))
    content, primitive = _split_content(poly, any_sign=exponent.denominator == 1)
    (monomial, coefficient), = content.terms
    outer = multiply(
        _number_power(coefficient, exponent),
        product(_normal_product({atom: e * exponent}) for atom, e in monomial),
    )
    return outer if primitive == UNIT else multiply(outer, _of(Base(primitive), exponent))


def _number_power(value: Fraction, exponent: Fraction) -> Poly:
    if exponent.denominator == 1:
        return constant(value ** int(exponent))
    factors: dict[Atom, Fraction] = {}
    for number, sign in ((value.numerator, 1), (value.denominator, -1)):
        for prime, count in factorint(number).items():
            atom = Number(str(prime))
            factors[atom] = factors.get(atom, Fraction(0)) + sign * count * exponent
    return _normal_product(factors)


def _split_content(poly: Poly, any_sign: bool) -> tuple[Poly, Poly]:
    """Write poly = content * primitive with a one-term content.

    With `any_sign` the content takes every common atom and the sign of the first term;
    without it only positive atoms and a positive number, so that roots and logs may split.
    """
    monomials = [dict(monomial) for monomial, _ in poly.terms]
    content: dict[Atom, Fraction] = {}
    for atom in {atom: None for monomial in monomials for atom in monomial}:
        if any_sign or is_positive(atom):
            lowest = min(monomial.get(atom, Fraction(0)) for monomial in monomials)
            if lowest:
                content[atom] = lowest
    number = _common_number([c for _, c in poly.terms])
    if any_sign:
        first = min(poly.terms, key=lambda term: (_skeleton(term[0]), monomial_key(term[0])))
        number = number if first[1] > 0 else -number
    kept = sorted(content.items(), key=lambda factor: factor[0].key)
    head = Poly(((tuple(kept), number),))
    inverse = Poly(((tuple((a, -e) for a, e in kept), 1 / number),))
    rest = _collect_raw(poly, inverse)
    opened = _expand_bases(rest)
    if opened is not None:
        again, rest = _split_content(opened, any_sign)
        head = _collect_raw(head, again)
    return head, rest


def _expand_bases(poly: Poly) -> Poly | None:
    """Whole powers of sums multiplied out, which a division by the content may bring; else None."""
    total: list[Poly] = []
    found = False
    for monomial, coefficient in poly.terms:
        term = Poly(((tuple(f for f in monomial if not _is_expandable(*f)), coefficient),))
        for atom, exponent in monomial:
            if isinstance(atom, Base) and _is_expandable(atom, exponent):
                found = True
                whole = exponent.numerator // exponent.denominator
                if exponent != whole:
                    term = _collect_raw(term, _of(atom, exponent - whole))
                expanded = _natural_power(atom.poly, whole)
                term = add(*(_collect_raw(term, Poly((part,))) for part in expanded.terms))
        total.append(term)
    return add(*total) if found else None


def _is_expandable(atom: Atom, exponent: Fraction) -> bool:
    return isinstance(atom, Base) and exponent >= 1


def _collect_raw(poly: Poly, one_term: Poly) -> Poly:
    """Multiply without dividing leading terms out again: the content is common to all terms."""
    (factors, number), = one_term.terms
    total: dict[Monomial, Fraction] = {}
    for monomial, coefficient in poly.terms:
        merged = dict(monomial)
        for atom, exponent in factors:
            merged[atom] = merged.get(atom, Fraction(0)) + exponent
        kept = tuple(sorted(((a, e) for a, e in merged.items() if e), key=lambda f: f[0].key))
        total[kept] = coefficient * number
    return _collect(total)


def _common_number(values: list[Fraction]) -> Fraction:
    from math import gcd, lcm

    return Fraction(
        gcd(*(abs(v.numerator) for v in values)), lcm(*(v.denominator for v in values))
    )


# Functions


def exp(poly: Poly) -> Poly:
    """The exponential, one factor for each term of its argument."""
    factors = []
    for monomial, coefficient in poly.terms:
        if not monomial:
            factors.append(_of(Number("e"), coefficient))
        elif (logarithm := _lone_log(monomial)) is not None:
            factors.append(power(logarithm, coefficient))
        else:
            atom = Function("exp", Poly(((monomial, ONE),)))
            factors.append(_of(atom, coefficient))
    return product(factors)


def _lone_log(monomial: Monomial) -> Poly | None:
    if len(monomial) == 1 and monomial[0][1] == 1:
        atom = monomial[0][0]
        if isinstance(atom, Function) and atom.name == "log":
            return atom.argument
    return None


def log(poly: Poly) -> Poly:
    """The logarithm; positive factors split off."""
    content, primitive = _split_content(poly, any_sign=False)
    (monomial, number), = content.terms
    total = ZERO
    for value, sign in ((number.numerator, 1), (number.denominator, -1)):
        for prime, count in factorint(value).items():
            total += scale(_of(Function("log", constant(prime))), Fraction(sign * count))
    for atom, exponent in monomial:
        if isinstance(atom, Function):
            total += scale(atom.argument, exponent)
        elif isinstance(atom, Number) and atom.name == "e":
            total += constant(exponent)
        else:
            total += scale(_of(Function("log", _of(atom))), exponent)
    return total if primitive == UNIT else total + _of(Function("log", primitive))


def step(poly: Poly) -> Poly:
    """1 where the argument is positive, else 0; at zero a script's declared convention decides."""
    if not poly.terms:
        return ZERO
    _, primitive = _split_content(poly, any_sign=False)
    if all(not m for m, _ in primitive.terms):
        return UNIT if primitive.terms[0][1] > 0 else ZERO
    if _first_sign(primitive) < 0:
        return UNIT - _of(Function("step", -primitive))
    return _of(Function("step", primitive))


def _first_sign(poly: Poly) -> int:
    first = min(poly.terms, key=lambda term: (_skeleton(term[0]), monomial_key(term[0])))
    return 1 if first[1] > 0 else -1


def function(name: str, argument: Poly) -> Poly:
    """A scalar function by name; names without rules stay opaque."""
    special: dict[str, Callable[[Poly], Poly]] = {"exp": exp, "log": log, "step": step}
    if name in special:
        return special[name](argument)
    if name in ODD_FUNCTIONS:
        if not argument.terms:
            return ZERO
        if _first_sign(argument) < 0:
            return -_of(Function(name, -argument))
    if name in EVEN_FUNCTIONS and argument.terms and _first_sign(argument) < 0:
        argument = -argument
    return _of(Function(name, argument))


def selection(body: Poly, label: Label, dim: str, index: Label) -> Poly:
    """The one-hot mask of the first maximum of `body` over `label`, at `index`."""
    canonical = f"@{body.height + 1}.0"
    return _of(Selection(canonical, dim, rename(body, {label: canonical}), index))


# Sums and labels


def sum_over(poly: Poly, bound: Iterable[tuple[Label, str]]) -> Poly:
    """Sum over labels with their dimensions."""
    bound = tuple((label, dim) for label, dim in bound)
    return add(*(scale(_contract(m, bound), c) for m, c in poly.terms))


def _contract(monomial: Monomial, bound: Bound) -> Poly:
    labels = {label for label, _ in bound}
    for atom, exponent in monomial:
        rest = tuple(factor for factor in monomial if factor[0] is not atom)
        touched = atom.labels & labels
        if not touched:
            continue
        if isinstance(atom, Delta):
            label = atom.second if atom.second in labels else atom.first
            substituted = rename(Poly(((rest, ONE),)), {label: atom.other(label)})
            return sum_over(substituted, (item for item in bound if item[0] != label))
        if isinstance(atom, Contraction) and exponent.denominator == 1 and exponent > 0:
            used = labels.union(*(a.labels for a, _ in monomial))
            opened_bound, opened = _open(atom, used)
            again = multiply(Poly(((rest, ONE),)), opened)
            if exponent > 1:
                again = multiply(again, _of(atom, exponent - 1))
            return sum_over(again, bound + opened_bound)
    return product(_components(monomial, bound))


def _open(atom: Contraction, used: Iterable[Label]) -> tuple[Bound, Poly]:
    """The inside of a contraction under labels that are not in use."""
    taken = set(used) | atom.labels
    fresh = (f"~{i}" for i in itertools.count())
    names = {}
    for label, _ in atom.bound:
        names[label] = next(name for name in fresh if name not in taken)
    inside = rename(Poly(((atom.factors, ONE),)), names)
    return tuple((names[label], dim) for label, dim in atom.bound), inside


def _components(monomial: Monomial, bound: Bound) -> list[Poly]:
    """Split a sum of products into connected sums."""
    groups: list[tuple[set[Label], list[tuple[Atom, Fraction]]]] = []
    labels = {label for label, _ in bound}
    outside: list[tuple[Atom, Fraction]] = []
    for atom, exponent in monomial:
        touched = set(atom.labels & labels)
        if not touched:
            outside.append((atom, exponent))
            continue
        merged: tuple[set[Label], list[tuple[Atom, Fraction]]] = (touched, [(atom, exponent)])
        for group in [g for g in groups if g[0] & touched]:
            groups.remove(group)
            merged = (merged[0] | group[0], merged[1] + group[1])
        groups.append(merged)
    used = set().union(*(group[0] for group in groups)) if groups else set()
    result = [Poly(((tuple(outside), ONE),))]
    result += [size(dim) for label, dim in bound if label not in used]
    for group_labels, factors in groups:
        inner = tuple(item for item in bound if item[0] in group_labels)
        result.append(_canonical_contraction(inner, tuple(factors)))
    return result


def _canonical_contraction(bound: Bound, factors: Monomial) -> Poly:
    """Label the summed indices 0, 1, ... so that the key is smallest."""
    prefix = f"@{1 + max(atom.height for atom, _ in factors)}"
    candidates = []
    for order in _label_orders(bound, factors):
        names = {label: f"{prefix}.{i}" for i, (label, _) in enumerate(order)}
        renamed = rename(Poly(((factors, ONE),)), names)
        (monomial, coefficient), = renamed.terms
        canonical_bound = tuple((names[label], dim) for label, dim in order)
        candidates.append((monomial_key(monomial), canonical_bound, monomial, coefficient))
    _, chosen_bound, monomial, coefficient = min(candidates, key=lambda c: (c[0], c[1]))
    return scale(_of(Contraction(chosen_bound, monomial)), coefficient)


def _label_orders(bound: Bound, factors: Monomial) -> Iterable[list[tuple[Label, str]]]:
    """Orders worth trying: by a signature free of bound labels, permuted only within ties."""
    if len(bound) == 1:
        return [list(bound)]
    labels = [label for label, _ in bound]

    def signature(item: tuple[Label, str]) -> str:
        label, dim = item
        names = dict.fromkeys(labels, "?") | {label: "!"}
        used = [(a, e) for a, e in factors if label in a.labels]
        return dim + ";".join(sorted(f"{_renamed_key(a, names)}^{e}" for a, e in used))

    keyed = sorted((signature(item), item) for item in bound)
    ties = [
        [item for _, item in group] for _, group in itertools.groupby(keyed, key=lambda k: k[0])
    ]
    choices = itertools.product(*(itertools.permutations(tie) for tie in ties))
    return ([item for tie in choice for item in tie] for choice in choices)


def _renamed_key(atom: Atom, names: Mapping[Label, Label]) -> str:
    if isinstance(atom, Element):
        return f"{atom.name}[{','.join(names.get(i, i) for i in atom.indices)}]"
    # Two labels may fall together here, so the skeleton with its own place stands in.
    places = ",".join(sorted(names.get(label, label) for label in atom.labels))
    return f"{atom.skeleton}<{places}>"


def rename(poly: Poly, names: Mapping[Label, Label]) -> Poly:
    """Replace free labels, several at once, and normalise again."""
    if not any(label in names for label in poly.labels):
        return poly
    total: list[Poly] = []
    for monomial, coefficient in poly.terms:
        factors = UNIT
        for atom, exponent in monomial:
            factors = multiply(factors, _rename_power(atom, exponent, names))
        total.append(scale(factors, coefficient))
    return add(*total)


def _rename_power(atom: Atom, exponent: Fraction, names: Mapping[Label, Label]) -> Poly:
    if not any(label in names for label in atom.labels):
        return _of(atom, exponent)
    if isinstance(atom, Element):
        indices = tuple(names.get(i, i) for i in atom.indices)
        return _of(Element(atom.name, indices, atom.positive), exponent)
    if isinstance(atom, Delta):
        return delta(names.get(atom.first, atom.first), names.get(atom.second, atom.second))
    if isinstance(atom, Function):
        return power_of_renamed(function(atom.name, rename(atom.argument, names)), exponent)
    if isinstance(atom, Base):
        return power(rename(atom.poly, names), exponent)
    if isinstance(atom, Contraction):
        relevant = {old: new for old, new in names.items() if old in atom.labels}
        inner, inside = _open(atom, set(relevant.values()) | set(relevant))
        return power_of_renamed(sum_over(rename(inside, relevant), inner), exponent)
    if isinstance(atom, Selection):
        relevant = {old: new for old, new in names.items() if old != atom.label}
        body = rename(atom.body, relevant)
        index = names.get(atom.index, atom.index)
        return _of(Selection(atom.label, atom.dim, body, index), exponent)
    raise TypeError(f"no renaming for {type(atom).__name__}; add one beside the others")


def power_of_renamed(poly: Poly, exponent: Fraction) -> Poly:
    """Exponents of one-term results distribute: the atom stood under that power before."""
    if len(poly.terms) == 1 and poly.terms[0][1] == 1:
        return product(_of(atom, e * exponent) for atom, e in poly.terms[0][0])
    return power(poly, exponent)


def replace_atoms(poly: Poly, match: Callable[[Atom], Poly | None]) -> Poly:
    """Replace atoms, outermost first; `match` returns None for an atom that stays."""
    total = []
    for monomial, coefficient in poly.terms:
        factors = constant(coefficient)
        for atom, exponent in monomial:
            factors = multiply(factors, _replace_power(atom, exponent, match))
        total.append(factors)
    return add(*total)


def _replace_power(atom: Atom, exponent: Fraction, match: Callable[[Atom], Poly | None]) -> Poly:
    found = match(atom)
    if found is not None:
        return power(found, exponent)
    if isinstance(atom, Function):
        inside = replace_atoms(atom.argument, match)
        return power_of_renamed(function(atom.name, inside), exponent)
    if isinstance(atom, Base):
        return power(replace_atoms(atom.poly, match), exponent)
    if isinstance(atom, Contraction):
        bound, inside = _open(atom, ())
        return power(sum_over(replace_atoms(inside, match), bound), exponent)
    if isinstance(atom, Selection):
        return _of(
            Selection(atom.label, atom.dim, replace_atoms(atom.body, match), atom.index), exponent
        )
    return _of(atom, exponent)


# Differentiation


def differentiate(poly: Poly, name: str, indices: tuple[Label, ...]) -> Poly:
    """The partial derivative by entry `indices` of array `name`; the labels are not in `poly`."""
    total = []
    for monomial, coefficient in poly.terms:
        for atom, exponent in monomial:
            inner = _differentiate_atom(atom, name, indices)
            if not inner.terms:
                continue
            lowered = dict(monomial)
            lowered[atom] = exponent - 1
            total.append(scale(_normal_product(lowered) * inner, coefficient * exponent))
    return add(*total)


def _differentiate_atom(atom: Atom, name: str, indices: tuple[Label, ...]) -> Poly:
    if isinstance(atom, Element):
        if atom.name != name:
            return ZERO
        return product(delta(i, j) for i, j in zip(atom.indices, indices, strict=True))
    if isinstance(atom, Function):
        inner = differentiate(atom.argument, name, indices)
        return inner * _derivative(atom) if inner.terms else ZERO
    if isinstance(atom, Base):
        return differentiate(atom.poly, name, indices)
    if isinstance(atom, Contraction):
        bound, inside = _open(atom, indices)
        return sum_over(differentiate(inside, name, indices), bound)
    return ZERO


def _derivative(atom: Function) -> Poly:
    """The derivative of a scalar function at its argument."""
    argument = atom.argument
    squared = multiply(argument, argument)
    if atom.name == "exp":
        return _of(atom)
    if atom.name == "log":
        return power(argument, -1)
    if atom.name == "step":
        return ZERO
    if atom.name == "erf":
        normaliser = power(named_constant("pi"), Fraction(-1, 2))
        return scale(normaliser * exp(-squared), Fraction(2))
    if atom.name == "sin":
        return function("cos", argument)
    if atom.name == "cos":
        return -function("sin", argument)
    if atom.name == "tan":
        return UNIT + power(_of(atom), 2)
    if atom.name == "atan":
        return power(UNIT + squared, -1)
    raise NotImplementedError(
        f"no derivative for the scalar function {atom.name}; add one to index_form._derivative"
    )


# Decisions


def is_zero(poly: Poly) -> bool:
    """Whether the normal form is zero, if need be after clearing common denominators."""
    for _ in range(24):
        if not poly.terms:
            return True
        bases = {
            atom
            for monomial, _ in poly.terms
            for atom, exponent in monomial
            if isinstance(atom, Base) and exponent < 0
        }
        if not bases:
            return False
        base = min(bases, key=lambda atom: atom.key)
        poly = add(*(scale(_clear(m, base), c) for m, c in poly.terms))
    return False


def _clear(monomial: Monomial, base: Atom) -> Poly:
    """Multiply by the base once, without dividing leading terms out again."""
    factors = dict(monomial)
    exponent = factors.pop(base, Fraction(0))
    rest = Poly(((tuple(factors.items()), ONE),))
    if exponent == -1:
        return product(_of(a, e) for a, e in rest.terms[0][0])
    if exponent < 0:
        kept = sorted([*factors.items(), (base, exponent + 1)], key=lambda f: f[0].key)
        return Poly(((tuple(kept), ONE),))
    assert isinstance(base, Base)
    return multiply(multiply(rest, base.poly), _of(base, exponent) if exponent else UNIT)


def index_counts(poly: Poly, dims: Mapping[Label, str]) -> dict[str, int]:
    """For each dimension the number of indices in the widest term, free and summed ones."""
    widest: dict[str, int] = {}
    for monomial, _ in poly.terms:
        counts: dict[str, int] = {}
        free = frozenset().union(*(atom.labels for atom, _ in monomial))
        for label in free:
            if label in dims:
                counts[dims[label]] = counts.get(dims[label], 0) + 1
        for atom, exponent in monomial:
            for dim, count in _bound_counts(atom, exponent).items():
                counts[dim] = counts.get(dim, 0) + count
        for dim, count in counts.items():
            widest[dim] = max(widest.get(dim, 0), count)
    return widest


def _bound_counts(atom: Atom, exponent: Fraction) -> dict[str, int]:
    """Summed indices; the square of a sum has twice as many as the sum."""
    counts: dict[str, int] = {}
    if isinstance(atom, Contraction):
        for _, dim in atom.bound:
            counts[dim] = counts.get(dim, 0) + 1
        for inner, power_inside in atom.factors:
            for dim, count in _bound_counts(inner, power_inside).items():
                counts[dim] = counts.get(dim, 0) + count
        counts = {dim: count * ceil(abs(exponent)) for dim, count in counts.items()}
    elif isinstance(atom, Function | Base):
        body = atom.argument if isinstance(atom, Function) else atom.poly
        counts = index_counts(body, {})
    elif isinstance(atom, Selection):
        counts = index_counts(atom.body, {})
        counts[atom.dim] = counts.get(atom.dim, 0) + 1
    return counts


def size_degree(poly: Poly, dim: str) -> int:
    """The span of exponents with which a size occurs as a number in the coefficients."""
    exponents = [
        next((e for a, e in m if isinstance(a, Number) and a.name == dim), Fraction(0))
        for m, _ in poly.terms
    ]
    return int(max(exponents, default=Fraction(0)) - min(exponents, default=Fraction(0))) + 1
