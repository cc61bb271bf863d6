"""Layers nobody prepared for: derived, proved, and right against differences of their own forward."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradwright.codegen.derivation import Derivation, derive
from gradwright.codegen.notation import Layer
from gradwright.codegen.scripts import load_script

LAYERS = {i.name: i for i in load_script(Path(__file__).parent / "layers.py") if isinstance(i, Layer)}
STEP = 1e-5
SIZES = ((3, 4, 2, 5), (2, 1, 3, 1))


def module_of(derivation: Derivation) -> Any:
    made = types.ModuleType(derivation.name)
    exec(compile(derivation.source("numpy"), derivation.name, "exec"), made.__dict__)  # noqa: S102
    return made


def arguments(derivation: Derivation, sizes: dict[str, int], rng: np.random.Generator) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in derivation.program.inputs:
        if item.role == "hyperparameter":
            found[item.name] = 0.5 if item.default is None else item.default
            continue
        shape = tuple(sizes[d] for d in item.shape if d != "1")
        values = rng.uniform(0.1, 1, shape) if item.role == "target" else rng.normal(size=shape)
        found[item.name] = values if shape else float(values)
    return found


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_the_gradient_is_the_difference_quotient(name: str) -> None:
    derivation = derive(LAYERS[name])
    kernels = module_of(derivation)
    program = derivation.program
    rng = np.random.default_rng(7)
    for counts in SIZES:
        sizes = {d: counts[i % len(counts)] for i, d in enumerate(program.sizes)}
        given = arguments(derivation, sizes, rng)
        output, pullback = kernels.vjp(**given)
        upstream = rng.normal(size=np.shape(output)) if np.ndim(output) else 1.3
        gradients = pullback(upstream)
        gradients = gradients if len(program.variables) > 1 else (gradients,)
        for variable, gradient in zip(program.variables, gradients, strict=True):
            direction = rng.normal(size=np.shape(given[variable.name]))
            sides = []
            for sign in (1, -1):
                moved = given[variable.name] + sign * STEP * direction
                moved = moved if np.ndim(moved) else float(moved)
                sides.append(kernels.vjp(**{**given, variable.name: moved})[0])
            quotient = np.sum(upstream * (sides[0] - sides[1])) / (2 * STEP)
            wanted = np.sum(np.asarray(gradient) * direction)
            scale = 1 + abs(quotient) + np.abs(upstream * np.asarray(output)).sum()
            assert abs(wanted - quotient) < 1e-7 * scale, (variable.name, sizes)


@pytest.mark.parametrize("name", ["transformer_block", "nlnet", "gru_cell", "rms2"])
def test_the_proof_of_a_composition_takes_a_fraction_of_a_second(name: str) -> None:
    """A tenth of it on an idle machine; before seams it took minutes."""
    assert derive(LAYERS[name]).proof_seconds < 2


def test_a_network_is_proved_layer_by_layer() -> None:
    derivation = derive(LAYERS["nlnet"])
    assert [seam.name for seam in derivation.seams] == ["Z_2", "Z"]
    names = {name for name, _ in derivation.proof.adjoints}
    assert names == {"Z", "Z_2"}
    statements = [s.name for s in derivation.kernel.backward.statements]
    assert {"DZ", "DZ_2"} <= set(statements)


def test_no_statement_takes_the_name_of_a_saved_value() -> None:
    for name in ("gru_cell", "gated_residual", "mixture"):
        kernel = derive(LAYERS[name]).kernel
        given = [argument for argument, _ in kernel.backward.arguments]
        made = [statement.name for statement in kernel.backward.statements]
        assert len({*given, *made}) == len(given) + len(made)


def test_a_fold_divides_by_no_target() -> None:
    assert "/ T" not in repr(derive(LAYERS["poisson"]))
    assert "/ sigmoid" not in repr(derive(LAYERS["swish_beta"]))
