"""The headers of the C++ runtime."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CPP = Path(__file__).parents[2] / "cpp"
STRICT = ["-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{CPP / 'include'}"]
COMPILER = os.environ.get("CXX") or shutil.which("g++") or "c++"


@pytest.mark.parametrize("header", sorted(p.name for p in (CPP / "include/gradwright").glob("*.hpp")))
def test_header_compiles_alone_and_without_openmp(header: str, tmp_path: Path) -> None:
    source = tmp_path / "alone.cpp"
    source.write_text(f'#include "gradwright/{header}"\n')
    subprocess.run([COMPILER, *STRICT, "-fsyntax-only", source], check=True)


@pytest.mark.parametrize("flags", [
    ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover", "-fopenmp"],
    ["-O2", "-march=native", "-fno-math-errno", "-fno-trapping-math"],
])  # fmt: skip
def test_claims_about_the_runtime_hold(flags: list[str], tmp_path: Path) -> None:
    program = tmp_path / "runtime_test"
    source = CPP / "tests/runtime_test.cpp"
    subprocess.run([COMPILER, *STRICT, *flags, source, "-o", program], check=True)
    environment = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
    subprocess.run([program], check=True, env=environment)
