"""Update rules: the notation of optimizers, read into one formula for each array.

    @optimizer
    def momentum(theta: Parameter, g: Gradient, d: State, learning_rate: NonNegative = 0.01,
                 mu: UnitInterval = 0.9):
        d_next = mu * d - learning_rate * g
        return update(theta=theta + d_next, d=d_next)

Input: such a function. Output: an `UpdateRule`. Guaranteed: the rule is element-wise, so that one
formula on one entry is the rule for arrays of every shape (level P0); every name is an identifier
of all targets. Not guaranteed: that the rule is the one meant; theorems say what it does.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .. import expression as ex
from ..annotations import HYPERPARAMETERS, default_value
from ..errors import NotationError, ShapeError
from ..expression import Expr, lift
from ..program import Input, check_name, display_path, line_in, located, traced_names

if TYPE_CHECKING:
    from .theorem import Statement

_ARRAY: ex.Shape = ("rows", "columns")
_SCALAR: ex.Shape = ("1", "1")
_RESERVED = frozenset(
    ("update", "initial_state", "State", "Update", "Array", "dtype", "shape", "entries", "i",
     "count", "first", "last", "step", "call", "zero", "math", "std", "Real", "Index", "Vector",
     "gradwright", "python")
)  # fmt: skip


@dataclass(frozen=True)
class Role:
    """What an argument of an update rule is."""

    name: str
    meaning: str


Parameter = Role("parameter", "what is optimized")
Gradient = Role("gradient", "the gradient of the loss with respect to the parameter")
State = Role("state", "kept between steps, zero before the first")
Step = Role("step", "the number of this step: 1, 2, 3, ...")


@dataclass(frozen=True)
class Update:
    """The values after one step, by the name of the array they replace."""

    values: tuple[tuple[str, Any], ...]


def update(**values: object) -> Update:
    """The parameter and every state after the step: `update(theta=theta + d_next, d=d_next)`."""
    return Update(tuple(values.items()))


@dataclass(frozen=True)
class UpdateRule:
    """One step, entry by entry: every expression is a scalar formula.

    `definitions` are the script's intermediates in the order of use; `updates` give the new value
    of the parameter and of every state, in the order of the arguments. Later formulas refer to
    intermediates by name.
    """

    name: str
    title: str
    details: str
    inputs: tuple[Input, ...]
    definitions: tuple[tuple[str, Expr], ...]
    updates: tuple[tuple[str, Expr], ...]
    conventions: tuple[str, ...] = ()
    source: str = ""

    def of_role(self, role: str) -> tuple[Input, ...]:
        return tuple(i for i in self.inputs if i.role == role)

    @property
    def parameter(self) -> str:
        return self.of_role("parameter")[0].name

    @property
    def gradient(self) -> str:
        return self.of_role("gradient")[0].name

    @property
    def states(self) -> tuple[str, ...]:
        return tuple(i.name for i in self.of_role("state"))

    @property
    def step(self) -> str | None:
        """The name of the step's number, if the rule depends on it."""
        return next((i.name for i in self.of_role("step")), None)

    @property
    def arrays(self) -> tuple[str, ...]:
        """Parameter, gradient and states: what an entry of the rule depends on."""
        return (self.parameter, self.gradient, *self.states)

    @property
    def updated(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.updates)

    @property
    def hyperparameters(self) -> tuple[Input, ...]:
        return self.of_role("hyperparameter")


