"""Emitted optimizers: names, order and precision of the script survive into the code."""

import subprocess
import sys
from pathlib import Path

import pytest

from gradwright.codegen.optimizer import OptimizerDerivation, derive_optimizer
from gradwright.codegen.targets.cpp_check import compiler
from gradwright.codegen.targets.cpp_optimizer import render_cpp
from gradwright.codegen.targets.numpy_optimizer import render_numpy
from gradwright.derivations import optimizers as script
from gradwright.headers import include_directories


@pytest.fixture(scope="module")
def adam() -> OptimizerDerivation:
    return derive_optimizer(script.adam)


def test_numpy_block_reads_like_the_script(adam: OptimizerDerivation) -> None:
    text = render_numpy(adam)["adam.py"]
    assert """
    for i in _blocks(theta.size):
        h = g[i] + weight_decay * theta[i]
        m_next = beta1 * m[i] + (1 - beta1) * h
        m_hat = m_next / (1 - beta1**t)
        v_next = beta2 * v[i] + (1 - beta2) * np.square(h)
        v_hat = v_next / (1 - beta2**t)
        theta_out[i] = theta[i] - learning_rate * m_hat / (np.sqrt(v_hat) + epsilon)
        m_out[i] = m_next
        v_out[i] = v_next
""" in text


def test_cpp_rounds_hyperparameters_only_after_double_precision(adam: OptimizerDerivation) -> None:
    text = render_cpp(adam)["adam.hpp"]
    assert "const double beta1_to_t = std::pow(beta1, static_cast<double>(t));" in text
    assert "const Real m_next = Real(beta1) * m[i] + Real(1 - beta1) * h;" in text
    assert "const Real v_hat = Real(1 / (1 - beta2_to_t)) * v_next;" in text


@pytest.mark.parametrize("render", [render_numpy, render_cpp])
def test_every_theorem_is_in_the_documentation(adam: OptimizerDerivation, render: object) -> None:
    assert callable(render)
    for path, text in render(adam).items():
        if path.endswith((".py", ".hpp")):
            words = " ".join(text.replace("//", " ").split())
            assert [t.name for t in adam.theorems if t.text not in words] == []


def test_numpy_module_imports_numpy_alone(adam: OptimizerDerivation, tmp_path: Path) -> None:
    (tmp_path / "adam.py").write_text(render_numpy(adam)["adam.py"])
    code = "import sys, adam; print(sorted(m for m in sys.modules if 'sympy' in m or 'gradwright' in m))"
    command = [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_equal_scripts_give_equal_bytes() -> None:
    first, second = (derive_optimizer(script.nesterov) for _ in range(2))
    assert render_numpy(first) == render_numpy(second)
    assert render_cpp(first) == render_cpp(second)


PROGRAM = """
#include "momentum.hpp"
#include <cmath>
#include <cstdio>
using namespace gradwright;
int main() {
    double theta[3] = {1, 2, 3}, g[3] = {1, 1, 1}, d[3] = {0, 0, 0};
    const Vector<double> Theta(theta, 3), D(d, 3);
    const Vector<const double> G(g, 3);
    for (int t = 0; t < 2; ++t) {
        if (!momentum::update<double>(Theta, G, D, 0.1, 0.5, 0, Theta, D)) return 1;
    }
    g[1] = std::nan("");
    const bool refused = !momentum::update<double>(Theta, G, D, 0.1, 0.5, 0, Theta, D);
    std::printf("%d %.17g %.17g %.17g %.17g", int(refused), theta[0], theta[1], theta[2], d[0]);
}
"""


@pytest.mark.skipif(compiler() is None, reason="no C++ compiler")
def test_header_serves_a_program_without_python(tmp_path: Path) -> None:
    """Two steps in place, and a third that is refused and changes nothing."""
    made = derive_optimizer(script.momentum)
    (tmp_path / "momentum.hpp").write_text(render_cpp(made)["momentum.hpp"])
    (tmp_path / "main.cpp").write_text(PROGRAM)
    flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{include_directories()[0]}"]
    command = [str(compiler()), *flags, "main.cpp", "-o", "main"]
    built = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    done = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True)
    refused, *values = map(float, done.stdout.split())
    assert refused == 1
    assert values == pytest.approx([0.75, 1.75, 2.75, -0.15], rel=1e-15)
