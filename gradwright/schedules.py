"""Learning-rate schedules: the learning rate of a step, as a function of nothing but the step.

    rate = schedule("cosine", learning_rate=0.1, steps=1000)
    rate(0), rate(500), rate(1000)   # 0.1, 0.05, 0.0

Steps count from 0, the first update. A schedule remembers nothing, so that training resumes anywhere.
Each is a function `name(step, **parameters)`; `schedule(name, **parameters)` checks the parameters once.
At its boundaries a schedule gives exactly the rates it was given.
Sources: Loshchilov and Hutter (2017) for the cosine, Smith and Topin (2018) for the single cycle.
"""

from __future__ import annotations

import difflib
import inspect
import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from operator import index
from typing import Any

Schedule = Callable[[int], float]


def constant(step: int, learning_rate: float = 0.01) -> float:
    """learning_rate."""
    del step
    return learning_rate


def time_based(step: int, learning_rate: float = 0.01, decay: float = 0.001) -> float:
    """learning_rate / (1 + decay step)."""
    return learning_rate / (1 + decay * step)


def step_based(
    step: int, learning_rate: float = 0.01, factor: float = 0.5, every: int = 1000
) -> float:
    """learning_rate factor^k after k times `every` steps."""
    return learning_rate * factor ** (step // every)


def multi_step(
    step: int, learning_rate: float = 0.01, factor: float = 0.1, milestones: Sequence[int] = ()
) -> float:
    """learning_rate factor^k, where k milestones are not after the step; no decay between them."""
    return learning_rate * factor ** bisect_right(milestones, step)


def exponential(step: int, learning_rate: float = 0.01, decay: float = 0.001) -> float:
    """learning_rate exp(-decay step)."""
    return learning_rate * math.exp(-decay * step)


def cosine(step: int, learning_rate: float = 0.01, steps: int = 1000, final: float = 0.0) -> float:
    """Half a cosine wave from learning_rate at step 0 to final at `steps` and after."""
    return _wave(learning_rate, final, step, steps)


def warmup_cosine(
    step: int, learning_rate: float = 0.01, steps: int = 1000, warmup: int = 100,
    initial: float = 0.0, final: float = 0.0,
) -> float:  # fmt: skip
    """A line from initial to learning_rate at step `warmup`, then half a wave to final at `steps`."""
    if step < warmup:
        return initial + (learning_rate - initial) * (step / warmup)
    return _wave(learning_rate, final, step - warmup, steps - warmup)


def one_cycle(
    step: int, learning_rate: float = 0.01, steps: int = 1000, rise: float = 0.3,
    initial: float | None = None, final: float | None = None,
) -> float:  # fmt: skip
    """Half a wave from initial up to learning_rate at step rise steps, then one down to final.

    learning_rate is the highest rate; initial is 1/25 of it and final 1/10000 of initial unless given.
    """
    initial = learning_rate / 25 if initial is None else initial
    final = initial / 10_000 if final is None else final
    top = rise * steps
    if step < top:
        return _wave(initial, learning_rate, step, top)
    return _wave(learning_rate, final, step - top, steps - top)


def _wave(first: float, last: float, done: float, length: float) -> float:
    """Half a cosine wave from `first` at 0 to `last` at `length` and beyond, exact at both ends."""
    if done >= length:
        return last
    weight = (1 + math.cos(math.pi * done / length)) / 2
    return last + weight * (first - last) if weight < 1 else first


SCHEDULES: dict[str, Callable[..., float]] = {
    f.__name__: f
    for f in (
        constant, time_based, step_based, multi_step, exponential, cosine, warmup_cosine, one_cycle,
    )
}  # fmt: skip
_COUNTS = {"steps": 1, "every": 1, "warmup": 0}


def schedule(name: str, **parameters: Any) -> Schedule:
    """The schedule of this name as a function of the step.

    Raises ValueError for an unknown name or parameter and for values that do not fit, TypeError for
    values that are no numbers. The function raises both for its step.
    """
    function = SCHEDULES.get(name)
    if function is None:
        raise ValueError(_unknown("schedule", name, SCHEDULES))
    known = list(inspect.signature(function).parameters)[1:]
    for key in parameters:
        if key not in known:
            raise ValueError(_unknown(f"parameter of {name}", key, known))
    checked = {key: _checked(name, key, value) for key, value in parameters.items()}
    defaults = {p.name: p.default for p in inspect.signature(function).parameters.values()}
    _check_together(name, defaults | checked)
    return partial(_at, partial(function, **checked))


def _at(function: Callable[[int], float], step: int) -> float:
    if isinstance(step, bool) or not hasattr(type(step), "__index__"):
        raise TypeError(f"step is {type(step).__name__}, expected an integer")
    if step < 0:
        raise ValueError(f"expected step >= 0, got {step}")
    return function(index(step))


def _checked(name: str, key: str, value: Any) -> Any:
    if key == "milestones":
        return _milestones(name, value)
    if key in ("initial", "final") and value is None and name == "one_cycle":
        return None
    if key in _COUNTS:
        return _count(name, key, value, _COUNTS[key])
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}: {key} is {type(value).__name__}, expected a number")
    if not 0 <= value < math.inf:
        raise ValueError(f"{name}: expected {key} >= 0, got {value}")
    if key == "rise" and value > 1:
        raise ValueError(f"{name}: expected rise in [0, 1], got {value}")
    return float(value)


def _count(name: str, key: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not hasattr(type(value), "__index__"):
        raise TypeError(f"{name}: {key} is {type(value).__name__}, expected an integer")
    if value < least:
        raise ValueError(f"{name}: expected {key} >= {least}, got {value}")
    return index(value)


def _milestones(name: str, value: Any) -> tuple[int, ...]:
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        raise TypeError(f"{name}: milestones is {type(value).__name__}, expected a list of steps")
    steps = tuple(_count(name, "milestones", v, 1) for v in value)
    if any(a >= b for a, b in pairwise(steps)):
        raise ValueError(f"{name}: expected milestones in ascending order, got {list(steps)}")
    return steps


def _check_together(name: str, values: dict[str, Any]) -> None:
    if name == "warmup_cosine" and values["warmup"] > values["steps"]:
        raise ValueError(
            f"{name}: expected warmup <= steps, got warmup {values['warmup']} and steps {values['steps']}"
        )


def _unknown(what: str, name: str, known: Any) -> str:
    near = difflib.get_close_matches(str(name), list(known), 1)
    hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"
    return f"no {what} is named {name}{hint}"
