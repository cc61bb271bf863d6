"""Programs: a derivation script read into named inputs, named intermediates and one output.

Input: a Python function with annotated arguments. Output: a `Program`. Guaranteed: every name is
an identifier that all targets accept, every size is declared by an input, every shape was checked
while the function ran. Not guaranteed: anything about gradients; that is the next stages' work.
"""

from __future__ import annotations

import contextvars
import inspect
import keyword
import re
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .errors import GradwrightError, NotationError
from .expression import Expr, Shape, lift, symbol, symbols_of, topological

CPP_WORDS = frozenset({
    "alignas", "alignof", "asm", "auto", "bool", "catch", "char", "class", "const", "constexpr",
    "decltype", "default", "delete", "double", "enum", "explicit", "export", "extern", "float",
    "friend", "goto", "inline", "int", "long", "mutable", "namespace", "new", "operator",
    "private", "protected", "public", "register", "short", "signed", "sizeof", "static", "struct",
    "switch", "template", "this", "throw", "typedef", "typename", "union", "unsigned", "using",
    "virtual", "void", "volatile",
})  # fmt: skip
# Names that the generated modules use themselves.
FACE_WORDS = frozenset({
    "np", "forward", "backward", "vjp", "pullback", "out", "reduction", "scale", "numpy", "rows",
    "dtype", "sizes", "all", "any", "enumerate", "float", "int", "isinstance", "len", "list", "max",
    "min", "next", "range", "set", "sorted", "str", "tuple", "type", "zip",
})  # fmt: skip
_LONGEST_SCRIPT = 20_000
_MOST_OPERATIONS = 1000
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")


@dataclass(frozen=True)
class Input:
    """An argument of a layer. `role`: variable, constant, pattern, target or hyperparameter."""

    name: str
    shape: Shape
    role: str = "variable"
    domain: str = "real"
    default: float | None = None

    @property
    def expr(self) -> Expr:
        return symbol(self.name, self.shape)

    @property
    def is_array(self) -> bool:
        return self.role != "hyperparameter"


@dataclass(frozen=True)
class Fact:
    """An assumption a script states by name: `left` equals `right`."""

    name: str
    text: str
    left: Expr
    right: Expr


@dataclass(frozen=True)
class Program:
    """A forward definition: `names` maps intermediate nodes to the names the script gave them."""

    name: str
    title: str
    inputs: tuple[Input, ...]
    output_name: str
    output: Expr
    names: tuple[tuple[Expr, str], ...] = ()
    conventions: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    divisor: Expr | None = None
    source: str = ""
    details: str = ""

    @property
    def upstream(self) -> str:
        return f"D{self.output_name}"

    @property
    def variables(self) -> tuple[Input, ...]:
        return tuple(i for i in self.inputs if i.role == "variable")

    @property
    def positive(self) -> frozenset[str]:
        """Symbols known to be positive; `scale` is the factor of a loss's reduction."""
        return frozenset({i.name for i in self.inputs if i.domain == "positive"} | {"scale"})

    @property
    def sizes(self) -> tuple[str, ...]:
        found = dict.fromkeys(d for i in self.inputs for d in i.shape if d != "1")
        return tuple(found)

    def input(self, name: str) -> Input:
        return next(i for i in self.inputs if i.name == name)

    def name_of(self, node: Expr) -> str | None:
        return self.output_name if node is self.output else dict(self.names).get(node)

    @property
    def is_loss(self) -> bool:
        return self.output.is_scalar


@dataclass
class _Trace:
    """What a script says while it runs."""

    code: types.CodeType
    codes: set[types.CodeType]
    names: list[tuple[str, Expr]] = field(default_factory=list)
    inner_names: list[tuple[str, Expr]] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    divisor: Expr | None = None
    calls: int = 0


_current: contextvars.ContextVar[_Trace | None] = contextvars.ContextVar("trace", default=None)


def current_trace() -> _Trace:
    trace = _current.get()
    if trace is None:
        raise NotationError("facts and reductions are stated inside a layer's function")
    return trace


def set_divisor(divisor: Expr) -> None:
    """What the loss is divided by."""
    trace = current_trace()
    if trace.divisor is not None:
        raise NotationError("batch_mean is used twice; a loss has one reduction")
    trace.divisor = divisor


def name_inner(name: str, value: Expr) -> None:
    """A value inside a called layer has this name, if nothing better is found."""
    trace = _current.get()
    if trace is not None:
        trace.inner_names.append((name, value))


def check_name(name: str, what: str) -> str:
    """Names reach Python and C++ code, so they are identifiers of both and no reserved words."""
    if not _NAME.match(name):
        raise NotationError(f"{what} {name!r} is no identifier; use letters, digits and _")
    if keyword.iskeyword(name) or name in CPP_WORDS or name in FACE_WORDS:
        raise NotationError(f"{what} {name!r} is a reserved word; choose another name")
    if "__" in name:
        raise NotationError(f"{what} {name!r}: double underscores are reserved")
    return name