@dataclass(frozen=True)
class Optimizer:
    """An update rule as a script states it, and the theorems stated about it."""

    function: Callable[..., object]
    conventions: tuple[str, ...] = ()
    given_name: str | None = None
    statements: list[Statement] = field(default_factory=list, compare=False, repr=False)

    @property
    def name(self) -> str:
        return self.given_name or self.function.__name__

    @property
    def title(self) -> str:
        """The first line of the docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @property
    def source(self) -> str:
        return self.function.__code__.co_filename

    def rule(self) -> UpdateRule:
        """Read the script: run it on symbols and check names, roles and that it is element-wise."""
        place = f"{display_path(self.source)}:{self.function.__code__.co_firstlineno}"
        with located(self.source):
            try:
                return _read(self)
            except NotationError as error:
                if error.__traceback__ is None or line_in(self.source, error) is not None:
                    raise
                raise type(error)(f"{place}: {error}") from None


def optimizer(
    function: Any = None, *, conventions: tuple[str, ...] | list[str] = (), name: str | None = None
) -> Any:
    """Declare an optimizer: a function of annotated arguments that returns `update(...)`."""
    if function is None:
        return lambda f: optimizer(f, conventions=conventions, name=name)
    return Optimizer(function, tuple(conventions), name)


def _read(made: Optimizer) -> UpdateRule:
    name = check_name(made.name, "the optimizer")
    inputs = _inputs(made)
    result, traced = traced_names(made.function, [_symbol(i) for i in inputs])
    if not isinstance(result, Update):
        raise NotationError(f"{name} returns {type(result).__name__}; return update(...)")
    values = {n: _entry(n, lift(v)) for n, v in result.values}
    arrays = [i.name for i in inputs if i.role in ("parameter", "state")]
    if set(values) != set(arrays):
        raise NotationError(
            f"{name} updates {', '.join(values) or 'nothing'}; return "
            f"update({', '.join(f'{a}=...' for a in arrays)})"
        )
    text = inspect.getdoc(made.function) or f"{name.replace('_', ' ')}."
    title, _, details = text.partition("\n")
    named = _named(traced, values, {i.name for i in inputs})
    symbols: dict[Expr, Expr] = {}
    definitions = []
    for node, local in named.items():
        definitions.append((local, ex.substitute(node, symbols)))
        symbols[node] = ex.symbol(local, _SCALAR)
    updates = tuple((a, ex.substitute(values[a], symbols)) for a in arrays)
    return UpdateRule(
        name, title.strip(), details.strip(), inputs, tuple(definitions), updates,
        made.conventions, made.source,
    )  # fmt: skip


def _named(
    traced: dict[str, Expr], values: dict[str, Expr], taken: set[str]
) -> dict[Expr, str]:
    """The intermediates the updates use, in the order of use, with the names the script gave."""
    order = ex.topological(*values.values())
    names: dict[Expr, str] = {}
    for local, value in traced.items():
        entry = _entry(local, value)
        if entry in order and entry.op not in ("symbol", "number", "step") and local not in taken:
            names.setdefault(entry, _checked(local, "the name"))
    return {node: names[node] for node in order if node in names}


def _checked(name: str, what: str) -> str:
    if check_name(name, what) in _RESERVED or name.endswith("_out"):
        raise NotationError(f"{what} {name!r} is a reserved word; choose another name")
    return name


def _inputs(made: Optimizer) -> tuple[Input, ...]:
    found = []
    for name, parameter in inspect.signature(made.function).parameters.items():
        kind, default = parameter.annotation, parameter.default
        _checked(name, "the argument")
        if isinstance(kind, Role):
            found.append(Input(name, _SCALAR, kind.name))
        elif kind in HYPERPARAMETERS:
            given = None if default is inspect.Parameter.empty else default_value(name, default)
            found.append(Input(name, _SCALAR, "hyperparameter", kind.domain, given))
        else:
            raise NotationError(
                f"{made.name}: {name}: {kind!r} is no role of an update rule; write {name}: "
                "Parameter, Gradient, State, Step, or a domain such as NonNegative"
            )
    roles = [i.role for i in found]
    for role, most in (("parameter", 1), ("gradient", 1), ("step", 1)):
        if roles.count(role) > most or (role != "step" and role not in roles):
            raise NotationError(f"{made.name} has {roles.count(role)} {role} arguments, not one")
    order = ["parameter", "gradient", "state", "step", "hyperparameter"]
    if [order.index(r) for r in roles] != sorted(order.index(r) for r in roles):
        raise NotationError(
            f"{made.name}: arguments come in the order parameter, gradient, states, step, "
            "hyperparameters"
        )
    return tuple(found)


def _symbol(item: Input) -> Expr:
    if item.role == "step":
        return ex.step(item.name)
    return ex.symbol(item.name, _SCALAR if item.role == "hyperparameter" else _ARRAY)


_ELEMENTWISE = frozenset(
    {"add", "hadamard", "power", "scalar_repeat", "apply", "exp", "log", "symbol", "number",
     "step", "step_power"}
)  # fmt: skip


def _entry(name: str, value: Expr) -> Expr:
    """The formula of one entry; refuses what mixes entries."""
    done: dict[Expr, Expr] = {}
    for node in ex.topological(value):
        if node.op not in _ELEMENTWISE:
            raise ShapeError(
                f"{name}: {node.op} mixes the entries of an array; an update rule is element-wise"
            )
        args = tuple(done[a] for a in node.args)
        if node.op == "scalar_repeat":
            done[node] = args[0]
        elif node.op == "symbol":
            done[node] = ex.symbol(str(node.attr), _SCALAR)
        elif args:
            done[node] = ex.rebuild(ex.node(node.op, node.args, _SCALAR, node.attr), args)
        else:
            done[node] = node
    return done[value]
