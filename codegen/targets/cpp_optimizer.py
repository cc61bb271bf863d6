"""The C++ target of optimizers: one header each, and its Python binding.

Input: an `OptimizerDerivation`. Output: `<optimizer>.hpp`, which needs nothing but the runtime
headers, and `bindings/<optimizer>.cpp`. Hyperparameters are doubles; what depends on them alone is
computed in double precision before it is rounded to the type of the entries.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from .. import expression as ex
from ..expression import Expr
from ..optimizer.derivation import OptimizerDerivation
from ..optimizer.rule import UpdateRule
from ..program import Input
from ..templates import environment, relative_source
from .cpp import check_name
from .cpp_layout import folded, wrapped
from .entry_printer import EntryPrinter, Syntax
from .numpy_optimizer import claim_lines, equation_lines, listed, needs_copies, update_doc

_DOMAINS = ("positive", "nonnegative", "unit", "share", "real")


def _double(value: Fraction) -> str:
    return str(value) if value.denominator == 1 and abs(value) < 2**31 else repr(float(value))


SYNTAX = Syntax(
    functions={
        "sqrt": "math::sqrt", "square": "math::square", "abs": "math::abs", "sign": "math::sign",
        "tanh": "math::tanh", "exp": "math::exp", "log": "math::log",
    },
    entry=lambda name: f"{name}[i]",
    number=_double,
    step_power=lambda base, exponent: f"{base}_to_{exponent}",
    rounded=lambda text: f"Real({text})",
    multiplies_by_reciprocals=True,
)  # fmt: skip


def render_cpp(derivation: OptimizerDerivation) -> dict[str, str]:
    """Relative path under generated/cpp -> text."""
    name = derivation.name
    check_name(name)
    return {
        f"{name}.hpp": header_text(derivation),
        f"bindings/{name}.cpp": binding_text(derivation),
        f"{name}.pyi": stub_text(derivation.rule),
    }


@dataclass(frozen=True)
class Argument:
    """An argument of the kernel: an array, a scalar or a result."""

    name: str
    role: str

    @property
    def is_array(self) -> bool:
        return self.role in ("array", "result")

    def declared(self, array: str, result: str) -> str:
        types = {"array": array, "result": result, "step": "Index ", "scalar": "double "}
        return f"{types[self.role]}{self.name}"


def kernel_arguments(rule: UpdateRule) -> Iterator[Argument]:
    """What `update` takes: the rule's arguments in their order, then the results."""
    roles = {"step": "step", "hyperparameter": "scalar"}
    for item in rule.inputs:
        yield Argument(item.name, roles.get(item.role, "array"))
    for name in rule.updated:
        yield Argument(f"{name}_out", "result")


def header_text(derivation: OptimizerDerivation) -> str:
    """The text of an optimizer's header."""
    rule = derivation.rule
    arguments = list(kernel_arguments(rule))
    pointers = [a.declared("const Real* ", "Real* ") for a in arguments]
    views = [a.declared("Vector<const Real> ", "Vector<Real> ") for a in arguments]
    passed = [f"{a.name}.data + first" if a.is_array else a.name
              for a in arguments]  # fmt: skip
    return environment().get_template("cpp/optimizer.hpp.j2").render(
        source=relative_source(rule), title=rule.title, name=rule.name,
        equations=equation_lines(rule), claims=claim_lines(derivation),
        step_head=wrapped("void step(", ["Index count", *pointers], ") {"),
        constants=_constants(rule), body=folded(_body(rule), 8), doc=_doc(rule),
        update_head=wrapped("[[nodiscard]] bool update(", views, ") {"),
        gradient=rule.gradient, parameter=rule.parameter, work=_work(rule),
        call=wrapped("step(", ["last - first", *passed], ");"),
    )  # fmt: skip


def _equations(rule: UpdateRule) -> list[Expr]:
    return [expr for _, expr in (*rule.definitions, *rule.updates)]


def _constants(rule: UpdateRule) -> list[str]:
    """Powers of the step, which cost too much to compute for every entry."""
    found: dict[str, str] = {}
    for node in ex.topological(*_equations(rule)):
        if node.op == "step_power":
            base, exponent = node.args
            printer = EntryPrinter(SYNTAX, (), ())
            name = SYNTAX.step_power(_name(base), str(exponent.attr))
            value = f"std::pow({printer.double(base)}, static_cast<double>({exponent.attr}))"
            found[name] = f"const double {name} = {value};"
    return list(found.values())