@contextmanager
def located(script: str, first_line: int | None = None) -> Iterator[None]:
    """Errors raised below leave as one line that names the script's line, or the first one."""
    try:
        yield
    except GradwrightError as error:
        line = line_in(script, error) or first_line
        if line and not str(error).startswith(display_path(script)):
            raise type(error)(f"{display_path(script)}:{line}: {error}") from None
        raise
    except RecursionError as error:
        line = first_line or line_in(script, error) or 1
        raise NotationError(
            f"{display_path(script)}:{line}: a function calls itself without end; a layer is "
            "defined by other layers and primitives"
        ) from None
    except SystemExit as error:
        raise NotationError(
            f"{display_path(script)}:{line_in(script, error)}: the script ends the program; "
            "remove the call"
        ) from None
    except Exception as error:
        line = line_in(script, error) or first_line or getattr(error, "lineno", 1)
        raise NotationError(
            f"{display_path(script)}:{line}: {type(error).__name__}: {error}{_remedy(error)}"
        ) from None


def _remedy(error: Exception) -> str:
    if isinstance(error, NameError):
        return (
            "; a size is declared by an input such as Matrix[N, K] or by sizes('A B'), the "
            "primitives are listed by `gradwright primitives`"
        )
    if isinstance(error, ZeroDivisionError):
        return "; a divisor is zero for all values"
    if "Expr" in str(error):
        return (
            "; a matrix has no methods or entries here and fits no other library's functions: "
            "`gradwright primitives` lists what it can be given to, such as exp(X) or rows_sum(X)"
        )
    return ""


def line_in(script: str, error: BaseException) -> int | None:
    """The line of a script at which an error was raised, or None if it was raised elsewhere."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == script:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def display_path(path: str) -> str:
    """The path as a user would type it: relative to the working directory where possible."""
    try:
        return str(Path(path).resolve().relative_to(Path.cwd()))
    except ValueError:
        return path


def trace_program(
    function: Callable[..., object],
    inputs: tuple[Input, ...],
    *,
    codes: set[types.CodeType],
    conventions: tuple[str, ...] = (),
    output_name: str | None = None,
    call: Callable[..., object] | None = None,
    name: str | None = None,
) -> Program:
    """Run the function on symbols and read its names off its frame."""
    code = function.__code__
    trace = _Trace(code, codes | {code})
    with located(code.co_filename, code.co_firstlineno):
        for item in inputs:
            check_name(item.name, "the argument")
        _check_arguments(function, inputs)
        named = {i.name: i.expr for i in inputs}
        result = _watched(trace, lambda: call(*named.values()) if call else function(**named))
        output = _checked_output(function.__name__, result)
        program = _assemble(
            function, inputs, output, trace, conventions, output_name, name or function.__name__
        )
        _check_sizes(program)
        _check_length(program)
        return program


def _check_arguments(function: Callable[..., object], inputs: tuple[Input, ...]) -> None:
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise NotationError(f"the argument {name} has no name of its own; write it without * or /")
    if all(item.role != "variable" for item in inputs):
        raise NotationError(
            f"{function.__name__} has no variable, so there is nothing to derive; variables are "
            "Matrix[N, K], Row[K], Column[N] and Scalar"
        )


def traced_names(
    function: Callable[..., object], arguments: Iterable[object]
) -> tuple[object, dict[str, Expr]]:
    """What a script's function returns, and the expressions its local variables name."""
    trace = _Trace(function.__code__, {function.__code__})
    return _watched(trace, lambda: function(*arguments)), dict(trace.names)


def _watched(trace: _Trace, call: Callable[[], object]) -> object:
    token = _current.set(trace)
    try:
        with _watch_names(trace):
            return call()
    finally:
        _current.reset(token)


@contextmanager
def _watch_names(trace: _Trace) -> Iterator[None]:
    """Local variables of the script's functions, as they stand when each function returns."""

    def on_event(frame: types.FrameType, event: Any, argument: object) -> None:
        caller = frame.f_back
        trace.calls += caller is not None and caller.f_code.co_filename == script
        if trace.calls > _LONGEST_SCRIPT:
            raise NotationError("the function does not come to an end; a layer is a few lines")
        if event == "return" and frame.f_code in trace.codes:
            for name, value in frame.f_locals.items():
                if isinstance(value, Expr):
                    own = trace.names if frame.f_code is trace.code else trace.inner_names
                    own.append((name, value))
        if callable(previous):
            previous(frame, event, argument)

    script = trace.code.co_filename
    previous = sys.getprofile()
    sys.setprofile(on_event)
    try:
        yield
    finally:
        _restore(previous)


