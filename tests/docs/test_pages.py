"""The code on the pages of docs/ and in the README runs as it stands."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from gradwright.cli import main

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("README.md", "docs/networks.md", "docs/catalogue.md", "docs/engine.md")
# What a script of derivations begins with, and what it speaks of without saying it again.
_NOTATION = "from gradwright.codegen.notation import *\n"
SCRIPTS = {"docs/add_a_layer.md": "", "docs/how_it_works.md": "", "docs/notation.md": (
    "from gradwright.derivations.optimizers import gradient_descent\n"
)}  # fmt: skip


def blocks(page: str, language: str = "python") -> list[str]:
    text = (ROOT / page).read_text()
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", text, flags=re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for _, block in found]


def programs() -> list[tuple[str, int]]:
    """Those that stand alone: not scripts, and not what goes on with a stranger's layer."""
    return [
        (page, number) for page in PROGRAMS for number, block in enumerate(blocks(page))
        if not re.search("codegen|my_package", block)
    ]  # fmt: skip


@pytest.mark.parametrize(("page", "number"), programs())
def test_a_program_of_a_page_runs(page: str, number: int, tmp_path: Path) -> None:
    if "sklearn" in blocks(page)[number]:
        pytest.importorskip("sklearn")
    found = subprocess.run(
        [sys.executable, "-c", blocks(page)[number]], cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("page", SCRIPTS)
def test_the_scripts_of_a_page_are_derived(page: str, tmp_path: Path) -> None:
    from gradwright.codegen import derive
    from gradwright.codegen.notation import Layer
    from gradwright.codegen.optimizer import Optimizer, derive_optimizer
    from gradwright.codegen.scripts import load_script

    script = tmp_path / "script.py"
    script.write_text(_NOTATION + SCRIPTS[page] + "\n".join(blocks(page)))
    items = load_script(script)
    assert items
    for item in items:
        if isinstance(item, Layer):
            derive(item)
        elif isinstance(item, Optimizer) and item.statements:
            derive_optimizer(item)


def test_the_commands_of_the_readme_work_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    lines = [line for block in blocks("README.md", "console") for line in block.splitlines()]
    about_networks = re.compile(r"\$ gradwright (train|evaluate|predict|resume) ")
    wanted = [line for line in lines if about_networks.match(line)]
    assert len(wanted) == 4
    for line in wanted:
        assert main(shlex.split(line.removeprefix("$ gradwright "))) == 0, line
