"""Sparse layers: what the lowering recognises, what it refuses, what is proved."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradwright.codegen import derive
from gradwright.codegen import expression as ex
from gradwright.codegen.errors import NotationError
from gradwright.codegen.lower import proved_again
from gradwright.codegen.notation import *
from gradwright.codegen.notation import D, K, Matrix, N, Pattern, Row, hadamard, layer, row_repeat
from gradwright.codegen.scripts import load_script
from gradwright.codegen.sparse import dense_again
from gradwright.codegen.targets import TARGETS
from gradwright.codegen.verify.floating import load_numpy

SCRIPT = Path(__file__).parents[2] / "derivations" / "linear.py"


@pytest.fixture(scope="module")
def sparse_linear() -> Any:
    return derive(next(item for item in load_script(SCRIPT) if item.name == "sparse_linear"))


def ops(routine: Any) -> list[str]:
    nodes = ex.topological(*(s.expr for s in routine.statements))
    return [n.op for n in nodes if n.op.endswith(("product", "matmul"))]


def test_products_are_recognised(sparse_linear: Any) -> None:
    assert ops(sparse_linear.face.forward) == ["sparse_product"]
    assert sorted(ops(sparse_linear.face.backward)) == ["sampled_product", "sparse_product"]


def test_the_dense_routines_are_those_of_the_masked_layer(sparse_linear: Any) -> None:
    assert sorted(ops(sparse_linear.kernel.backward)) == ["matmul", "matmul"]
    assert "W" in dict(sparse_linear.kernel.forward.arguments)


def test_the_sparse_statements_are_proved(sparse_linear: Any) -> None:
    assert proved_again(dense_again(sparse_linear.face, sparse_linear.kernel), sparse_linear.proof)


@pytest.mark.parametrize("routine", ["forward", "backward"])
def test_a_wrong_sparse_statement_is_not_proved(sparse_linear: Any, routine: str) -> None:
    """Each product in turn is transposed, or gets a factor."""
    face = sparse_linear.face
    given = getattr(face, routine)
    for place, statement in enumerate(given.statements):
        for node in ex.topological(statement.expr):
            if node.op == "sparse_product":
                other = ex.node(node.op, (ex.hadamard(ex.number(2), node.args[0]), *node.args[1:]),
                                node.shape, node.attr)  # fmt: skip
            elif node.op == "sampled_product":
                operands = (ex.negate(node.args[0]), *node.args[1:])
                other = ex.node(node.op, operands, node.shape)
            else:
                continue
            changed = replace(statement, expr=ex.substitute(statement.expr, {node: other}))
            statements = (*given.statements[:place], changed, *given.statements[place + 1 :])
            wrong = replace(face, **{routine: replace(given, statements=statements)})
            again = dense_again(wrong, sparse_linear.kernel)
            assert not proved_again(again, sparse_linear.proof)


def test_a_stranger_s_sparse_layer_runs() -> None:
    @layer
    def gated(X: Matrix[N, D], M: Pattern[K, D], W: Matrix[K, D], G: Matrix[N, K]):
        Z = X @ (M * W).T
        return Z * G

    found = derive(gated)
    module = load_numpy(TARGETS["numpy"].render(found)["gated.py"], "gated")
    rng = np.random.default_rng(0)
    X, G, DY = rng.normal(size=(5, 6)), rng.normal(size=(5, 4)), rng.normal(size=(5, 4))
    mask = rng.random((4, 6)) < 0.4
    rows, indices = np.nonzero(mask)
    values, indptr = rng.normal(size=len(rows)), np.searchsorted(rows, np.arange(5))
    W = np.zeros((4, 6))
    W[mask] = values
    Y, pullback = module.vjp(X, indices, indptr, values, G)
    np.testing.assert_allclose(Y, X @ W.T * G, rtol=1e-12)
    DX, Dvalues, DG = pullback(DY)
    np.testing.assert_allclose(DX, (DY * G) @ W, rtol=1e-12)
    np.testing.assert_allclose(Dvalues, ((DY * G).T @ X)[mask], rtol=1e-12)
    np.testing.assert_allclose(DG, DY * (X @ W.T), rtol=1e-12)


def test_what_has_no_sparse_form_is_refused() -> None:
    @layer
    def both(X: Matrix[N, D], W: Matrix[K, D], M: Pattern[K, D]):
        return X @ hadamard(M, W).T + X @ W.T

    with pytest.raises(NotationError, match="has no sparse form; sparse are A @"):
        derive(both)

    @layer
    def squared(X: Matrix[N, D], W: Matrix[K, D], M: Pattern[K, D]):
        return X @ (hadamard(M, W) ** 2).T

    with pytest.raises(NotationError, match="no sparse form"):
        derive(squared)


def test_a_pattern_needs_its_matrix() -> None:
    @layer
    def alone(X: Matrix[N, D], M: Pattern[K, D]):
        return X @ M.T

    with pytest.raises(NotationError, match="0 variables are multiplied by the pattern M"):
        derive(alone)

    @layer
    def two(X: Matrix[N, D], W: Matrix[K, D], A: Pattern[K, D], B: Pattern[K, D]):
        return X @ (A * W).T + X @ (B * W).T

    with pytest.raises(NotationError, match="one pattern"):
        derive(two)


def test_names_of_the_stored_arrays_are_taken() -> None:
    @layer
    def clash(X: Matrix[N, D], W: Matrix[K, D], M: Pattern[K, D], values: Row[K]):
        return X @ (M * W).T + row_repeat(values, N)

    with pytest.raises(NotationError, match="values is what the pattern's arrays are called"):
        derive(clash)
