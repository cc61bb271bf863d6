"""The examples learn what they say, here in a shorter form, and draw pictures."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from gradwright.data import digits, sine, spiral

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def example(name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[module.__name__] = module
    specification.loader.exec_module(module)
    return module


def is_picture(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG")


def test_xor_is_solved_by_four_hidden_units(capsys: pytest.CaptureFixture[str]) -> None:
    example("xor").main()
    assert "all right: True" in capsys.readouterr().out


def test_the_spiral_is_learnt_and_drawn(tmp_path: Path) -> None:
    made, data = example("spiral"), spiral(300)
    net = made.train(data, epochs=100, hidden=32)
    assert net.score(data.X, data.y) > 0.95
    made.draw(net, data, tmp_path / "spiral.png")
    assert is_picture(tmp_path / "spiral.png")


def test_the_sine_is_fitted_and_drawn(tmp_path: Path) -> None:
    made, data = example("sine"), sine(200)
    net = made.train(data, epochs=150)
    assert np.abs(net.predict(data.X) - data.y).max() < 0.1
    made.draw(net, data, tmp_path / "sine.png")
    assert is_picture(tmp_path / "sine.png")


def test_the_autoencoder_learns_through_its_bottleneck(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    made, data = example("autoencoder"), digits()
    net = made.train(data, epochs=10)
    assert net.loss_history[-1] < 0.75 * net.loss_history[0]
    assert made.code(net, data.X).shape == (1797, 2)
    made.draw(net, data, tmp_path / "autoencoder.png")
    assert is_picture(tmp_path / "autoencoder.png")


def test_only_a_good_initialisation_keeps_the_scale_of_activations(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    made = example("initialisation")
    found = made.compare(depth=8, width=64, epochs=2)
    growth = {name: s["mean squares"][-1] / s["mean squares"][0] for name, s in found.items()}
    assert 0.1 < growth["He"] < 10
    assert growth["N(0, 1)"] > 1e6
    assert growth["N(0, 0.01²)"] < 1e-6
    made.draw(found, tmp_path / "initialisation.png")
    assert is_picture(tmp_path / "initialisation.png")
