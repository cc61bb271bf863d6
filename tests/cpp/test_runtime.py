"""The headers of the C++ runtime."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

CPP = Path(__file__).parents[2] / "cpp"
STRICT = ["-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{CPP / 'include'}"]
COMPILER = os.environ.get("CXX") or shutil.which("g++") or "c++"


def _environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}


def _knows(flags: list[str], program: str = "") -> bool:
    """Whether the compiler takes these flags, and compiles a program with them."""
    command = [COMPILER, *flags, "-x", "c++", "-fsyntax-only", "-"]
    tried = subprocess.run(command, check=False, input=program.encode(), stderr=subprocess.DEVNULL)
    return tried.returncode == 0


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
    if not _knows(["-fopenmp"], "#include <omp.h>"):
        flags = [flag for flag in flags if flag != "-fopenmp"]
    program = tmp_path / "runtime_test"
    source = CPP / "tests/runtime_test.cpp"
    subprocess.run([COMPILER, *STRICT, *flags, source, "-o", program], check=True)
    subprocess.run([program], check=True, env=_environment())


def _order(flags: list[str], program: Path) -> bytes:
    """The bits of many sums, printed by a program compiled with these flags."""
    command = [COMPILER, *STRICT, "-O2", "-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math"]
    source = CPP / "tests/order_test.cpp"
    subprocess.run([*command, *flags, source, "-o", program], check=True)
    done = subprocess.run([program], check=False, env=_environment(), stdout=subprocess.PIPE)
    if done.returncode == -signal.SIGILL:
        pytest.skip(f"this machine does not run {' '.join(flags)}")
    done.check_returncode()
    return done.stdout


@pytest.fixture(scope="module")
def plain_order(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return _order([], tmp_path_factory.mktemp("plain") / "order_test")


@pytest.mark.parametrize("flags", [
    ["-march=x86-64-v2"],
    ["-march=x86-64-v3"],
    ["-march=x86-64-v4"],
    ["-march=x86-64-v4", "-mprefer-vector-width=512"],
    ["-march=native"],
], ids=lambda flags: "".join(flags))  # fmt: skip
def test_every_instruction_set_gives_the_sums_of_a_row_the_same_bits(
    flags: list[str], plain_order: bytes, tmp_path: Path
) -> None:
    if not _knows(flags):
        pytest.skip(f"{COMPILER} does not know {' '.join(flags)}")
    assert plain_order.count(b"\n") > 200
    assert _order(flags, tmp_path / "order_test") == plain_order
