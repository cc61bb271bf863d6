"""The digits example learns, with either backend, and both do the same arithmetic."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "examples/train_digits.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    specification = importlib.util.spec_from_file_location("train_digits", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["train_digits"] = module
    specification.loader.exec_module(module)
    return module


def test_generated_kernels_reach_97_percent_on_held_out_digits(example: ModuleType) -> None:
    assert example.train("cpp", quiet=True)["accuracy"] >= 0.97


def test_both_backends_agree_to_rounding(example: ModuleType) -> None:
    found = [
        example.train(backend, epochs=2, dtype=np.float64, quiet=True)["losses"]
        for backend in ("numpy", "cpp")
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-7)


def test_the_picture_that_a_run_leaves_is_none_of_the_project() -> None:
    assert f"{SCRIPT.stem}.png" in (SCRIPT.parents[1] / ".gitignore").read_text().split()


def test_the_loss_curve_is_a_picture(example: ModuleType, tmp_path: Path) -> None:
    losses = list(np.exp(-np.arange(60) / 20))
    example.draw(losses, tmp_path / "loss.png", "a title")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
