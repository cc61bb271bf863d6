"""The lines of a derivation say what the derivation did."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from gradwright.codegen import expression as ex
from gradwright.codegen.derivation import Derivation
from gradwright.codegen.primitives import Entries
from gradwright.codegen.prove import equal_everywhere
from gradwright.codegen.report.equations import (
    forward_equations,
    gradient_equations,
    simplification_lines,
    sweep_lines,
)  # fmt: skip
from gradwright.codegen.report.notebook import derivation_bundle, step_bundle, way_bundle


def test_sweep_lines_written_out_are_the_gradients_of_the_sweep(
    layers: dict[str, Derivation],
) -> None:
    for layer in layers.values():
        values: dict[ex.Expr, ex.Expr] = {}
        found = {}
        for line in sweep_lines(layer):
            for equation in line.equations:
                expr = ex.substitute(equation.right, values)
                values[ex.symbol(equation.left_text, expr.shape)] = expr
                found[equation.left_text] = expr
        entry = Entries(layer.program.positive)
        for name, gradient in layer.sweep.gradients:
            assert equal_everywhere(found[f"D{name}"], gradient, entry)


def test_gradient_lines_written_out_are_the_proved_gradients(
    layers: dict[str, Derivation],
) -> None:
    for layer in layers.values():
        proved = dict(layer.gradients)
        for equation in gradient_equations(layer):
            if equation.left_text[1:] in proved:
                assert equation.right is proved[equation.left_text[1:]]


def test_a_gradient_is_shown_before_the_one_that_uses_it(layers: dict[str, Derivation]) -> None:
    texts = [e.text for e in gradient_equations(layers["batchnorm"])]
    assert texts[-1].startswith("DX = ")
    assert "Dgamma" in texts[-1]
    assert "Dbeta" in texts[-1]


def test_simplification_ends_with_the_gradient(layers: dict[str, Derivation]) -> None:
    last = simplification_lines(layers["softmax"])[-1]
    assert last.rule == "fold"
    assert last.equations[0].right is layers["softmax"].gradient("Z")


def test_every_line_names_a_rule(layers: dict[str, Derivation]) -> None:
    for layer in layers.values():
        assert all(line.rule for line in [*sweep_lines(layer), *simplification_lines(layer)])


def test_forward_equations_follow_the_script(layers: dict[str, Derivation]) -> None:
    names = [e.left_text for e in forward_equations(layers["batchnorm"].program)]
    assert names == ["mu", "R", "var", "inv_std", "Z", "Y"]


def test_a_notebook_gets_formulas_and_a_terminal_text(layers: dict[str, Derivation]) -> None:
    layer = layers["softmax"]
    step = layer.simplified.steps[-1]
    bundles = [derivation_bundle(layer), way_bundle(layer),
               step_bundle(step.rule, step.reason, step.gradients)]  # fmt: skip
    for bundle in bundles:
        assert set(bundle) == {"text/plain", "text/html", "text/latex"}
        ET.fromstring(f"<div>{bundle['text/html']}</div>")  # noqa: S314 - our own text
        assert bundle["text/latex"].startswith("$$")
        assert "DZ" in bundle["text/plain"]