def _name(base: Expr) -> str:
    return str(base.attr) if base.op == "symbol" else "base"


def _body(rule: UpdateRule) -> list[str]:
    printer = EntryPrinter(SYNTAX, rule.arrays, [name for name, _ in rule.definitions])
    lines = [f"const Real {name} = {printer.show(expr)};" for name, expr in rule.definitions]
    if needs_copies(rule):
        lines += [f"const Real {n}_next = {printer.show(expr)};" for n, expr in rule.updates]
        return lines + [f"{name}_out[i] = {name}_next;" for name in rule.updated]
    return lines + [f"{name}_out[i] = {printer.show(expr)};" for name, expr in rule.updates]


def _work(rule: UpdateRule) -> int:
    """Cheap operations an entry is worth: what it reads and writes, roots and quotients."""
    nodes = ex.topological(*_equations(rule))
    powers = sum(n.op == "power" and n.attr != 2 for n in nodes)
    costly = powers + sum(n.op in ("exp", "log", "apply") for n in nodes)
    return len(rule.arrays) + len(rule.updated) + 2 * costly


def _doc(rule: UpdateRule) -> list[str]:
    text = (
        f"One step.  Returns false, with nothing written, if an entry of {rule.gradient} is "
        f"infinite or NaN.  {listed(f'{name}_out' for name in rule.updated)} may be the arrays they replace."
    )
    if rule.step:
        text += f"  {rule.step} is the number of this step: 1, 2, 3, ..."
    return textwrap.wrap(text, 94, fix_sentence_endings=False)


def binding_text(derivation: OptimizerDerivation) -> str:
    """The text of an optimizer's binding."""
    rule = derivation.rule
    place = {item.name: i for i, item in enumerate(rule.inputs)}
    arrays = [{"name": n, "position": place[n]} for n in rule.arrays]
    results = [{"name": n, "position": place[n]} for n in rule.updated]
    others = [item for item in rule.inputs if item.name not in rule.arrays]
    passed = [f"{a.name}.vector()" if a.is_array else a.name
              for a in kernel_arguments(rule)]  # fmt: skip
    doc = f"{rule.title}\n\n" + "\n".join(equation_lines(rule))
    return environment().get_template("cpp/optimizer_binding.cpp.j2").render(
        source=relative_source(rule), name=rule.name, arrays=arrays, results=results,
        scalars=[_scalar(item, place[item.name]) for item in others],
        positions=[a["position"] for a in arrays], states=rule.states,
        call=wrapped("run_step(", ["call", f"{rule.name}::update<Real>", *passed], ");"),
        parameters=wrapped("{", [_parameter(i) for i in rule.inputs], "},"),
        module_doc=_quoted(doc), update_doc=_quoted(_signature(rule) + update_doc(rule)),
        state_doc=_quoted(
            f"initial_state({rule.parameter})\n--\n\nThe state before the first step: zeros."
        ),
    )  # fmt: skip


def stub_text(rule: UpdateRule) -> str:
    """The text of an optimizer's type stub."""
    kinds = {"step": "int", "hyperparameter": "float"}
    given = [f"{i.name}: {kinds.get(i.role, 'Array')}" + (" = ..." if i.default is not None else "")
             for i in rule.inputs]  # fmt: skip
    return environment().get_template("cpp/optimizer.pyi.j2").render(
        source=relative_source(rule), states=rule.states, updated=rule.updated,
        parameter=rule.parameter, given=", ".join(given),
    )


def _scalar(item: Input, position: int) -> str:
    if item.role == "step":
        return f"const Index {item.name} = step_number(call, {position});"
    assert item.domain in _DOMAINS
    value = f"call.hyperparameter<double>({position}, Domain::{item.domain})"
    return f"const double {item.name} = {value};"


def _parameter(item: Input) -> str:
    return f'{{"{item.name}"}}' if item.default is None else f'{{"{item.name}", {item.default!r}}}'


def _signature(rule: UpdateRule) -> str:
    shown = [i.name if i.default is None else f"{i.name}={i.default!r}" for i in rule.inputs]
    return f"update({', '.join(shown)}, *, out=None)\n--\n\n"


def _quoted(text: str) -> str:
    """A C++ string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
