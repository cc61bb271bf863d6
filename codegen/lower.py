"""Lowering: from proved equations to routines of named statements, one for each direction.

Input: a program, its simplified gradients and its stable forms. Output: a `Kernel`, the array
program every target prints. Decisions made here and nowhere else: which forward values are
saved, which are recomputed, which values get a statement and a name. Guaranteed: `proved_again`
inlines the statements and proves both routines against the definition and route B.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from . import expression as ex
from . import index_form as ix
from .expression import Expr, Shape
from .primitives import Entries, target_product
from .program import Input, Program
from .prove import Proof, apply_fact
from .stabilise import Stabilised
from .text import factors_of


@dataclass(frozen=True)
class Statement:
    """name = expr; the expression's symbols are arguments and earlier statements."""

    name: str
    expr: Expr

    @property
    def shape(self) -> Shape:
        return self.expr.shape


@dataclass(frozen=True)
class Routine:
    """A straight-line array program. Symbols have the shapes of `arguments` and `statements`."""

    name: str
    arguments: tuple[tuple[str, Shape], ...]
    statements: tuple[Statement, ...]
    results: tuple[str, ...]

    def shape(self, name: str) -> Shape:
        known = dict(self.arguments) | {s.name: s.shape for s in self.statements}
        return known[name]

    def last_use(self, name: str) -> int:
        """Index of the last statement that reads the name; -1 if none does."""
        uses = [i for i, s in enumerate(self.statements) if name in ex.symbols_of(s.expr)]
        return uses[-1] if uses else -1


@dataclass(frozen=True)
class Kernel:
    """Both routines of a layer. `saved` are the arguments of `backward` after the upstream one."""

    program: Program
    forward: Routine
    backward: Routine
    saved: tuple[str, ...]
    theorems: tuple[str, ...]

    @property
    def precise(self) -> frozenset[str]:
        """Vectors kept in float64: means and log-normalisers, from which data is subtracted."""
        statements = (*self.forward.statements, *self.backward.statements)
        given = {self.program.output_name, *self.backward.results}
        return frozenset(s.name for s in statements if _is_precise(s.expr)) - given

    @property
    def extra_results(self) -> tuple[str, ...]:
        """Forward results beyond the output: saved values that are neither inputs nor output."""
        return self.forward.results[1:]

    @property
    def gradient_names(self) -> tuple[str, ...]:
        return tuple(f"D{v.name}" for v in self.program.variables)

    def backward_hyperparameters(self) -> tuple[Input, ...]:
        used = {name for name, _ in self.backward.arguments}
        return tuple(
            i for i in self.program.inputs if i.role == "hyperparameter" and i.name in used
        )


def _is_precise(expr: Expr) -> bool:
    if _width(expr.shape) != 1:
        return False
    return expr.op in ("rows_mean", "columns_mean") or _is_normaliser(expr)


def _is_normaliser(expr: Expr) -> bool:
    """log(sum) + shift."""
    return expr.op == "add" and expr.args[0].op == "log" and _width(expr.shape) == 1


_REPEATS = ("row_repeat", "column_repeat", "scalar_repeat")
_REDUCTIONS = (
    "rows_sum", "columns_sum", "elements_sum", "rows_mean", "columns_mean", "rows_max",
    "columns_max", "rows_shift", "columns_shift", "at_least_one",
)  # fmt: skip
_COSTLY = ("exp", "log", "apply", "power")
_SAVE_COST = 4


def lower(
    program: Program,
    gradients: tuple[tuple[str, Expr], ...],
    stable: Stabilised,
    adjoints: Iterable[tuple[Expr, Expr]] = (),
) -> Kernel:
    """Choose saved values and write both routines. `adjoints` lend their names: D + node."""
    hints = dict(program.names)
    hints[program.output] = program.output_name
    saved = choose_saved(program, [g for _, g in gradients])
    namer = _Namer({i.name for i in program.inputs} | set(program.sizes), hints)
    saved_names = {node: namer.name(node) for node in saved}
    forward = _forward(program, stable, saved_names, namer)
    backward = _backward(program, gradients, saved_names, namer, tuple(adjoints))
    order = [n for n, _ in backward.arguments if n != program.upstream]
    return Kernel(program, forward, backward, tuple(order), stable.theorems)


