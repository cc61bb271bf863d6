"""Sparse layers: a matrix with a pattern is stored by its entries, products with it become sparse.

Input: the kernel of a program with a `Pattern`, lowered and proved with dense matrices. Output: the
program and the kernel of its face, where the matrix is the row of its P entries in the pattern.
Recognised are, for a pattern M and a variable W that occurs as M * W alone,

    A @ (M * W)^T and A @ (M * W)     sparse products
    M * (A^T @ B)                     the sampled product: its entries where M is

Anything else is refused: nothing dense is ever done for a sparse layer. Guaranteed: `dense_again`,
which puts the matrices back, gives routines that are proved once more against the definition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from . import expression as ex
from .errors import NotationError
from .expression import Expr
from .program import Input, Program, display_path
from .routine import Kernel, Routine, Statement

VALUES, ENTRIES = "values", "P"
PATTERN_ARGUMENTS = ("indices", "indptr")


def pattern_of(program: Program) -> Input | None:
    """The pattern of a sparse layer, of which there is one at most."""
    found = [i for i in program.inputs if i.role == "pattern"]
    if len(found) > 1:
        raise NotationError(f"{program.name}: {found[1].name}: a layer has one pattern")
    return found[0] if found else None


def stored(kernel: Kernel) -> Kernel | None:
    """The kernel of a sparse layer's face, or None where there is no pattern."""
    pattern = pattern_of(kernel.program)
    if pattern is None:
        return None
    matrix = _matrix(kernel.program, pattern)
    _require_free(kernel.program)
    row = ex.symbol(VALUES, ("1", ENTRIES))
    names = {matrix.name: VALUES, f"D{matrix.name}": f"D{VALUES}"}
    inputs = tuple(
        Input(VALUES, row.shape, matrix.role) if i is matrix else i for i in kernel.program.inputs
    )
    sparse = _Sparse(kernel.program, pattern.expr, matrix.expr, row)
    return Kernel(
        replace(kernel.program, inputs=inputs),
        sparse.routine(kernel.forward, names),
        sparse.routine(kernel.backward, names),
        tuple(names.get(n, n) for n in kernel.saved),
        kernel.stable,
        kernel.adjoints,
    )


def dense_again(face: Kernel, kernel: Kernel) -> Kernel:
    """The kernel with the matrices put back, for the proof."""
    pattern = pattern_of(kernel.program)
    assert pattern is not None
    matrix = _matrix(kernel.program, pattern)
    names = {VALUES: matrix.name, f"D{VALUES}": f"D{matrix.name}"}
    masked = ex.hadamard(pattern.expr, matrix.expr)

    def back(node: Expr) -> Expr | None:
        if node.op == "sparse_product":
            return node.args[0] @ (masked.T if node.attr else masked)
        if node.op == "sampled_product":
            return ex.hadamard(pattern.expr, node.args[0].T @ node.args[1])
        return None

    def routine(given: Routine) -> Routine:
        statements = tuple(
            Statement(names.get(s.name, s.name), _mapped(s.expr, back)) for s in given.statements
        )
        arguments = tuple((names.get(n, n), matrix.shape if n == VALUES else s) for n, s in given.arguments)
        return Routine(given.name, arguments, statements, tuple(names.get(n, n) for n in given.results))

    return replace(kernel, forward=routine(face.forward), backward=routine(face.backward))


def face_arguments(item_names: list[str], pattern: str | None) -> list[str]:
    """Names as the face has them: a pattern is its index arrays."""
    return [a for n in item_names for a in (PATTERN_ARGUMENTS if n == pattern else (n,))]


class _Sparse:
    """Statements rewritten for one pattern and the matrix on it."""

    def __init__(self, program: Program, pattern: Expr, matrix: Expr, values: Expr) -> None:
        self._program, self._pattern, self._matrix, self._values = program, pattern, matrix, values
        self._masked = {ex.hadamard(pattern, matrix), ex.hadamard(matrix, pattern)}

    def routine(self, given: Routine, names: Mapping[str, str]) -> Routine:
        known: dict[Expr, Expr] = {}
        statements = []
        for statement in given.statements:
            expr = ex.substitute(statement.expr, known)
            symbol = ex.symbol(statement.name, statement.shape)
            if expr in self._masked:
                known[symbol] = expr
                continue
            value = _mapped(expr, self._sparse)
            if value.shape != statement.shape and statement.name not in given.results:
                self._refuse(value)
            statements.append(Statement(names.get(statement.name, statement.name), value))
        for statement in statements:
            self._require_sparse(statement.expr)
        arguments = tuple(
            (names.get(n, n), self._values.shape if n == self._matrix.attr else s)
            for n, s in given.arguments
        )
        return Routine(given.name, arguments, tuple(statements), tuple(names.get(n, n) for n in given.results))

    def _sparse(self, node: Expr) -> Expr | None:
        if node.op == "matmul":
            left, right = node.args
            turned = right.op == "transpose" and right.args[0] in self._masked
            if turned or right in self._masked:
                return ex.node("sparse_product", (left, self._values, self._pattern), node.shape, turned)
        if node.op == "hadamard" and self._pattern in node.args:
            other = node.args[1] if node.args[0] is self._pattern else node.args[0]
            if other.op == "matmul" and other.args[0].op == "transpose":
                operands = (other.args[0].args[0], other.args[1], self._pattern)
                return ex.node("sampled_product", operands, self._values.shape)
        return None

    def _require_sparse(self, expr: Expr) -> None:
        for node in ex.topological(expr):
            hidden = node.op not in ("sparse_product", "sampled_product") and self._pattern in node.args
            hidden = hidden or any(a.op == "sampled_product" for a in node.args)
            if node is self._matrix or hidden:
                self._refuse(expr)

    def _refuse(self, expr: Expr) -> None:
        from .text import to_text

        raise NotationError(
            f"{display_path(self._program.source)}: {self._program.name}: {to_text(expr)} has no sparse "
            f"form; sparse are A @ (M * W).T, A @ (M * W) and M * (A.T @ B) for the pattern M. With "
            f"{self._pattern.attr}: Constant[...] the layer is dense"
        )


def _matrix(program: Program, pattern: Input) -> Input:
    """The variable that is multiplied by the pattern."""
    found = [
        i for i in program.variables
        if any(
            node.op == "hadamard" and set(node.args) == {i.expr, pattern.expr}
            for node in ex.topological(program.output)
        )
    ]  # fmt: skip
    if len(found) != 1:
        raise NotationError(
            f"{program.name}: {len(found)} variables are multiplied by the pattern {pattern.name}; write "
            f"{pattern.name} * W for one matrix W of its shape"
        )
    return found[0]


def _require_free(program: Program) -> None:
    taken = {i.name for i in program.inputs} | set(program.sizes)
    for name in (VALUES, *PATTERN_ARGUMENTS, ENTRIES):
        if name in taken:
            raise NotationError(f"{program.name}: {name} is what the pattern's arrays are called; rename it")


def _mapped(expr: Expr, rule: object) -> Expr:
    """The expression with every node that the rule knows replaced, from the outside in."""
    found = rule(expr)  # type: ignore[operator]
    if found is not None:
        operands = tuple(_mapped(a, rule) if a.op != "symbol" else a for a in found.args)
        return ex.node(found.op, operands, found.shape, found.attr)
    if not expr.args:
        return expr
    operands = tuple(_mapped(a, rule) for a in expr.args)
    return expr if operands == expr.args else ex.node(expr.op, operands, expr.shape, expr.attr)
