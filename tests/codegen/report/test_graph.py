"""The drawing of a computation graph."""

import itertools

from gradwright.codegen.derivation import Derivation
from gradwright.codegen.notation import D, K, Matrix, N, exp, layer, rows_sum
from gradwright.codegen.report.graph import Drawing, draw


def _all_inside(drawing: Drawing) -> bool:
    return all(
        b.x - b.width / 2 >= 0 and b.x + b.width / 2 <= drawing.width
        and b.y - b.height / 2 >= 0 and b.y + b.height / 2 <= drawing.height
        for b in drawing.boxes
    )  # fmt: skip


def test_every_name_of_the_script_has_a_box(layers: dict[str, Derivation]) -> None:
    titles = [box.title for box in draw(layers["batchnorm"].program).boxes]
    assert {"X", "γ", "β", "ε", "μ", "R", "var", "inv_std", "Z", "Y"} <= set(titles)


def test_boxes_lie_inside_and_apart(layers: dict[str, Derivation]) -> None:
    for derivation in layers.values():
        drawing = draw(derivation.program)
        assert _all_inside(drawing)
        for a, b in itertools.combinations(drawing.boxes, 2):
            beside = abs(a.x - b.x) >= (a.width + b.width) / 2
            below = abs(a.y - b.y) >= (a.height + b.height) / 2
            assert beside or below


def test_repetition_is_a_dashed_edge(layers: dict[str, Derivation]) -> None:
    assert any(curve.dashed for curve in draw(layers["softmax"].program).curves)
    assert not any(curve.dashed for curve in draw(layers["gelu"].program).curves)


def test_an_input_that_is_the_output_is_one_box() -> None:
    @layer
    def same(X: Matrix[N, K]):
        return X

    drawing = draw(same.program())
    assert [box.kind for box in drawing.boxes] == ["input"]
    assert drawing.curves == ()


def test_an_input_that_is_not_used_is_left_out() -> None:
    @layer
    def half(X: Matrix[N, K], W: Matrix[K, D]):  # noqa: ARG001
        return rows_sum(exp(X))

    assert [box.title for box in draw(half.program()).boxes] == ["X", "exp", "Y"]