def choose_saved(program: Program, gradients: list[Expr]) -> list[Expr]:
    """The cheapest forward values from which the backward pass can go on.

    Inputs and the output are there anyway and cost one pass; another N x K value costs its memory
    and two passes; a cheap element-wise value is recomputed from what is there.
    """
    forward = set(ex.topological(program.output))
    saved: dict[Expr, None] = {}
    seen: set[Expr] = set()

    def need(node: Expr) -> None:
        if node in seen:
            return
        seen.add(node)
        kept = node is program.output or _is_saved(node, program)
        if node in forward and node.op != "symbol" and kept:
            saved[node] = None
            return
        for arg in node.args:
            need(arg)

    for gradient in gradients:
        need(gradient)
    return list(saved)


def _is_saved(node: Expr, program: Program) -> bool:
    """Saved unless recomputing takes only cheap element-wise work."""
    if node.op in (*_REPEATS, "number", "size", "identity", "transpose"):
        return False
    if not _depends_on_arrays(node):
        return False
    if _width(node.shape) < 2:
        return True
    return _recompute_cost(node, program) >= _SAVE_COST


def _recompute_cost(node: Expr, program: Program) -> float:
    if node.op == "symbol" or node is program.output:
        return 1
    if _width(node.shape) < 2:
        return 0
    if node.op in ("matmul", "rows_select", "columns_select"):
        return _SAVE_COST
    cheap = 0.0 if node.op in _REPEATS else 0.4
    own = {"exp": 3.0, "log": 3.0, "apply": 3.0}.get(node.op, cheap)
    return own + sum(_recompute_cost(a, program) for a in node.args)


def _depends_on_arrays(node: Expr) -> bool:
    return any(n.op == "symbol" and not n.is_scalar for n in ex.topological(node))


def _width(shape: Shape) -> int:
    return sum(d != "1" for d in shape)


def _forward(
    program: Program, stable: Stabilised, saved: dict[Expr, str], namer: _Namer
) -> Routine:
    extra = [(name, node) for node, name in saved.items() if node is not program.output]
    order = {node: place for place, node in enumerate(ex.topological(program.output))}
    extra.sort(key=lambda item: order[item[1]])
    results = [(program.output_name, stable(program.output))]
    results += [(name, stable(node)) for name, node in extra]
    hints = {stable(node): name for node, name in program.names}
    hints |= {expr: name for name, expr in results}
    arguments = [(i.name, i.shape) for i in program.inputs]
    if program.divisor is not None:
        arguments.append(("scale", ("1", "1")))
    return _Builder(namer.fork(hints), program).build("forward", arguments, results)


def _backward(
    program: Program,
    gradients: tuple[tuple[str, Expr], ...],
    saved: dict[Expr, str],
    namer: _Namer,
    adjoints: tuple[tuple[Expr, Expr], ...],
) -> Routine:
    known = {node: ex.symbol(name, node.shape) for node, name in saved.items()}
    results = [(f"D{name}", ex.substitute(g, known)) for name, g in gradients]
    hints = {ex.substitute(n, known): name for n, name in program.names if n not in saved}
    hints |= {expr: name for name, expr in reversed(results)}
    used = set(ex.symbols_of(*(expr for _, expr in results)))
    arguments = [(program.upstream, program.output.shape)]
    shapes = {name: node.shape for node, name in saved.items()}
    order = [i.name for i in program.inputs if i.role != "hyperparameter"]
    order = [program.output_name, *order, *(n for n in shapes if n != program.output_name)]
    order += [i.name for i in program.inputs if i.role == "hyperparameter"] + ["scale"]
    every = shapes | {i.name: i.shape for i in program.inputs} | {"scale": ("1", "1")}
    arguments += [(n, every[n]) for n in order if n in used]
    # A size that occurs in an equation only as a number is read off an argument's shape.
    # Targets do not count: they may come as labels.
    targets = frozenset(i.name for i in program.inputs if i.role == "target")
    missing = _missing_sizes(results, [a for a in arguments if a[0] not in targets])
    arguments += [(i.name, i.shape) for i in _carriers(program, missing, arguments)]
    forked = namer.fork(hints, adjoints=tuple(
        (f"D{namer.name(n)}", ex.substitute(a, known), n.shape)
        for n, a in adjoints if namer.is_named(n)
    ))
    return _Builder(forked, program).build("backward", arguments, results)


