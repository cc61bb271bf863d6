"""The training engine without Python around it; `make sanitize` runs the same program under sanitizers."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPILER = os.environ.get("CXX") or shutil.which("g++") or "c++"


def test_claims_about_the_engine_hold(tmp_path: Path) -> None:
    program, source = tmp_path / "engine_test", ROOT / "cpp/tests/engine_test.cpp"
    folders = [f"-I{ROOT / 'cpp/include'}", f"-I{ROOT / 'generated/cpp'}"]
    flags = ["-std=c++17", "-O1", "-pthread", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([COMPILER, *flags, *folders, source, "-o", program], check=True)
    environment = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
    subprocess.run([program], check=True, env=environment)


@pytest.mark.parametrize("machine", [[], ["-march=native"]], ids=["baseline", "native"])
def test_products_are_those_of_plain_loops(machine: list[str], tmp_path: Path) -> None:
    program, source = tmp_path / "products_test", ROOT / "cpp/tests/products_test.cpp"
    flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", *machine]
    subprocess.run([COMPILER, *flags, f"-I{ROOT / 'cpp/include'}", source, "-o", program], check=True)
    environment = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
    subprocess.run([program], check=True, env=environment)
