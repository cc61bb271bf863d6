"""The command line: what it prints, its exit status, and that errors leave files alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gradwright.codegen.command import generated_folder
from gradwright.codegen.inputs import built_in_scripts, input_hashes
from gradwright.codegen.tree import is_current

HEAD = "from gradwright.codegen.notation import *\n\n\n"
GOOD = HEAD + "@layer\ndef doubled(X: Matrix[N, K]):\n    return 2 * X\n"
BAD = HEAD + "@layer\ndef doubled(X: Matrix[N, K], b: Row[K]):\n    return X + b\n"


def gradwright(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gradwright", *arguments], cwd=folder, capture_output=True,
        text=True, check=False, env=os.environ | environment,
    )  # fmt: skip


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "my_layer.py").write_text(GOOD)
    return tmp_path


def derive(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return gradwright(
        "derive", "my_layer.py", "--out", "out", "--target", "numpy", *options, folder=folder,
        **environment,
    )  # fmt: skip


def test_json_is_one_object_with_every_level(script: Path) -> None:
    found = derive(script, "--json")
    assert found.returncode == 0, found.stderr
    data = json.loads(found.stdout)
    assert data["ok"] is True
    layer = data["layers"]["doubled"]
    assert layer["P1"] == "proved"
    assert layer["P2"]["status"] == "exact"
    assert layer["mutants"]["killed"] == layer["mutants"]["total"] > 0
    assert layer["seconds"] > 0


def test_the_same_bytes_under_different_hash_seeds(script: Path) -> None:
    def contents() -> dict[str, bytes]:
        root = script / "out"
        return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}

    derive(script, PYTHONHASHSEED="1")
    first = contents()
    derive(script, PYTHONHASHSEED="2")
    assert contents() == first


def test_a_bad_script_leaves_one_error_status_two_and_the_files_alone(script: Path) -> None:
    derive(script)
    before = {p: p.read_bytes() for p in (script / "out").rglob("*") if p.is_file()}
    (script / "my_layer.py").write_text(BAD)
    found = derive(script)
    assert found.returncode == 2
    assert found.stderr.startswith("error: my_layer.py:6: ")
    assert "Traceback" not in found.stderr
    assert {p: p.read_bytes() for p in (script / "out").rglob("*") if p.is_file()} == before


def test_check_fails_with_a_diff_until_the_files_are_mended(script: Path) -> None:
    derive(script)
    assert derive(script, "--check").returncode == 0
    module = script / "out/numpy/doubled.py"
    module.write_text(module.read_text().replace("2 *", "3 *", 1))
    (script / "out/numpy/relu.py").write_text("orphan")
    found = derive(script, "--check")
    assert found.returncode == 1
    assert "orphan: numpy/relu.py" in found.stderr
    assert "-" in found.stderr
    assert "+" in found.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("derive", "nothing_of_the_sort"), "no layer is named"),
        (("derive", "softmx"), "did you mean softmax?"),
        (("derive", "my_layer.py"), "--out"),
        (("derive", "my_layer.py", "--out", "/proc/nowhere"), "/proc/nowhere: No such file"),
        (("derive", "my_layer.py", "--out", "out", "--target", "cobol"), "no target cobol"),
        (("derive", "missing.py", "--out", "out"), "no such script"),
        (("derive", "--out", "out"), "--out is for own scripts"),
        (("show", "nothing_of_the_sort"), "no layer is named"),
        (("report", "nothing_of_the_sort"), "no report page"),
    ],
)
def test_wrong_arguments_are_one_clear_error(
    arguments: tuple[str, ...], message: str, script: Path
) -> None:
    found = gradwright(*arguments, folder=script)
    assert found.returncode == 2
    assert message in found.stderr
    assert "Traceback" not in found.stderr


def test_list_and_show_need_no_run(tmp_path: Path) -> None:
    listed = gradwright("list", folder=tmp_path)
    assert "batchnorm " in listed.stdout
    assert "adam " in listed.stdout
    shown = gradwright("show", "softmax", folder=tmp_path)
    assert "DZ" in shown.stdout
    assert shown.returncode == 0


def test_the_report_command_prints_a_page_that_exists(tmp_path: Path) -> None:
    found = gradwright("report", "--path", folder=tmp_path)
    assert Path(found.stdout.strip()).is_file()


def test_the_checked_in_tree_is_what_the_scripts_produce() -> None:
    assert is_current(generated_folder(), input_hashes(built_in_scripts())), "run `make derive`"
