"""What importing the package costs."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["numpy", "sympy", "jinja2", "rich", "click"])
def test_importing_the_package_does_not_load(module: str) -> None:
    program = f"import sys, gradwright; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
