"""Generated trees are written whole, only where they changed, and damage is seen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gradwright.codegen import tree
from gradwright.codegen.errors import GradwrightError

FILES = {"a.txt": "one\n", "sub/b.txt": "two\n"}


def with_manifest(files: dict[str, str]) -> dict[str, str]:
    return {**files, tree.MANIFEST: tree.manifest_text({"script": "hash"}, files)}


def contents(root: Path) -> dict[str, str]:
    return {p.relative_to(root).as_posix(): p.read_text() for p in root.rglob("*") if p.is_file()}


def test_a_tree_holds_exactly_the_given_files(tmp_path: Path) -> None:
    root = tmp_path / "generated"
    root.mkdir()
    (root / "orphan.txt").write_text("old")
    assert tree.write_tree(root, FILES) == ["a.txt", "orphan.txt", "sub/b.txt"]
    assert contents(root) == FILES


def test_unchanged_files_keep_their_times(tmp_path: Path) -> None:
    root = tmp_path / "generated"
    tree.write_tree(root, FILES)
    before = (root / "a.txt").stat().st_mtime_ns
    assert tree.write_tree(root, {**FILES, "sub/b.txt": "three\n"}) == ["sub/b.txt"]
    assert (root / "a.txt").stat().st_mtime_ns == before
    assert tree.write_tree(root, {**FILES, "sub/b.txt": "three\n"}) == []


def test_a_tree_is_current_until_a_file_or_an_input_changes(tmp_path: Path) -> None:
    root = tmp_path / "generated"
    tree.write_tree(root, with_manifest(FILES))
    assert tree.is_current(root, {"script": "hash"})
    assert not tree.is_current(root, {"script": "other"})
    (root / "a.txt").write_text("touched")
    assert not tree.is_current(root, {"script": "hash"})
    tree.write_tree(root, with_manifest(FILES))
    (root / "stray").write_text("")
    assert not tree.is_current(root, {"script": "hash"})


def test_the_difference_names_orphans_missing_files_and_lines(tmp_path: Path) -> None:
    root = tmp_path / "generated"
    tree.write_tree(root, FILES)
    assert tree.difference(root, FILES) == ""
    found = tree.difference(root, {"a.txt": "changed\n", "c.txt": ""})
    assert "-one" in found
    assert "+changed" in found
    assert "missing: c.txt" in found
    assert "orphan: sub/b.txt" in found


def test_a_foreign_file_in_the_way_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("mine")
    with pytest.raises(GradwrightError, match="was not written by gradwright"):
        tree.write_among(tmp_path, with_manifest(FILES))
    assert (tmp_path / "a.txt").read_text() == "mine"
    assert not (tmp_path / "sub").exists()


def test_own_files_of_an_earlier_run_are_replaced_and_removed(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    tree.write_among(tmp_path, with_manifest(FILES))
    tree.write_among(tmp_path, with_manifest({"a.txt": "new\n"}))
    assert (tmp_path / "a.txt").read_text() == "new\n"
    assert not (tmp_path / "sub/b.txt").exists()
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_run_killed_between_two_renames_is_finished_by_the_next(tmp_path: Path) -> None:
    root = tmp_path / "generated"
    tree.write_tree(root, FILES)
    root.rename(tmp_path / ".generated.old")
    tree.recover(root)
    assert contents(root) == FILES


WRITER = """
import sys
from pathlib import Path
from gradwright.codegen import tree
root, turn = Path(sys.argv[1]), 0
print("ready", flush=True)
while True:
    turn += 1
    tree.write_tree(root, {f"{i}.txt": f"{turn}\\n" for i in range(40)})
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills with a POSIX signal")
def test_a_kill_at_any_moment_leaves_a_whole_tree(tmp_path: Path) -> None:
    root = tmp_path / "generated"
    tree.write_tree(root, {f"{i}.txt": "0\n" for i in range(40)})
    for delay in (0.02, 0.05, 0.11):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(root)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(delay)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        tree.recover(root)
        found = contents(root)
        assert len(found) == 40
        assert len(set(found.values())) == 1
