"""The page about data, command line, scikit-learn and export, followed word by word."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from gradwright.cli import main

pytest.importorskip("sklearn")

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/tools.md").read_text()


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def run(code: str) -> dict[str, object]:
    scope: dict[str, object] = {}
    exec(compile(code, "tools.md", "exec"), scope)  # noqa: S102 - our own page
    return scope


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_network_is_trained_saved_and_loaded_as_the_page_says() -> None:
    assert run(blocks(PAGE, "python")[0])["accuracy"] > 0.9  # type: ignore[operator]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_scikit_learn_is_used_as_the_page_says() -> None:
    code = next(b for b in blocks(PAGE, "python") if "cross_val_score" in b)
    assert np.mean(run(code)["scores"]) > 0.85  # type: ignore[arg-type]


def test_networks_are_exported_as_the_page_says(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("safetensors")
    run(next(b for b in blocks(PAGE, "python") if "to_onnx" in b))
    assert {path.name for path in tmp_path.iterdir()} == {"net.onnx", "net.safetensors"}


def test_the_commands_of_the_page_work_in_their_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "\n".join(",".join(["0.5"] * 64) for _ in range(3))
    (tmp_path / "new.csv").write_text(rows + "\n")
    lines = [line for block in blocks(PAGE, "console") for line in block.splitlines()]
    for line in lines:
        assert main(shlex.split(line.removeprefix("$ gradwright "))) == 0, line
    assert "accuracy" in capsys.readouterr().out


def test_the_pages_table_is_what_explain_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "784-256-128-10", "--batch", "64"]) == 0
    text = capsys.readouterr().out
    for number in re.findall(r"\| ([0-9,]{3,}) \|", PAGE):
        assert f" {number} " in text