def _missing_sizes(
    results: list[tuple[str, Expr]], arguments: list[tuple[str, Shape]]
) -> set[str]:
    have = {d for _, shape in arguments for d in shape} | {"1"}
    wanted: set[str] = set()
    for node in ex.topological(*(e for _, e in results)):
        wanted |= set(node.shape) | ({str(node.attr)} if node.op == "size" else set())
    return wanted - have


def _carriers(
    program: Program, missing: set[str], arguments: list[tuple[str, Shape]]
) -> list[Input]:
    found = []
    names = {n for n, _ in arguments}
    for item in program.inputs:
        if missing & set(item.shape) and item.name not in names and item.role != "target":
            found.append(item)
            missing = missing - set(item.shape)
    return found


class _Namer:
    """Names for values: the script's, adjoints as D + name, else a description of the value."""

    def __init__(
        self,
        taken: set[str],
        hints: dict[Expr, str],
        adjoints: tuple[tuple[str, Expr, Shape], ...] = (),
    ) -> None:
        self._taken = set(taken)
        self._hints = dict(hints)
        self._adjoints = adjoints
        self._given: dict[Expr, str] = {}

    def fork(
        self, hints: dict[Expr, str], adjoints: tuple[tuple[str, Expr, Shape], ...] = ()
    ) -> _Namer:
        made = _Namer(self._taken, hints, adjoints)
        made._given = {}
        return made

    def is_named(self, node: Expr) -> bool:
        return node in self._hints

    def is_result(self, name: str) -> bool:
        return name in self._hints.values()

    def name(self, node: Expr) -> str:
        if node.op == "symbol":
            return str(node.attr)
        if node in self._hints:
            return self._hints[node]
        if node not in self._given:
            self._given[node] = self._unique(self._adjoint_name(node) or self._describe(node))
        return self._given[node]

    def _adjoint_name(self, node: Expr) -> str | None:
        if _width(node.shape) < 2:
            return None
        for name, adjoint, shape in self._adjoints:
            if shape == node.shape and (
                adjoint is node or ix.is_zero(
                    _plain_entry(adjoint) - _plain_entry(node)
                )
            ):
                return name
        return None

    def _unique(self, wanted: str) -> str:
        used = self._taken | set(self._hints.values()) | set(self._given.values())
        if wanted not in used:
            return wanted
        return next(f"{wanted}_{i}" for i in range(2, 99) if f"{wanted}_{i}" not in used)

    def _describe(self, node: Expr) -> str:
        """rows_sum(Y * DY) is sum_Y_DY; log(sum_E) is log_sum_E."""
        if node.op == "at_least_one" or _is_normaliser(node):
            return self._describe(node.args[0])
        words = {
            "rows_sum": "sum", "columns_sum": "sum", "elements_sum": "sum", "rows_mean": "mean",
            "columns_mean": "mean", "rows_max": "max", "columns_max": "max", "rows_shift": "max",
            "columns_shift": "max", "hadamard": "", "add": "", "matmul": "", "transpose": "",
            "target_product": "", "at_least_one": "",
        }  # fmt: skip
        word = words.get(node.op, node.op)
        if node.op == "power":
            words_of_powers = {"1/2": "sqrt", "-1": "inv", "-1/2": "inv_sqrt", "2": "square"}
            word = words_of_powers.get(str(node.attr), "power")
        if node.op == "apply":
            word = getattr(node.attr, "name", "f")
        inner = _leading_names(node, self)
        return "_".join([w for w in [word, *inner] if w]) or "value"


def _plain_entry(expr: Expr) -> ix.Poly:
    return Entries()(expr, "a", "b")


def _leading_names(node: Expr, namer: _Namer) -> list[str]:
    names: dict[str, None] = {}

    def visit(part: Expr) -> None:
        if part.op == "symbol" or (part in namer._hints and part is not node):
            names[namer.name(part)] = None
        elif part in namer._given and part is not node:
            if part.op not in ("rows_shift", "columns_shift"):
                names[namer._given[part]] = None
        else:
            if part.op in ("exp", "log") and part is not node:
                names[part.op] = None
            for arg in part.args:
                visit(arg)

    visit(node)
    return list(names)[:3]


