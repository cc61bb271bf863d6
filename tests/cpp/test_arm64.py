"""The C++ headers on arm64, by cross compiler and emulator where these are installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPILER, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"
FOLDERS = [f"-I{ROOT / 'cpp/include'}", f"-I{ROOT / 'generated/cpp'}"]
STRICT = ["-std=c++17", "-Wall", "-Wextra", "-Werror"]

pytestmark = pytest.mark.skipif(
    not (shutil.which(COMPILER) and shutil.which(EMULATOR)),
    reason=f"{COMPILER} or {EMULATOR} is not installed (Debian: g++-aarch64-linux-gnu, qemu-user)",
)


@pytest.mark.parametrize("test", ["runtime_test", "products_test", "engine_test"])
def test_claims_hold_on_arm64(test: str, tmp_path: Path) -> None:
    program, source = tmp_path / test, ROOT / f"cpp/tests/{test}.cpp"
    command = [COMPILER, *STRICT, "-O1", "-pthread", "-static", *FOLDERS, source, "-o", program]
    subprocess.run(command, check=True)
    few_steps = ["3"] if test == "engine_test" else []
    subprocess.run([EMULATOR, program, *few_steps], check=True)


def test_every_generated_header_compiles_for_arm64(tmp_path: Path) -> None:
    source = tmp_path / "all.cpp"
    headers = sorted(header.name for header in (ROOT / "generated/cpp").glob("*.hpp"))
    assert headers
    source.write_text("".join(f'#include "{header}"\n' for header in headers))
    subprocess.run([COMPILER, *STRICT, *FOLDERS, "-fsyntax-only", source], check=True)
