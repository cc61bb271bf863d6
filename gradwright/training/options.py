"""How to train: what a user chooses for a fit, and what a checkpoint keeps of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from gradwright import schedules
from gradwright.kernels import unknown, whole

Array = np.ndarray[Any, np.dtype[Any]]
Data = Any  # an array, a memmap, or an iterable of (X, y)
Callback = Any  # a function of the network, or an object with on_epoch_end, on_batch_end ...


@dataclass(frozen=True)
class TrainingOptions:
    """The choices of a fit that its result depends on, and that a resumed fit repeats.

    learning_rate: a number, a schedule by name (name, {...}), or a function of the step.
    batch_size: None is the full batch.
    shuffle: another order in each epoch, from seed and epoch.
    validation_split: share of the samples set apart, in [0, 1).
    patience: stop after so many epochs without a better validation loss (training loss without
        validation data) and restore the best weights; None never stops. early_stopping=True is
        patience 10. min_delta: by how much a loss has to be better.
    class_weight: "balanced", {class: weight} or one weight a class.
    metrics: names of `gradwright.metrics`, or (name, {option: value}), evaluated every epoch on the
        validation data, else on the training data.
    checkpoint: file to save to after every epoch and on Ctrl-C.
    allow_nan: do not refuse NaN and infinite values in X.
    """

    learning_rate: Any
    batch_size: int | None = 32
    shuffle: bool = True
    validation_split: float = 0.0
    patience: int | None = None
    min_delta: float = 0.0
    class_weight: Any = None
    metrics: tuple[Any, ...] = ()
    checkpoint: str | None = None
    allow_nan: bool = False

    def __post_init__(self) -> None:
        size = self.batch_size
        if size is not None and not whole(size):
            raise TypeError(f"batch_size is {size!r}, expected a whole number or None")
        if size is not None and size < 1:
            raise ValueError(f"expected batch_size >= 1 or None for the full batch, got {size}")
        if not 0 <= self.validation_split < 1:
            raise ValueError(f"expected validation_split in [0, 1), got {self.validation_split}")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"expected patience >= 1 or None, got {self.patience}")
        if not 0 <= self.min_delta < math.inf:
            raise ValueError(f"expected min_delta >= 0, got {self.min_delta}")
        schedule(self.learning_rate)

    @classmethod
    def create(cls, given: Mapping[str, Any]) -> TrainingOptions:
        """Options by name; one that is not known is a TypeError with the nearest name."""
        values = dict(given)
        if values.pop("early_stopping", False) and values.get("patience") is None:
            values["patience"] = 10
        known = [item.name for item in fields(cls)]
        for name in values:
            if name not in known:
                raise TypeError(unknown("argument of fit", name, [*known, "early_stopping"]))
        if "metrics" in values:
            values["metrics"] = tuple(values["metrics"] or ())
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is a function becomes None and has to be given again."""
        values = asdict(self)
        if callable(self.learning_rate):
            values["learning_rate"] = None
        weight = self.class_weight
        if isinstance(weight, Mapping):
            values["class_weight"] = [[int(k), float(v)] for k, v in weight.items()]
        elif weight is not None and not isinstance(weight, str):
            values["class_weight"] = list(enumerate(map(float, weight)))
        values["metrics"] = [name for name in self.metrics if not callable(name)]
        return values

    @classmethod
    def from_json(cls, data: Mapping[str, Any], learning_rate: Any = None) -> TrainingOptions:
        """The options that `to_json` wrote."""
        values = dict(data)
        if learning_rate is not None:
            values["learning_rate"] = learning_rate
        if values["learning_rate"] is None:
            raise ValueError(
                "the interrupted training used a function as learning_rate, which no file can "
                "hold: give it again as learning_rate"
            )
        if isinstance(values["learning_rate"], list):
            values["learning_rate"] = tuple(values["learning_rate"])
        if isinstance(values["class_weight"], list):
            values["class_weight"] = dict(values["class_weight"])
        values["metrics"] = tuple(tuple(m) if isinstance(m, list) else m for m in values["metrics"])
        return cls(**values)


@dataclass
class Progress:
    """How far the training of a network is; with its arrays all that a resumed fit needs."""

    epoch: int = 0  # finished ones
    target: int = 0  # epochs at the end of the fit
    first_step: int = 0  # steps before the fit, where its schedule starts
    epoch_step: int = 0  # steps before the current epoch
    losses: Array = field(default_factory=lambda: np.empty(0))  # of the epoch's batches
    weights: Array = field(default_factory=lambda: np.empty(0))  # of the epoch's batches
    options: Mapping[str, Any] | None = None  # of the fit, as JSON
    best_loss: float = math.inf
    best_epoch: int = 0
    best: dict[str, Array] = field(default_factory=dict)  # parameters and running statistics

    @property
    def unfinished(self) -> bool:
        """Whether a fit was interrupted."""
        return self.options is not None and self.epoch < self.target


def schedule(learning_rate: Any) -> Callable[[int], float]:
    """The learning rate as a function of the step (0, 1, 2, ...)."""
    if callable(learning_rate):
        return lambda step: _rate(learning_rate(step))
    if isinstance(learning_rate, (str, tuple, list)):
        name, parameters = (
            (learning_rate, {}) if isinstance(learning_rate, str) else tuple(learning_rate)
        )
        named = schedules.schedule(name, **parameters)
        return lambda step: _rate(named(step))
    rate = _rate(learning_rate)
    return lambda _: rate


def _rate(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"learning_rate is {type(value).__name__}, expected a number")
    if not 0 <= value < math.inf:
        raise ValueError(f"expected learning_rate >= 0, got {value}")
    return float(value)


def events(callbacks: Iterable[Callback], name: str) -> list[Callable[[Any], Any]]:
    """What the callbacks want to have called at an event; functions are called after epochs."""
    found = []
    for callback in callbacks:
        method = getattr(callback, name, None)
        if method is not None:
            found.append(method)
        elif name == "on_epoch_end" and callable(callback):
            found.append(callback)
    return found
