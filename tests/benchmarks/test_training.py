"""The training benchmark compares what is comparable, and says what it left out."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # behind everything else: the package in use stays the installed one

from benchmarks import limits, memory, pictures, training  # noqa: E402
from benchmarks.contest import Arena, Effort, disagreeing  # noqa: E402
from benchmarks.peers import DENSE, OURS, SPARSE, Peer, own  # noqa: E402
from benchmarks.peers.problem import pose  # noqa: E402

SHORT = Effort(rounds=2, turn=1e-4)
TESTED = ("gradwright", "gradwright, dense", "NumPy", "scikit-learn", "SciPy CSR")
MACHINE = {
    "multiply-add": 1e9, "multiply-add, load": 5e8, "L2": 1e15, "L3": 1e15, "DRAM": 1e15,
    "threads": 1.0, "L2 bytes": 1e9, "L3 bytes": 1e9,
}  # fmt: skip
COMPILER = os.environ.get("CXX") or shutil.which("g++") or "c++"


@pytest.mark.parametrize(
    ("peers", "density", "optimizer"),
    [(DENSE, 1.0, "gradient_descent"), (DENSE, 1.0, "adam"), (SPARSE, 0.3, "gradient_descent")],
)
def test_contenders_train_the_same_network(
    peers: tuple[Peer, ...], density: float, optimizer: str
) -> None:
    problem = pose((20, 16, 5), 12, optimizer, density)
    entries = [(peer, problem) for peer in peers if peer.name in TESTED]
    with Arena(1) as arena:
        found = arena.compete(entries, SHORT)
    assert found.left_out == {}
    assert {name: len(times) for name, times in found.seconds.items()} == {
        peer.name: SHORT.rounds for peer, _ in entries
    }


def test_moves_are_timed_without_the_training_between_them() -> None:
    problem = pose((300, 200, 5), 12, density=0.2)
    for make in (own.set_random, own.snfs, own.rigl):
        moving = make(problem)
        before = moving.engine.support(1)
        moving.run(1)
        between = moving.engine.support(1)
        start = time.perf_counter()
        seconds = moving.run(1)
        assert 0 < seconds < time.perf_counter() - start
        assert moving.engine.state()["step"][0] == 2 * own.STEPS_BETWEEN
        begun = np.setdiff1d(between.places, before.places)
        assert len(begun) == round(0.3 * between.count)
        stayed = np.isin(begun, moving.engine.support(1).places).mean()
        assert stayed > 0.5, "the weights that began last must not be those that end"


def test_moves_at_random_by_momentum_and_by_gradient_have_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    # a batch that would be taken in parts, which growth by gradient cannot be made of
    monkeypatch.setitem(training.NETWORKS, "tiny", ((300, 200, 20), 130))
    with Arena(1) as arena:
        rows = list(training.rewiring(arena, MACHINE, training.Wanted(["tiny"], effort=SHORT)))
    for row in rows:
        assert row.left_out == {}
        assert list(row.seconds) == ["gradwright", "SET", "SNFS", "RigL"]
        assert all(len(times) == SHORT.rounds for times in row.seconds.values())


def test_a_peer_that_is_not_installed_or_fails_is_left_out_by_name() -> None:
    problem = pose((4, 3, 2), 5)
    absent = Peer("absent", "own", "network", "no-such-package")
    broken = Peer("broken", "scipy_csr", "sampled")  # the problem is dense
    with Arena(1) as arena:
        found = arena.compete([(OURS, problem), (absent, problem), (broken, problem)], SHORT)
    assert found.left_out["absent"] == "no-such-package is not installed"
    assert "KeyError" in found.left_out["broken"]
    assert list(found.seconds) == ["gradwright"]


def test_a_library_whose_process_ends_is_left_out_and_can_start_again() -> None:
    problem = pose((4, 3, 2), 5, density=0.5)
    entries = [(peer, problem) for peer in SPARSE if peer.name in ("gradwright", "SciPy CSR")]
    with Arena(1) as arena:
        os.kill(arena.process("scipy_csr").pid, signal.SIGKILL)
        assert "ended" in arena.compete(entries, SHORT).left_out["SciPy CSR"]
        assert arena.compete(entries, SHORT).left_out == {}


def test_a_peer_that_trains_something_else_is_told() -> None:
    other = Peer("other", "own", "network")
    dense = Peer("dense", "own", "network", alike=False)
    assert disagreeing({OURS: [2.0, 1.9], other: [2.0, 1.9]}) == {}
    assert "falls" in disagreeing({OURS: [2.0, 1.9], other: [2.0, 1.8]})["other"]
    assert "begins" in disagreeing({OURS: [2.0, 1.9], other: [2.1, 2.0]})["other"]
    assert disagreeing({OURS: [2.0, 1.9], dense: [2.0, 1.8]}) == {}


def test_limits_of_the_machine_are_measured() -> None:
    found = limits.measure(sorted(os.sched_getaffinity(0))[:1], seconds=1e-3)
    rates = ("multiply-add", "multiply-add, load", "L1", "L2", "L3", "DRAM")
    assert all(found[name] > 1e8 for name in rates)


def test_the_program_of_limits_has_no_warning() -> None:
    strict = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    subprocess.run([COMPILER, *strict, ROOT / "benchmarks/limits.cpp"], check=True)


def test_least_time_counts_products_that_are_needed() -> None:
    dense, sparse = pose((8, 4, 2), 10), pose((8, 4, 2), 10, density=0.5)
    operations = 2 * 10 * (2 * 32 + 3 * 8)  # no gradient of the first layer's inputs
    assert limits.least(dense, MACHINE) == pytest.approx(operations / 1e9)
    assert limits.least(sparse, MACHINE) == pytest.approx(operations / 2 / 5e8)


def test_a_line_is_found_through_what_grows_linearly() -> None:
    x = np.geomspace(10, 10_000, 7)
    line = pictures.fit(list(x), list(3e-3 + 2e-6 * x))
    assert (line.start, line.slope) == pytest.approx((3e-3, 2e-6))
    assert line.off < 1e-9
    assert pictures.fit(list(x), list(2e-6 * x - 1e-6)).start == 0


def test_memory_of_a_training_is_measured_in_a_fresh_process() -> None:
    found = memory.measure("cifar", "momentum")
    assert found.why == ""
    weights = 31457 + 5243 + 51
    activations = 2 * 4 * 100 * (3072 + 1024 + 512 + 10)
    assert found.needed == 16 * weights + activations
    assert found.measured is not None
    assert found.measured > found.needed / 2


def test_a_picture_of_one_density_shows_every_contender(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    what = {"network": "4-3-2, 5", "density": 0.1}
    seconds = {"gradwright": [1e-3, 2e-3], "NumPy, dense": [2e-3, 3e-3]}
    picture = tmp_path / "one.png"
    pictures.draw([training.Row("sparse", what, 1, 12, seconds, {}, {})], picture)
    assert picture.stat().st_size > 0
