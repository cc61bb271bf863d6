"""The README's promises, followed word by word."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[str]:
    lines = [line for block in blocks("console") for line in block.splitlines()]
    return [line[2:].split("  #")[0].strip() for line in lines if line.startswith("$ ")]


def block_with(text: str, language: str = "python") -> str:
    return next(b for b in blocks(language) if text in b)


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(
        command.split(), cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a stranger has written my_layer.py and run the README's command."""
    folder = tmp_path_factory.mktemp("stranger")
    (folder / "my_layer.py").write_text(block_with("def rmsnorm"))
    derive = next(c for c in commands() if c.startswith("gradwright derive my_layer.py"))
    found = run(derive, folder)
    assert found.returncode == 0, found.stderr
    return folder


def test_a_strangers_layer_is_derived_proved_and_emitted(project: Path) -> None:
    kernels = project / "my_package/kernels"
    for path in ("numpy/rmsnorm.py", "cpp/rmsnorm.hpp", "reports/rmsnorm.html", "manifest.json"):
        assert (kernels / path).is_file()


def test_the_emitted_module_is_used_as_the_readme_says(project: Path) -> None:
    code = block_with("from my_package.kernels.numpy import rmsnorm")
    code += "\nimport json; print(json.dumps([Y.tolist(), DX.tolist(), Dgamma.tolist()]))"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True
    )
    import json

    Y, DX, Dgamma = map(np.array, json.loads(found.stdout))
    X = np.random.default_rng(0).normal(size=(4, 3))
    scale = 1 / np.sqrt((X**2).mean(axis=1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(Y, X * scale, rtol=1e-12)
    np.testing.assert_allclose(Dgamma, (X * scale).sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(
        DX, scale - scale**3 * X * X.sum(axis=1, keepdims=True) / 3, rtol=1e-9, atol=1e-12
    )


def test_the_emitted_header_compiles_with_what_lies_beside_it(project: Path) -> None:
    source = project / "use.cpp"
    source.write_text(
        '#include "rmsnorm.hpp"\n'
        "int main() {\n"
        "    double X[6] = {1, 2, 3, 4, 5, 6}, gamma[3] = {1, 1, 1}, Y[6], s[2];\n"
        "    using namespace gradwright;\n"
        "    rmsnorm::forward<double>(Matrix<const double>(X, 2, 3), Vector<const double>(gamma, 3),\n"
        "                             1e-5, Matrix<double>(Y, 2, 3), Vector<double>(s, 2));\n"
        "    return Y[0] > 0.46 && Y[0] < 0.47 ? 0 : 1;\n"
        "}\n"
    )
    compiler = os.environ.get("CXX", "c++")
    flags = "-std=c++17 -O1 -Wall -Wextra -Werror -Imy_package/kernels/cpp use.cpp -o use"
    built = run(f"{compiler} {flags}", project)
    assert built.returncode == 0, built.stderr
    assert run(str(project / "use"), project).returncode == 0


def test_the_same_works_from_python(project: Path) -> None:
    code = block_with("found = derive(rmsnorm)")
    code += block_with("found.check(")
    code += (
        "\nassert not found.check('gamma', lambda X, DY: columns_sum(X * DY))"
        "\nassert 'proved for every size' in repr(found)"
        "\nassert found.steps and found.proof.gradients"
        "\nprint(repr(found))"
        "\nassert 'inv_rms' not in repr(found.gradient('X'))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True
    )
    claimed = re.search("(DX = .*)", README)
    assert claimed is not None
    assert claimed[1] in found.stdout.splitlines()
    assert "namespace gradwright::rmsnorm" in found.stdout
    assert "inv_std" not in found.stdout


def test_built_in_kernels_are_used_as_the_readme_says() -> None:
    pytest.importorskip("gradwright.generated.cpp")
    code = block_with("softmax_cross_entropy.vjp(Z, labels)")
    scope: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), scope)  # noqa: S102 - our own README
    assert np.asarray(scope["DZ"]).shape == (4, 3)


def test_the_two_layer_program_is_built_by_the_readmes_line(tmp_path: Path) -> None:
    line = next(c for c in commands() if "spirals.cpp" in c)
    line = line.replace("c++ ", f"{os.environ.get('CXX', 'c++')} ", 1)
    line = line.replace("-o spirals", f"-o {tmp_path}/spirals")
    built = run(line, ROOT)
    assert built.returncode == 0, built.stderr
    ran = run(str(tmp_path / "spirals"), tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_command_of_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for command in commands():
        if command.startswith("make "):
            assert f"\n{command.split()[1]}:" in makefile
    for path in re.findall(r"\]\(((?:docs|codegen|derivations|generated)[^)]*)\)", README):
        assert (ROOT / path).exists(), path


def table_row(title: str) -> set[str]:
    row = next(line for line in README.splitlines() if line.startswith(f"| {title} |"))
    return set(re.findall(r"`([^`]*)`", row)[0].split())


def test_the_table_names_everything_that_comes_with_it() -> None:
    from gradwright.codegen.inputs import built_in_scripts
    from gradwright.codegen.scripts import load_script
    from gradwright.schedules import SCHEDULES

    derived = {item.name for path in built_in_scripts() for item in load_script(path)}
    rows = ("layers", "activations", "losses", "gradients", "optimizers")
    named = set().union(*(table_row(title) for title in rows))
    assert {name for name in derived if not name.startswith("weighted_")} == named
    assert {name.removeprefix("weighted_") for name in derived - named} <= table_row("losses")
    assert table_row("schedules") == set(SCHEDULES)


def test_what_other_sources_name_is_there_under_the_name_that_the_readme_lists() -> None:
    """Every kernel, method and attribute in the right-hand column of the table exists."""
    from importlib import import_module

    from gradwright import MLP, kernels

    start = README.index("| elsewhere | here |")
    rows = README[start : README.index("\n\n", start)].splitlines()[2:]
    here = " ".join(row.split(" | ")[1] for row in rows)
    net = MLP([2, 3, 2], ["relu", "softmax"])
    net.backward(net.forward(np.ones((4, 2))) * 0 + [[1, 0]])
    for name in re.findall(r"`(\w+)\.(forward|backward|update)\(", here):
        if name[0] != "net":
            assert hasattr(import_module(f"gradwright.generated.numpy.{name[0]}"), name[1])
    for name in re.findall(r"net\.(\w+)", here):
        assert hasattr(net, name)
    for name in ("W", "b", "z", "a", "a_prev", "DW", "Db"):
        assert f"`{name}`" in here
        assert getattr(net.layers[0], name) is not None
    for name in re.findall(r'"(\w+)"', here):
        known = {*kernels.known("activation"), "he", "xavier", "layer1"}
        assert name.split(".")[0] in known
    assert "dropconnect" in kernels.names()


def test_the_page_of_the_catalogue_names_every_loss_and_schedule() -> None:
    from gradwright.schedules import SCHEDULES

    page = (ROOT / "docs/catalogue.md").read_text()
    assert [n for n in (*table_row("losses"), *SCHEDULES) if not re.search(rf"[ `]{n}[ `]", page)] == []
