"""A routine as a C++ function template: parameters, sizes and the lines of its units."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from .. import expression as ex
from ..expression import Expr
from ..routine import Kernel, Routine, Statement
from ..schedule import Product, reduction_of, width
from .cpp_columns import ColumnsWriter
from .cpp_context import Context, identifiers, mentions, select_key
from .cpp_entry import DOUBLE, REAL, Scope, Values, entry, uses_double
from .cpp_function import Function, Parameter
from .cpp_nonpositive import NonPositive
from .cpp_plan import Columns, Rows, Unit, Walk, is_elementwise, parts_of, plan
from .cpp_rows import RowsWriter
from .cpp_scalar import ScalarFunctions
from .cpp_terms import split_product, split_sum
from .cpp_walk import walk_lines


def write(kernel: Kernel, routine: Routine, functions: ScalarFunctions) -> Function:
    """The function of one direction of a layer."""
    return _Writer(kernel, routine, functions).function()


class _Writer:
    def __init__(self, kernel: Kernel, routine: Routine, functions: ScalarFunctions) -> None:
        self._kernel, self._routine = kernel, routine
        shapes = dict(routine.arguments) | {s.name: s.shape for s in routine.statements}
        self._units, self._vectors = plan(routine)
        self._parts = [part for unit in self._units for part in parts_of(unit)]
        for unit in self._parts:
            if isinstance(unit, Rows):
                shapes |= {s.name: s.shape for s in unit.body}
        vectors = (n for n in kernel.precise if n in shapes and width(shapes[n]))
        types = dict.fromkeys(vectors, DOUBLE)
        dims = {d for shape in shapes.values() for d in shape}
        names = identifiers(shapes, {d.lower() for d in dims} | set(functions.found))
        bounded = NonPositive(kernel.forward, routine)
        self._values = Values(shapes, types, functions, names, bounded)
        self._types = types
        self._labels = self._possible_labels()
        self._scratch: dict[str, Parameter] = {}
        arrays = dict.fromkeys((n for n, _ in routine.arguments), False)
        arrays |= dict.fromkeys(self._written(), True)
        taken = {self._values.identifier(n) for n in arrays} | dims
        self._context = Context(self._values, routine, self._labels, arrays, taken)
        self._lines: list[str] = []

    def function(self) -> Function:
        for unit in self._units:
            for part in parts_of(unit):
                self._select(part)
            self._unit(unit)
        parameters = [*self._arguments(), *self._results(), *self._scratch.values()]
        text = "\n".join(self._lines)
        sizes = [f"{d} = {source}" for d, source in self._sizes(parameters) if mentions(text, d)]
        body = [f"const Index {', '.join(sizes)};"] if sizes else []
        body += [part for line in self._lines for part in line.split("\n")]
        named = tuple(self._named(parameters, "\n".join(body)))
        return Function(self._routine.name, named, tuple(body))

    def _named(self, parameters: list[Parameter], body: str) -> Iterator[Parameter]:
        """Arguments that only tell a size nobody asks for are not named in C++."""
        for p in parameters:
            used = mentions(body, p.identifier)
            identifier = p.identifier if used else f"/*{p.identifier}*/"
            yield Parameter(p.name, identifier, p.shape, p.type, p.role)

    # Parameters

    def _parameter(self, name: str, role: str) -> Parameter:
        shape = self._values.shapes[name]
        kind = self._values.type(name) if width(shape) else REAL
        return Parameter(name, self._values.identifier(name), shape, kind, role)

    def _arguments(self) -> list[Parameter]:
        roles = dict.fromkeys(self._labels, "labels")
        roles |= {i.name: "pattern" for i in self._kernel.program.inputs if i.role == "pattern"}
        return [self._parameter(n, roles.get(n, "argument")) for n, _ in self._routine.arguments]

    def _results(self) -> list[Parameter]:
        return [self._parameter(n, "result") for n in self._routine.results]

    def _written(self) -> list[str]:
        """Results, and what needs memory besides them: scratch the caller provides."""
        names = list(self._routine.results)
        matrices = []
        for unit in self._parts:
            if isinstance(unit, Rows):
                matrices += [s.name for s in unit.body if s.name in unit.stored and width(s.shape)]
            elif isinstance(unit, Columns):
                matrices += [n for sweep in unit.sweeps for n in sorted(sweep.stored)]
            elif isinstance(unit, Product):
                matrices.append(unit.target)
        for name in [*matrices, *sorted(self._vectors)]:
            if name not in names and width(self._values.shapes[name]):
                names.append(name)
                self._scratch[name] = self._parameter(name, "scratch")
        return names

    def _sizes(self, parameters: list[Parameter]) -> Iterator[tuple[str, str]]:
        """Each size with the argument that tells it; targets last, labels know their classes."""
        known: set[str] = set()
        roles = ("argument", "labels", "pattern", "result", "scratch")
        for p in sorted(parameters, key=lambda p: roles.index(p.role)):
            members = ("rows", "cols") if width(p.shape) == 2 else ("size", "size")
            for dim, member in zip(p.shape, members, strict=True):
                if dim != "1" and dim not in known:
                    known.add(dim)
                    yield dim, f"{p.identifier}.{member}"

    def _possible_labels(self) -> frozenset[str]:
        """Targets that are read entry by entry only, so that labels can stand for them."""
        targets = [i.name for i in self._kernel.program.inputs
                   if i.role == "target" and width(i.shape) == 2]  # fmt: skip
        found = set(targets[:1]) & {n for n, _ in self._routine.arguments}
        for statement in self._routine.statements:
            for node in ex.topological(statement.expr):
                if node.op in ("matmul", "transpose", "diag"):
                    found -= set(ex.symbols_of(node))
        return frozenset(found)

    # Units

    def _unit(self, unit: Unit) -> None:
        if isinstance(unit, Rows):
            self._lines += RowsWriter(self._context, unit).lines()
            for statement in unit.sums:
                if not self._context.is_result(statement.name):
                    self._types[statement.name] = DOUBLE
        elif isinstance(unit, Columns):
            self._lines += ColumnsWriter(self._context, unit).lines()
        elif isinstance(unit, Walk):
            self._lines += walk_lines(self._context, unit)
        elif isinstance(unit, Product):
            self._product(unit)
        else:
            self._small(unit.statement)

    def _select(self, unit: Unit) -> None:
        """The rows of the columns' first maxima, which columns_select compares with."""
        if not isinstance(unit, Rows | Columns):
            return
        sweeps = [unit] if isinstance(unit, Rows) else unit.sweeps
        body = [s for sweep in sweeps for s in sweep.body]
        ends = [s.expr for w in sweeps for s in (w.sums if isinstance(w, Rows) else w.accumulated)]
        for node in ex.topological(*(s.expr for s in body), *ends):
            if node.op == "columns_select" and select_key(node) not in self._context.selected:
                self._first_maxima(node, body)

    def _first_maxima(self, node: Expr, body: list[Statement]) -> None:
        name = self._context.unique("first_max_" + "_".join(ex.symbols_of(node)))
        self._scratch[name] = Parameter(name, name, ("1", node.cols), "Index", "scratch")
        self._context.selected[select_key(node)] = name
        inline = {ex.symbol(s.name, s.shape): s.expr for s in body}
        operand = node.args[0]
        while any(ex.symbol(n, self._values.shapes[n]) in inline for n in ex.symbols_of(operand)):
            operand = ex.substitute(operand, inline)
        n = self._context.index(node.rows)
        k = self._context.index(node.cols, n)
        scope = Scope(self._values, n, k, {}, None, self._context.special)
        here = entry(operand, scope, n, k)
        best = entry(operand, scope, f"{name}[{k}]", k)
        self._lines += [
            f"for (Index {k} = 0; {k} < {node.cols}; ++{k}) {{",
            f"    {name}[{k}] = 0;",
            f"    for (Index {n} = 1; {n} < {node.rows}; ++{n}) {{",
            f"        if ({here} > {best}) {name}[{k}] = {n};",
            "    }",
            "}",
        ]

    def _small(self, statement: Statement) -> None:
        if width(statement.shape):
            self._small_vector(statement)
            return
        name = statement.name
        text, kind = self._scalar(statement.expr)
        identifier = self._values.identifier(name)
        if self._context.is_result(name):
            self._lines.append(f"{identifier} = {text if kind == REAL else f'Real({text})'};")
        else:
            self._lines.append(f"const {kind} {identifier} = {text};")
            self._types[name] = kind

    def _scalar(self, expr: Expr) -> tuple[str, str]:
        reduction = reduction_of(expr)
        if reduction is None:
            double = uses_double(expr, self._values)
            kind = DOUBLE if double else REAL
            return entry(expr, self._scope("", ""), "", "", kind), kind
        operand = reduction.args[0]
        dim = next((d for d in operand.shape if d != "1"), "1")
        k = self._context.index(dim)
        i, j = (k if operand.rows != "1" else ""), (k if operand.rows == "1" else "")
        real = DOUBLE if uses_double(operand, self._values) else REAL
        term = f"[=](Index {k}) {{ return {entry(operand, self._scope(i, j), i, j, real)}; }}"
        if reduction.op.endswith(("_max", "_shift")):
            function = "maximum" if reduction.op.endswith("_max") else "largest"
            text, kind = f"{function}<{real}>({dim}, {term})", real
            if reduction.op.endswith("_shift"):
                text = f"math::finite_or_zero({text})"
        else:
            text, kind = f"sum<double>({dim}, {term})", DOUBLE
            if reduction.op.endswith("_mean"):
                text = f"{text} / double(std::max<Index>({dim}, 1))"
        if expr.op == "at_least_one":
            text = f"math::maximum({text}, {kind}(1))"
        return text, kind

    def _small_vector(self, statement: Statement) -> None:
        expr = statement.expr
        dim = next(d for d in expr.shape if d != "1")
        k = self._context.index(dim)
        i, j = (k, "") if expr.rows != "1" else ("", k)
        own = self._values.type(statement.name)
        real = DOUBLE if own == DOUBLE or uses_double(expr, self._values) else REAL
        text = entry(expr, self._scope(i, j), i, j, real)
        text = text if real == own else f"{own}({text})"
        target = f"{self._values.identifier(statement.name)}[{k}]"
        self._lines.append("GRADWRIGHT_VECTORIZE")
        self._lines.append(f"for (Index {k} = 0; {k} < {dim}; ++{k}) {target} = {text};")

    def _scope(self, row: str, col: str) -> Scope:
        return Scope(self._values, row, col, {}, None, self._context.special)

    # Products

    def _product(self, step: Product) -> None:
        """alpha A B + what was there before: the epilogue goes into the product where it can."""
        if step.node.op != "matmul":
            self._sparse_product(step)
            return
        product = ex.symbol(step.target, (step.left.rows, step.right.cols))
        alpha, rest = _affine(step.epilogue, product)
        left, right = self._operand(step.left), self._operand(step.right)
        target = self._view(step.target)
        if not width(step.epilogue.shape) and not self._context.is_result(step.target):
            self._lines.append(f"Real {self._values.identifier(step.target)} = Real(0);")
        if rest:
            start = rest[0]
            for term in rest[1:]:
                start = ex.add(start, term)
            self._elementwise(step.target, start)
        if alpha is None:
            factor, beta = "Real(1)", "Real(0)"
        else:
            factor = self._scalar(alpha)[0] if alpha is not ex.number(1) else "Real(1)"
            factor = factor if self._scalar(alpha)[1] == REAL else f"Real({factor})"
            beta = "Real(1)" if rest else "Real(0)"
        self._lines.append(
            f"gemm<Real>({left[0]}, {right[0]}, {factor}, {left[1]}, {right[1]}, {beta}, {target});"
        )
        if alpha is None:
            self._elementwise(step.target, step.epilogue)

    def _sparse_product(self, step: Product) -> None:
        left, pattern = self._matrix(step.left), self._values.identifier(str(step.node.args[2].attr))
        if step.node.op == "sparse_product":
            turned, values = str(step.node.attr).lower(), self._values.identifier(str(step.right.attr))
            arguments = f"{turned}, {left}, {values}, {pattern}, {self._view(step.target)}"
        else:
            target = self._values.identifier(step.target)
            arguments = f"{left}, {self._matrix(step.right)}, {pattern}, {target}"
        self._lines.append(f"{step.node.op}<Real>({arguments});")
        if step.epilogue.op != "symbol":
            self._elementwise(step.target, step.epilogue)

    def _matrix(self, expr: Expr) -> str:
        """The view of an operand as it is; what is no array becomes one first."""
        return self._operand(expr)[1] if expr.op == "symbol" else self._made(expr)

    def _elementwise(self, name: str, expr: Expr) -> None:
        statement = Statement(name, expr)
        if width(expr.shape) == 2:
            assert is_elementwise(expr)
            self._unit(Rows(expr.shape, (statement,), {name}))
        else:
            self._small(statement)

    def _operand(self, expr: Expr) -> tuple[str, str]:
        """Whether it is transposed, and its view; what is no array becomes one first."""
        if expr.op == "transpose" and expr.args[0].op == "symbol":
            return "true", self._view(str(expr.args[0].attr), const=True)
        if expr.op == "symbol" and self._values.type(str(expr.attr)) == REAL:
            return "false", self._view(str(expr.attr), const=True)
        return "false", self._made(expr)

    def _made(self, expr: Expr) -> str:
        name = self._context.unique("operand")
        self._values.shapes[name] = expr.shape
        self._context.arrays[name] = True
        self._scratch[name] = self._parameter(name, "scratch")
        self._elementwise(name, expr)
        return self._view(name, const=True)

    def _view(self, name: str, *, const: bool = False) -> str:
        """A vector or number as the matrix it is."""
        shape, identifier = self._values.shapes[name], self._values.identifier(name)
        if width(shape) == 2:
            return identifier
        kind = "const Real" if const else "Real"
        rows, cols = ("1" if d == "1" else f"{identifier}.size" for d in shape)
        data = f"{identifier}.data" if width(shape) else f"&{identifier}"
        return f"Matrix<{kind}>({data}, {rows}, {cols})"


def _affine(epilogue: Expr, product: Expr) -> tuple[Expr | None, list[Expr]]:
    """alpha and the other terms where the epilogue is alpha P + terms; alpha is 1 x 1."""
    rest: list[Expr] = []
    alpha: Expr | None = None
    for sign, term in split_sum(epilogue):
        if product not in ex.topological(term):
            rest.append(term if sign > 0 else ex.negate(term))
            continue
        value, above, below = split_product(term)
        others = [f for f in above if f is not product]
        if alpha is not None or len(above) - len(others) != 1:
            return None, []
        factors = [*others, *(ex.power(f, Fraction(-1)) for f in below)]
        if any(width(f.shape) for f in factors):
            return None, []
        alpha = ex.number(value * sign)
        for factor in factors:
            alpha = ex.hadamard(alpha, factor)
    return (None, []) if alpha is None else (alpha, rest)
