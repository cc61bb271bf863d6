"""What is shipped."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files of a wheel built without compiling anything."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    options = ["--wheel-dir", str(folder), "-Cwheel.cmake=false", str(ROOT)]
    subprocess.run(command + options, check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.mark.parametrize(
    ("folder", "installed"),
    [
        ("gradwright", ""),
        ("derivations", "derivations/"),
        ("codegen", "codegen/"),
        ("templates", "templates/"),
        ("generated", "generated/"),
        ("cpp/include", "include/"),
    ],
)
def test_a_wheel_holds_every_file_of(folder: str, installed: str, shipped: set[str]) -> None:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", folder]
    listing = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    expected = {
        "gradwright/" + installed + str(Path(file).relative_to(folder))
        for file in listing.stdout.splitlines()
        if (ROOT / file).exists()
    }
    assert expected
    assert expected <= shipped


def test_a_wheel_holds_the_licence(shipped: set[str]) -> None:
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in shipped)
    assert any(name.endswith(".dist-info/licenses/NOTICE") for name in shipped)


def test_a_wheel_holds_nothing_but_the_package(shipped: set[str]) -> None:
    assert {name.split("/")[0].split("-")[0] for name in shipped} == {"gradwright"}
