"""The C++ examples build with one compiler line and do what they say."""

import subprocess
from pathlib import Path

import pytest

from gradwright.codegen.targets.cpp_check import compiler
from gradwright.headers import include_directories

EXAMPLES = Path(__file__).parents[2] / "examples" / "cpp"


@pytest.mark.skipif(compiler() is None, reason="needs a C++ compiler")
def test_the_network_learns_the_spirals_with_the_headers_alone(tmp_path: Path) -> None:
    program = tmp_path / "spirals"
    include = [f"-I{folder}" for folder in include_directories()]
    flags = ["-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror"]
    source = str(EXAMPLES / "spirals.cpp")
    subprocess.run([str(compiler()), *flags, *include, source, "-o", str(program)], check=True)
    printed = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout
    losses = [float(line.split()[-1]) for line in printed.splitlines()]
    assert losses[0] > 1
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.1
