"""The promises at the edges, one table for every layer in NumPy and in C++."""

import importlib
import os
from functools import cache
from typing import Any

import numpy as np
import pytest

from gradwright.codegen.derivation import Derivation, derive_all
from gradwright.codegen.inputs import built_in_scripts
from gradwright.codegen.notation import Layer
from gradwright.codegen.program import assuming
from gradwright.codegen.scripts import load_script
from gradwright.codegen.verify.edges import EDGES, Subject, check_edges, edges_of

BACKENDS = ("numpy", "cpp")


def built_in_layers() -> dict[str, Layer]:
    """Layers by name, the variants that use a fact under their own names."""
    found = {}
    for script in built_in_scripts():
        for layer in load_script(script):
            if isinstance(layer, Layer):
                program = layer.program()
                names = [program.name, *(assuming(program, f).name for f in program.facts)]
                found |= dict.fromkeys(names, layer)
    return found


LAYERS = built_in_layers()


@cache
def derivation(name: str) -> Derivation:
    return next(d for d in derive_all(LAYERS[name]) if d.name == name)


def face(backend: str, name: str) -> object:
    try:
        return importlib.import_module(f"gradwright.generated.{backend}.{name}")
    except ImportError:
        if backend == "cpp" and not os.environ.get("CI"):
            pytest.skip("gradwright.generated.cpp is not built; run `make build`")
        raise


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_layer_keeps_every_promise_at_the_edges(backend: str, name: str) -> None:
    module = face(backend, name)
    found = check_edges(derivation(name), {backend: module})
    cases = [*found["cases"], *found["limitations"]]
    assert {case["name"]: case["detail"] for case in cases if not case["passed"]} == {}


def test_every_promise_concerns_some_layer() -> None:
    names = ("linear", "batchnorm_inference", "leaky_relu", "softmax", "batchnorm",
             "cross_entropy", "softmax_cross_entropy")  # fmt: skip
    concerned = {edge.name for name in names for edge in edges_of(Subject(derivation(name)))}
    assert concerned == {edge.name for edge in EDGES}


@pytest.mark.parametrize("size", [0.0, 1e4, 1e15, 1e17, -1e17, 1e30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("backend", BACKENDS)
def test_tied_logits_of_any_size_share_the_probability(
    backend: str, dtype: type[np.floating], size: float
) -> None:
    Z = np.full((3, 2), size, dtype)
    log_softmax: Any = face(backend, "log_softmax")
    softmax_cross_entropy: Any = face(backend, "softmax_cross_entropy")
    assert np.allclose(log_softmax.forward(Z), -np.log(2), rtol=1e-6)
    loss, _ = softmax_cross_entropy.forward(Z, np.array([0, 1, 1]))
    assert np.allclose(loss, np.log(2), rtol=1e-6)
