"""The NumPy target of optimizers: one module each, which imports NumPy alone.

Input: an `OptimizerDerivation`. Output: the source of `generated/numpy/<optimizer>.py`. Entries
are updated in blocks: all intermediates of a block are computed before an array is written, so
that results may be written where the arguments are.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from .. import expression as ex
from ..optimizer.derivation import OptimizerDerivation
from ..optimizer.rule import UpdateRule
from ..program import Input
from ..templates import environment, relative_source
from ..text import to_text
from .entry_printer import EntryPrinter, Syntax


def render_numpy(derivation: OptimizerDerivation) -> dict[str, str]:
    """Relative path under generated/numpy -> text."""
    rule = derivation.rule
    text = environment().get_template("numpy/optimizer.py.j2").render(
        source=relative_source(rule), title=rule.title, name=rule.name,
        equations=equation_lines(rule), claims=claim_lines(derivation),
        states=rule.states, updated=rule.updated, parameter=rule.parameter, step=rule.step,
        parameters=[_parameter(i) for i in rule.inputs], doc=update_doc(rule), body=_body(rule),
        shared_helpers=_shared_helpers(rule),
    )  # fmt: skip
    return {f"{rule.name}.py": text}


def _shared_helpers(rule: UpdateRule) -> list[str]:
    """The macros of numpy/helpers.py.j2 a module needs, in the order of use."""
    domains = dict.fromkeys(i.domain for i in rule.hyperparameters)
    found = [*domains, "number"] if domains else []
    return [*found, *(["buffers"] if rule.states else []), "check_out"]


SYNTAX = Syntax(
    functions={
        "sqrt": "np.sqrt", "square": "np.square", "abs": "np.abs", "sign": "np.sign",
        "tanh": "np.tanh", "exp": "np.exp", "log": "np.log",
    },
    entry=lambda name: f"{name}[i]",
    number=lambda value: str(value) if value.denominator == 1 else repr(float(value)),
    step_power=lambda base, exponent: f"{base}**{exponent}",
    rounded=lambda text: text,  # NumPy takes Python's numbers into the arrays' dtype
)  # fmt: skip


def _parameter(item: Input) -> str:
    if item.role == "step":
        return f"{item.name}: int"
    if item.role != "hyperparameter":
        return f"{item.name}: Array"
    return f"{item.name}: float" + ("" if item.default is None else f" = {item.default!r}")


def _body(rule: UpdateRule) -> list[str]:
    pairs = ", ".join(f'("{name}", {name})' for name in rule.arrays)
    lines = [f"[{', '.join(rule.arrays)}], shape = _arrays({pairs})"]
    if rule.step:
        lines.append(f'{rule.step} = _step("{rule.step}", {rule.step})')
    lines += [f'{i.name} = _{i.domain}("{i.name}", {i.name})' for i in rule.hyperparameters]
    lines.append(f'_require_finite("{rule.gradient}", {rule.gradient}, shape)')
    targets = [f"{n}_out" for n in rule.updated]
    outs = ["out"] if not rule.states else [f"out[{k}]" for k in range(len(targets))]
    if rule.states:
        names = ", ".join(f'"{n}"' for n in rule.updated)
        lines.append(f"out = _buffers(out, ({names}))")
    inputs = ", ".join(rule.arrays)
    lines += [
        f'{target} = _result({out}, "{name}", {name}, shape, {inputs})'
        for name, target, out in zip(rule.updated, targets, outs, strict=True)
    ]
    lines.append(f"for i in _blocks({rule.parameter}.size):")
    lines += [f"    {line}" for line in _block(rule)]
    values = [f"_deliver({t}, shape, {o})" for t, o in zip(targets, outs, strict=True)]
    if not rule.states:
        return [*lines, f"return {values[0]}"]
    return [*lines, "return Update(", *(f"    {value}," for value in values), ")"]


def _block(rule: UpdateRule) -> list[str]:
    local = [name for name, _ in rule.definitions]
    printer = EntryPrinter(SYNTAX, rule.arrays, local)
    lines = [f"{name} = {printer.show(expr)}" for name, expr in rule.definitions]
    if needs_copies(rule):
        lines += [f"{name}_next = {printer.show(expr)}" for name, expr in rule.updates]
        return lines + [f"{name}_out[i] = {name}_next" for name in rule.updated]
    return lines + [f"{name}_out[i] = {printer.show(expr)}" for name, expr in rule.updates]


def needs_copies(rule: UpdateRule) -> bool:
    """Whether an update reads an array that an earlier one may have written."""
    written: list[str] = []
    for name, expr in rule.updates:
        if any(n in written for n in ex.symbols_of(expr)):
            return True
        written.append(name)
    return False


def equation_lines(rule: UpdateRule) -> list[str]:
    """Intermediates as equations, updates as assignments."""
    rows = [(name, "=", expr) for name, expr in rule.definitions]
    rows += [(name, "<-", expr) for name, expr in rule.updates]
    longest = max(len(name) for name, _, _ in rows)
    return [f"{name.ljust(longest)} {sign:>2} {to_text(expr)}" for name, sign, expr in rows]


def claim_lines(derivation: OptimizerDerivation, width: int = 96) -> list[str]:
    """What is proved, and the conventions, in words."""
    lines = [f"Proved for every number of steps (proof {derivation.proof_id[:12]}):"]
    for theorem in derivation.theorems:
        lines += textwrap.wrap(theorem.text, width - 2, initial_indent="* ", subsequent_indent="  ")
    if derivation.rule.conventions:
        lines += textwrap.wrap(f"Conventions: {'; '.join(derivation.rule.conventions)}.", width)
    return lines


def listed(names: Iterable[str]) -> str:
    """a, b and c"""
    return " and ".join(", ".join(names).rsplit(", ", 1))


def update_doc(rule: UpdateRule) -> str:
    """What a user must know of `update`."""
    arrays, results = listed(rule.arrays), listed(rule.updated)
    in_place = f"({', '.join(rule.updated)})" if rule.states else rule.parameter
    lines = [f"{arrays} are arrays of one shape, all float32 or all float64."]
    if rule.step:
        lines.append(f"{rule.step} is the number of this step: 1, 2, 3, ...")
    lines.append(
        f"Returns {results} after the step; with `out={in_place}` they are replaced where they are."
    )
    errors = (
        "Raises FloatingPointError, with nothing changed, if an entry of "
        f"{rule.gradient} is infinite or NaN; TypeError for other dtypes; ValueError for shapes "
        "or hyperparameters that do not fit."
    )
    return "\n".join(["One step.", "", *lines, "", *textwrap.wrap(errors, 92)])
