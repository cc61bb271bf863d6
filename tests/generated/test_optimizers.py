"""Generated optimizers, in NumPy and in C++: promises, accuracy, agreement and the main use."""

import importlib
import os
from functools import cache
from typing import Any

import numpy as np
import pytest

from gradwright.codegen.optimizer import Optimizer
from gradwright.codegen.optimizer.accuracy import call, check_accuracy
from gradwright.codegen.optimizer.edges import EDGES, check_edges, sample
from gradwright.codegen.optimizer.rule import UpdateRule
from gradwright.derivations import optimizers as script

NAMES = ("gradient_descent", "momentum", "nesterov", "adam", "adamw", "rmsprop", "adagrad", "lion")
SMOOTH = ("gradient_descent", "momentum", "nesterov", "adam", "adamw")
BACKENDS = ("numpy", "cpp")


@cache
def rule(name: str) -> UpdateRule:
    found: Optimizer = getattr(script, name)
    return found.rule()


def face(backend: str, name: str) -> Any:
    try:
        return importlib.import_module(f"gradwright.generated.{backend}.{name}")
    except ImportError:
        if backend == "cpp" and not os.environ.get("CI"):
            pytest.skip("gradwright.generated.cpp is not built; run `make build`")
        raise


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_optimizer_keeps_every_promise_at_the_edges(backend: str, name: str) -> None:
    found = check_edges(rule(name), {backend: face(backend, name)})
    assert [case for case in found["cases"] if not case["passed"]] == []
    assert found["total"] == len(EDGES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_optimizer_is_accurate_over_many_steps(backend: str, name: str) -> None:
    found = check_accuracy(rule(name), {backend: face(backend, name)})[backend]
    assert found["float64"] < 2e-15
    assert found["float32_ulp"] < 4


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_backends_agree_to_rounding(name: str, dtype: str) -> None:
    arrays = sample(rule(name), (37, 1001), dtype)
    results = [call(rule(name), face(backend, name), arrays, 3) for backend in BACKENDS]
    unit = np.finfo(dtype).eps
    for array in rule(name).updated:
        np.testing.assert_allclose(results[0][array], results[1][array], rtol=8 * unit, atol=8 * unit)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_optimizer_finds_the_minimum_of_a_quadratic(backend: str, name: str) -> None:
    module, target = face(backend, name), np.array([[1.0, -2.0], [0.5, 3.0]])
    theta = np.zeros_like(target)
    state = module.initial_state(theta)
    for t in range(1, 2001):
        counted = [t] if rule(name).step else []
        out = (theta, *state) if state else theta
        rate = 0.05 if name in SMOOTH else 0.1 * 0.992**t  # the others step by the rate itself
        rate = 1.0 if name == "adagrad" else rate  # its steps shrink by themselves
        options = {"weight_decay": 0.0, "learning_rate": rate}
        module.update(theta, theta - target, *state, *counted, out=out, **options)
    np.testing.assert_allclose(theta, target, atol=1e-6)


def test_adam_is_the_published_algorithm_step_by_step() -> None:
    """Algorithm 1 of Kingma and Ba (2015), written out."""
    rng = np.random.default_rng(0)
    theta, m, v = rng.normal(size=5), np.zeros(5), np.zeros(5)
    module = face("numpy", "adam")
    found = (theta.copy(), m.copy(), v.copy())
    for t in range(1, 11):
        g = rng.normal(size=5)
        m = 0.9 * m + (1 - 0.9) * g
        v = 0.999 * v + (1 - 0.999) * g * g
        theta = theta - 0.001 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        found = module.update(found[0], g, found[1], found[2], t)
    np.testing.assert_allclose(found, (theta, m, v), rtol=1e-13)
    assert found._fields == ("theta", "m", "v")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_step_in_place_needs_no_array_of_the_size_of_the_parameter(backend: str, name: str) -> None:
    import tracemalloc

    arrays = sample(rule(name), (1000, 1000), "float32")
    buffers = tuple(arrays[n] for n in rule(name).updated)
    out = buffers if rule(name).states else buffers[0]
    module = face(backend, name)
    call(rule(name), module, arrays, 1, out=out)
    tracemalloc.start()
    call(rule(name), module, arrays, 2, out=out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000  # bytes; the parameter has four million


@pytest.mark.parametrize("name", NAMES)
def test_faces_of_both_backends_are_the_same(name: str) -> None:
    import inspect

    found = []
    for backend in BACKENDS:
        module = face(backend, name)
        parameters = inspect.signature(module.update).parameters.values()
        names = [(p.name, p.default) for p in parameters]
        fields = [getattr(module, t)._fields for t in ("Update", "State") if hasattr(module, t)]
        found.append((names, fields))
    assert found[0] == found[1]
