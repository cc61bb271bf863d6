"""Learning-rate schedules: exact at their boundaries, stateless, strict about their parameters."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from gradwright.schedules import SCHEDULES, schedule

# name, parameters, {step: rate}, exactly
EXACT = [
    ("constant", {"learning_rate": 0.3}, {0: 0.3, 10**9: 0.3}),
    ("time_based", {"learning_rate": 1.0, "decay": 0.5}, {0: 1.0, 2: 0.5, 6: 0.25}),
    ("step_based", {"learning_rate": 0.8, "factor": 0.5, "every": 10},
     {0: 0.8, 9: 0.8, 10: 0.4, 19: 0.4, 20: 0.2}),
    ("multi_step", {"learning_rate": 0.8, "factor": 0.5, "milestones": [3, 5]},
     {0: 0.8, 2: 0.8, 3: 0.4, 4: 0.4, 5: 0.2, 6: 0.2, 10: 0.2, 1000: 0.2}),
    ("multi_step", {"learning_rate": 0.8}, {0: 0.8, 7: 0.8}),
    ("exponential", {"learning_rate": 0.3, "decay": 0.0}, {0: 0.3, 5: 0.3}),
    ("cosine", {"learning_rate": 0.1, "steps": 7}, {0: 0.1, 7: 0.0, 8: 0.0, 10**12: 0.0}),
    ("cosine", {"learning_rate": 0.3, "steps": 4, "final": 0.1}, {0: 0.3, 4: 0.1, 5: 0.1}),
    ("warmup_cosine", {"learning_rate": 0.1, "steps": 30, "warmup": 10, "final": 0.01},
     {0: 0.0, 10: 0.1, 30: 0.01, 31: 0.01}),
    ("warmup_cosine", {"learning_rate": 0.1, "steps": 30, "warmup": 0}, {0: 0.1, 30: 0.0}),
    ("warmup_cosine", {"learning_rate": 0.1, "steps": 3, "warmup": 3}, {0: 0.0, 3: 0.0}),
    ("one_cycle", {"learning_rate": 0.5, "steps": 10, "rise": 0.5, "initial": 0.1, "final": 0.0},
     {0: 0.1, 5: 0.5, 10: 0.0, 11: 0.0}),
    ("one_cycle", {"learning_rate": 0.5, "steps": 10}, {0: 0.02, 3: 0.5, 10: 2e-6, 99: 2e-6}),
    ("one_cycle", {"learning_rate": 0.5, "steps": 4, "rise": 0.0}, {0: 0.5}),
    ("one_cycle", {"learning_rate": 0.5, "steps": 4, "rise": 1.0, "final": 0.1}, {0: 0.02, 5: 0.1}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "parameters", "wanted"), EXACT)
def test_schedule_is_exact_at_its_boundaries(
    name: str, parameters: dict[str, Any], wanted: dict[int, float]
) -> None:
    rate = schedule(name, **parameters)
    assert {step: rate(step) for step in wanted} == wanted


def test_curves_between_the_boundaries() -> None:
    cosine = schedule("cosine", learning_rate=0.2, steps=8, final=0.1)
    assert cosine(4) == pytest.approx(0.15, rel=1e-15)
    assert cosine(2) == pytest.approx(0.1 + 0.1 * (1 + math.sqrt(0.5)) / 2, rel=1e-15)
    assert schedule("exponential", learning_rate=2.0, decay=0.1)(5) == pytest.approx(2 / math.sqrt(math.e))
    assert schedule("warmup_cosine", learning_rate=0.4, steps=9, warmup=4)(1) == pytest.approx(0.1)


@pytest.mark.parametrize("name", ["time_based", "step_based", "exponential", "cosine"])
def test_decaying_schedule_never_rises(name: str) -> None:
    rate = schedule(name, learning_rate=0.1)
    rates = [rate(step) for step in range(0, 5000, 7)]
    assert rates == sorted(rates, reverse=True)
    assert all(r >= 0 for r in rates)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_needs_nothing_but_the_step(name: str) -> None:
    """In any order, and by any function of the same parameters: what a resumed training does."""
    first, second = schedule(name), schedule(name)
    forward = [first(step) for step in range(50)]
    assert [second(step) for step in reversed(range(50))] == forward[::-1]
    assert all(isinstance(r, float) for r in forward)


@pytest.mark.parametrize(
    ("name", "parameters", "error", "words"),
    [
        ("cosin", {}, ValueError, "did you mean cosine"),
        ("cosine", {"step": 10}, ValueError, "did you mean steps"),
        ("cosine", {"gamma": 1}, ValueError, "known: learning_rate, steps, final"),
        ("constant", {"learning_rate": -0.1}, ValueError, "constant: expected learning_rate >= 0"),
        ("constant", {"learning_rate": math.nan}, ValueError, "learning_rate"),
        ("constant", {"learning_rate": math.inf}, ValueError, "learning_rate"),
        ("constant", {"learning_rate": "0.1"}, TypeError, "learning_rate is str"),
        ("constant", {"learning_rate": True}, TypeError, "learning_rate is bool"),
        ("cosine", {"steps": 0}, ValueError, "expected steps >= 1"),
        ("cosine", {"steps": 2.5}, TypeError, "steps is float"),
        ("step_based", {"every": 0}, ValueError, "every"),
        ("step_based", {"factor": -1}, ValueError, "factor"),
        ("time_based", {"decay": -1}, ValueError, "decay"),
        ("multi_step", {"milestones": [5, 3]}, ValueError, "ascending"),
        ("multi_step", {"milestones": [3, 3]}, ValueError, "ascending"),
        ("multi_step", {"milestones": [0]}, ValueError, "milestones >= 1"),
        ("multi_step", {"milestones": 7}, TypeError, "list of steps"),
        ("multi_step", {"milestones": "35"}, TypeError, "list of steps"),
        ("multi_step", {"milestones": [1.5]}, TypeError, "milestones is float"),
        ("warmup_cosine", {"steps": 5, "warmup": 6}, ValueError, "warmup <= steps"),
        ("one_cycle", {"rise": 1.5}, ValueError, r"rise in \[0, 1\]"),
    ],
)
def test_parameter_that_does_not_fit_is_refused(
    name: str, parameters: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        schedule(name, **parameters)


@pytest.mark.parametrize(("step", "error"), [(-1, ValueError), (0.5, TypeError), (True, TypeError)])
def test_step_that_does_not_fit_is_refused(step: Any, error: type[Exception]) -> None:
    rate: Callable[[Any], float] = schedule("constant")
    with pytest.raises(error, match="step"):
        rate(step)