class _Builder:
    """Writes the statements of one routine."""

    def __init__(self, namer: _Namer, program: Program) -> None:
        self._namer = namer
        self._targets = {i.name for i in program.inputs if i.role == "target"}
        self._data = {i.name for i in program.inputs if i.role != "variable"}
        self._symbols: dict[Expr, Expr] = {}
        self._statements: list[Statement] = []

    def build(
        self, name: str, arguments: list[tuple[str, Shape]], results: list[tuple[str, Expr]]
    ) -> Routine:
        roots = [expr for _, expr in results]
        wanted = self._materialised(roots)
        by_root: dict[Expr, list[str]] = {}
        for result, expr in results:
            by_root.setdefault(expr, []).append(result)
        for node in ex.topological(*roots):
            if node in by_root and node.op != "symbol":
                first, *others = by_root[node]
                self._add(first, node)
                for other in others:
                    self._statements.append(Statement(other, ex.symbol(first, node.shape)))
            elif node in by_root:
                for result in by_root[node]:
                    self._statements.append(Statement(result, node))
            elif node in wanted:
                self._add(self._namer.name(node), node)
        self._inline_products()
        return Routine(
            name, tuple(arguments), tuple(self._statements), tuple(r for r, _ in results)
        )

    def _add(self, name: str, node: Expr) -> None:
        args = tuple(ex.substitute(a, self._symbols) for a in node.args)
        expr = node if args == node.args else ex.rebuild(node, args)
        self._statements.append(Statement(name, self._guarded(expr)))
        if self._is_data(expr):
            self._data.add(name)
            self._targets |= {name} if self._targets & set(ex.symbols_of(expr)) else set()
        self._symbols[node] = ex.symbol(name, node.shape)

    def _materialised(self, roots: list[Expr]) -> set[Expr]:
        """Values with a statement of their own: named, shared, summed, or costly vectors."""
        uses: dict[Expr, int] = {}
        order = ex.topological(*roots)
        users: dict[Expr, list[Expr]] = {}
        for node in order:
            for arg in node.args:
                uses[arg] = uses.get(arg, 0) + 1
                users.setdefault(arg, []).append(node)
        wanted: set[Expr] = set()
        for node in order:
            if node.op in (*_REPEATS, "symbol", "number", "size", "identity", "transpose"):
                continue
            inner_sum = node.op in ("rows_sum", "columns_sum") and all(
                u.op == "at_least_one" for u in users.get(node, [])
            )
            if node.op == "log" and any(_is_normaliser(u) for u in users.get(node, [])):
                continue
            named = self._namer.is_named(node) or _is_normaliser(node)
            shared = uses.get(node, 0) > 1 and _depends_on_arrays(node)
            shared = shared and not (_width(node.shape) == 2 and _is_plain_product(node, wanted))
            summed = node.op in (*_REDUCTIONS, "matmul") and not (inner_sum and users.get(node))
            vector = _width(node.shape) == 1 and node.op in _COSTLY
            if named or shared or summed or vector:
                wanted.add(node)
            if node.op == "matmul":
                operands = (a.args[0] if a.op == "transpose" else a for a in node.args)
                wanted |= {a for a in operands if a.op != "symbol"}
        return wanted

    def _inline_products(self) -> None:
        """Y = X W^T + b is one statement: a product used once goes into its user."""
        for product in [s for s in self._statements if s.expr.op == "matmul"]:
            symbol = ex.symbol(product.name, product.shape)
            users = [s for s in self._statements if symbol in ex.topological(s.expr)]
            if len(users) != 1 or self._namer.is_result(product.name):
                continue
            nodes = ex.topological(users[0].expr)
            uses = sum(node.args.count(symbol) for node in nodes)
            elementwise = all(n.op in ("add", "hadamard", "power", "symbol", "number", "size",
                                       *_REPEATS) for n in nodes)  # fmt: skip
            if uses == 1 and elementwise:
                place = self._statements.index(users[0])
                merged = ex.substitute(users[0].expr, {symbol: product.expr})
                self._statements[place] = Statement(users[0].name, merged)
                self._statements.remove(product)

    def _guarded(self, expr: Expr) -> Expr:
        """0 (.) inf = 0 where a target, or a product of it and other data, multiplies what may be
        infinite."""
        if not self._targets:
            return expr
        done: dict[Expr, Expr] = {}
        for node in ex.topological(expr):
            args = tuple(done[a] for a in node.args)
            new = node if args == node.args else ex.rebuild(node, args)
            done[node] = self._guard_product(new) if node.op == "hadamard" else new
        return done[expr]

    def _guard_product(self, node: Expr) -> Expr:
        above, below = factors_of(node, {})
        factors = above + [ex.power(b, Fraction(-1)) for b in below]
        target = [f for f in factors if self._is_data(f)]
        unbounded = [f for f in factors if f not in target and self._may_be_infinite(f)]
        concerned = bool(self._targets & set(ex.symbols_of(*target)) and unbounded)
        if not concerned or any(f.op == "target_product" for f in factors):
            return node
        rest = [f for f in factors if f not in target and f not in unbounded]
        guarded = target_product(_times(target, node.shape), _times(unbounded, node.shape))
        return ex.hadamard(_times(rest, node.shape), guarded) if rest else guarded

    def _is_data(self, factor: Expr) -> bool:
        """Without a gradient, as targets and weights are."""
        names = ex.symbols_of(factor)
        return bool(names) and self._data.issuperset(names)

    def _may_be_infinite(self, factor: Expr) -> bool:
        """Logarithms, quotients, and values computed from logarithms."""
        logarithms: set[str] = set()
        for s in self._statements:
            if self._has_log(s.expr) or logarithms & set(ex.symbols_of(s.expr)):
                logarithms.add(s.name)
        return self._has_log(factor) or bool(logarithms & set(ex.symbols_of(factor)))

    def _has_log(self, expr: Expr) -> bool:
        return any(
            n.op == "log"
            or (n.op == "power" and isinstance(n.attr, Fraction) and n.attr < 0
                and _depends_on_arrays(n))
            or (n.op == "apply" and "log" in getattr(n.attr, "name", ""))
            for n in ex.topological(expr)
        )


