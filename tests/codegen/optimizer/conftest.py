"""Optimizers to test with: those of derivations/optimizers.py, and rules written in a test."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gradwright.codegen.optimizer import Optimizer, OptimizerDerivation, derive_optimizer
from gradwright.codegen.scripts import load_script
from gradwright.derivations import optimizers as script

NAMES = (
    "gradient_descent", "momentum", "nesterov", "adam", "adamw", "rmsprop", "adagrad", "lion",
)  # fmt: skip


@pytest.fixture(scope="session")
def derived() -> dict[str, OptimizerDerivation]:
    return {name: derive_optimizer(getattr(script, name)) for name in NAMES}


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Optimizer]:
    """The last optimizer of a script with this text."""

    def load(text: str) -> Optimizer:
        path = tmp_path / "own.py"
        path.write_text(f"from gradwright.codegen.notation import *\n\n{text}", encoding="utf-8")
        found = [item for item in load_script(path) if isinstance(item, Optimizer)]
        return found[-1]

    return load