def _restore(profiler: Any) -> None:
    """A profiler written in C, such as cProfile's, is no function and has to be switched on."""
    if profiler is None or callable(profiler):
        sys.setprofile(profiler)
    else:
        sys.setprofile(None)
        profiler.enable()


def _checked_output(name: str, result: object) -> Expr:
    if result is None:
        raise NotationError(f"{name} returns nothing; return the forward value")
    if isinstance(result, tuple | list | dict):
        raise NotationError(f"{name} returns {type(result).__name__}; a layer returns one matrix")
    return lift(result)


def _assemble(
    function: Callable[..., object],
    inputs: tuple[Input, ...],
    output: Expr,
    trace: _Trace,
    conventions: tuple[str, ...],
    output_name: str | None,
    layer_name: str,
) -> Program:
    input_names = {i.name for i in inputs}
    reachable = set(topological(output))
    named: dict[Expr, str] = {}
    for name, value in trace.names:
        if value in reachable and value.args and name not in input_names:
            named.setdefault(value, check_name(name, "the name"))
    taken = input_names | set(named.values()) | {d for i in inputs for d in i.shape}
    for name, value in trace.inner_names:
        if value in reachable and value not in named and value is not output and value.args:
            named[value] = _numbered(check_name(name, "the name"), taken)
            taken.add(named[value])
    chosen = output_name or named.get(output) or _free_name(input_names | set(named.values()), output)
    named.pop(output, None)
    order = {node: place for place, node in enumerate(topological(output))}
    names = tuple(sorted(named.items(), key=lambda item: order[item[0]]))
    _check_gradient_names(inputs, chosen, [name for _, name in names])
    text = inspect.getdoc(function) or ""
    module = sys.modules.get(function.__module__)
    if not text and module is not None:
        text = inspect.getdoc(module) or ""
    title, _, details = text.partition("\n")
    fallback = layer_name.replace("_", " ") + "."
    return Program(
        check_name(layer_name, "the layer"), title.strip() or fallback, inputs, chosen,
        output, names, conventions, tuple(trace.facts), trace.divisor,
        function.__code__.co_filename, details.strip(),
    )  # fmt: skip


def _numbered(name: str, taken: set[str]) -> str:
    """The name of a value inside a called layer; the second one of that name is name_2."""
    candidates = [name, *(f"{name}_{i}" for i in range(2, 2 + len(taken)))]
    return next(c for c in candidates if c not in taken and f"D{c}" not in taken)


def _free_name(used: set[str], output: Expr) -> str:
    wanted = ["L", "loss"] if output.is_scalar else ["Y", "Out"]
    return next(name for name in [*wanted, "Result"] if name not in used)


def _check_gradient_names(inputs: tuple[Input, ...], output: str, names: list[str]) -> None:
    used = [i.name for i in inputs] + names + [output]
    sizes = {d for i in inputs for d in i.shape if d != "1"}
    for name in used:
        if name in sizes:
            raise NotationError(f"{name} names a matrix and a size; rename one of them")
    gradients = [f"D{i.name}" for i in inputs if i.role == "variable"] + [f"D{output}"]
    for name in gradients:
        if name in used or name in sizes or gradients.count(name) > 1:
            raise NotationError(
                f"{name} is the gradient of {name[1:]} and cannot name anything else"
            )


def _check_length(program: Program) -> None:
    count = len(topological(program.output))
    if count > _MOST_OPERATIONS:
        raise NotationError(
            f"{program.name} has {count} operations, at most {_MOST_OPERATIONS} are derived as one; "
            "split it into layers"
        )


def _check_sizes(program: Program) -> None:
    declared = set(program.sizes) | {"1"}
    for node in topological(program.output):
        wanted = {*node.shape} | ({str(node.attr)} if node.op == "size" else set())
        for dim in sorted(wanted - declared):
            raise NotationError(
                f"{program.name}: the size {dim} is not declared by any argument; declared: "
                f"{', '.join(program.sizes)}"
            )


def assuming(program: Program, fact: Fact) -> Program:
    """The variant of a program that may use a fact; its name says so."""
    conventions = (*program.conventions, f"assumes that {fact.text}")
    return replace(
        program, name=f"{program.name}_{fact.name}", conventions=conventions, facts=(fact,)
    )


def input_names_used(program: Program) -> list[str]:
    used = set(symbols_of(program.output))
    return [i.name for i in program.inputs if i.name in used]


def needs_two_samples(program: Program) -> bool:
    """A variance over the batch, a column mean of values centred by a column mean, is one of two."""
    for node in topological(program.output):
        if node.op == "columns_mean":
            inner = topological(node.args[0])
            if any(n.op == "columns_mean" for n in inner):
                return True
    return False
