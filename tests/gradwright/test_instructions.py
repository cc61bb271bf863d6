"""The compiled modules of a portable build: the best that the processor has, all with the same results."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gradwright import instructions

# Not with Adam: it makes steps of full size of gradients that are rounding and nothing else, as that of a
# bias before batch normalisation.
_TRAINING = """
import json
import numpy as np
from gradwright import MLP, instructions
from gradwright.generated.cpp import gelu, softmax_cross_entropy

rng = np.random.default_rng(0)
X, labels = rng.normal(size=(130, 96)).astype(np.float32), rng.integers(0, 10, 130)
Y, pullback = gelu.vjp(X)
loss, backward = softmax_cross_entropy.vjp(X, labels)
found = {"name": instructions.name(), "values": [*Y.flat, *pullback(X).flat, loss, *backward(1.0).flat]}
for kind, options in {"dense": {"batchnorm": True, "dropout": 0.2}, "sparse": {"density": 0.1}}.items():
    net = MLP([96, 128, 64, 10], ["relu", "tanh", "softmax"], optimizer="momentum", seed=1, **options)
    net.fit(X, labels, 3, batch_size=50, learning_rate=0.02, verbose=False)
    found["values"] += net.predict_proba(X).flat
print(json.dumps(found, default=float))
"""


def results(level: str | None) -> tuple[str, np.ndarray]:
    """What ran, and values of kernels and trained networks, with the given instructions or those chosen."""
    environment = {k: v for k, v in os.environ.items() if k != instructions.VARIABLE}
    if level is not None:
        environment[instructions.VARIABLE] = level
    command = [sys.executable, "-c", _TRAINING]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    found = json.loads(done.stdout)
    return found["name"], np.array(found["values"])


def test_the_best_instructions_are_chosen_unless_others_are_wanted() -> None:
    assert instructions.choose(["x86-64-v3", "x86-64-v2"], None) == "x86-64-v3"
    assert instructions.choose(["x86-64-v3", "x86-64-v2"], "") == "x86-64-v3"
    assert instructions.choose(["x86-64-v3", "x86-64-v2"], "x86-64-v2") == "x86-64-v2"
    assert instructions.choose(["native"], None) == "native"
    assert instructions.choose([], None) is None


@pytest.mark.parametrize("available", [["x86-64-v3", "x86-64-v2"], ["native"], []])
def test_instructions_that_are_not_there_are_refused(available: list[str]) -> None:
    with pytest.raises(ImportError, match="GRADWRIGHT_INSTRUCTIONS is 'x86-64-v4'; this build has"):
        instructions.choose(available, "x86-64-v4")


def test_the_package_does_not_load_with_instructions_it_lacks() -> None:
    environment = os.environ | {instructions.VARIABLE: "x86-64-v9"}
    command = [sys.executable, "-c", "import gradwright"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode != 0
    assert "this build has" in done.stderr


def test_kernels_come_from_the_folder_of_the_level() -> None:
    name, there = instructions.name(), instructions.available()
    if not there:
        pytest.skip("nothing is compiled")
    assert name in there
    from gradwright import _engine, _kernels

    for module in (_engine, _kernels):
        folder = Path(str(module.__file__)).parent.name
        assert (folder == "_" + name.replace("-", "_")) == (name in instructions.LEVELS)


def test_levels_have_the_same_results_to_rounding() -> None:
    there = instructions.available()
    if len(there) < 2:
        pytest.skip(f"one build only: {instructions.name()}; `make wheel` builds and tests several")
    _, expected = results(there[-1])
    assert results(None)[0] == there[0]
    for level in there[:-1]:
        name, found = results(level)
        assert name == level
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