def _is_plain_product(node: Expr, known: set[Expr]) -> bool:
    """Products of symbols and of values with a name: cheaper to write twice than to keep."""
    if node.op in _REPEATS:
        return _is_plain_product(node.args[0], known)
    if node.op == "hadamard":
        return all(a in known or _is_plain_product(a, known) for a in node.args)
    return node.op in ("symbol", "number", "size")


def _times(factors: list[Expr], shape: Shape) -> Expr:
    total = _repeated(factors[0], shape)
    for factor in factors[1:]:
        total = ex.hadamard(total, _repeated(factor, shape))
    return total


def _repeated(value: Expr, shape: Shape) -> Expr:
    if value.shape == shape:
        return value
    if value.is_scalar:
        return ex.scalar_repeat(value, shape)
    if value.rows == "1" and shape[0] != "1":
        return ex.row_repeat(value, shape[0])
    return ex.column_repeat(value, shape[1])


def inlined(routine: Routine) -> dict[str, Expr]:
    """Every statement as an expression of the routine's arguments."""
    values: dict[Expr, Expr] = {}
    found = {}
    for statement in routine.statements:
        value = ex.substitute(statement.expr, values)
        values[ex.symbol(statement.name, statement.shape)] = value
        found[statement.name] = value
    return found


def proved_again(kernel: Kernel, proof: Proof) -> bool:
    """Both routines, statement by statement as emitted, against the definition and route B."""
    program = kernel.program
    forward = inlined(kernel.forward)
    definitions = {name: forward[name] for name in kernel.forward.results}
    entry = Entries(program.positive)
    output = definitions[program.output_name]
    if not ix.is_zero(entry(output, "a", "b") - entry(program.output, "a", "b")):
        return False
    saved = Entries(program.positive, definitions)
    backward = inlined(kernel.backward)
    for name, wanted in proof.gradients:
        gap = wanted - saved(backward[f"D{name}"], "a", "b")
        for fact in program.facts:
            gap = apply_fact(gap, fact, entry)
        if not ix.is_zero(gap):
            return False
    return True

