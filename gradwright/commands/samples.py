"""The samples of a run: read, split, scaled, and described in the run folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from gradwright.data import BUILT_IN, DataError, Dataset, load

from .errors import UsageError
from .options import Settings

DESCRIPTION = "data.json"


@dataclass(frozen=True)
class Description:
    """What has to be known of the training samples to treat others alike."""

    inputs: int
    classes: tuple[str, ...] | None = None
    features: tuple[str, ...] | None = None
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    targets: tuple[str, ...] | None = None
    several_labels: bool = False

    @property
    def task(self) -> str:
        """How targets are read from a table."""
        return "regression" if self.classes is None and not self.several_labels else "classification"

    def text(self) -> str:
        return json.dumps(self.__dict__, indent=1) + "\n"

    @classmethod
    def read(cls, folder: Path) -> Description:
        """The description in a run folder."""
        try:
            data = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
            lists: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value
                for key, value in data.items()
            }
            return cls(**lists)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise UsageError(f"{folder}: is no run of `gradwright train`: {error}") from None

    def applied(self, data: Dataset, dtype: str) -> Dataset:
        """Samples as floats, shifted and scaled as those of the training were."""
        if data.inputs != self.inputs:
            raise UsageError(
                f"{data.name}: {data.inputs} features, the run was trained on {self.inputs}"
            )
        data = data.scaled(dtype)
        if not self.mean:
            return data
        X = (data.X - np.array(self.mean, dtype)) / np.array(self.scale, dtype)
        return replace(data, X=X)

    def relabelled(self, data: Dataset) -> Dataset:
        """Labels counted in the order of the run's classes."""
        if self.classes is None or data.classes is None or data.y is None:
            alike = (self.classes is None) == (data.classes is None)
            if not alike or self.several_labels != data.has_several_labels:
                raise UsageError(f"{data.name}: labels where the run has numbers, or the reverse; "
                                 "name the label's column as in the training")  # fmt: skip
            return data
        known = {name: place for place, name in enumerate(self.classes)}
        for name in data.classes:
            if name not in known:
                raise UsageError(f"{data.name}: the run knows no class {name!r}")
        places = np.array([known[name] for name in data.classes], np.int64)
        return replace(data, y=places[data.y], classes=self.classes)


@dataclass(frozen=True)
class Samples:
    """Those of the training, those held out from it, and their description."""

    train: Dataset
    held_out: Dataset | None
    description: Description


@dataclass(frozen=True)
class Source:
    """Where samples come from and how they are read."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Settings) -> Source:
        """The source a run's options name; options that do not apply are refused by its reader."""
        name = given["data"]
        options: dict[str, Any] = {
            key: given[key] for key in ("label", "labels", "delimiter") if key in given.given
        }
        if given["task"] is not None:
            options["task"] = given["task"]
        if name in BUILT_IN and name != "digits":
            options["seed"] = given["seed"]
        return cls(name, options)

    @property
    def is_folder(self) -> bool:
        return self.name not in BUILT_IN and Path(self.name).is_dir()

    def read(self, **more: Any) -> Dataset:
        """The samples; UsageError for what cannot be read."""
        try:
            return load(self.name, **self.options, **more)
        except (DataError, OSError) as error:
            raise UsageError(str(error)) from None


def read_samples(given: Settings) -> Samples:
    """Read, split and scale the samples of a run."""
    source, dtype = Source.of(given), given["dtype"]
    share = held_out_share(given, source)
    train = source.read()
    held_out = None
    if source.is_folder:
        try:
            held_out = source.read(part="test")
        except UsageError:
            held_out = None
    elif share:
        try:
            train, held_out = train.split(share, given["seed"])
        except DataError as error:
            raise UsageError(f"--test: {error}") from None
    described = _described(train, bool(given["standardize"]))
    return Samples(
        described.applied(train, dtype),
        None if held_out is None else described.applied(held_out, dtype),
        described,
    )


def held_out_share(given: Settings, source: Source) -> float:
    """The share of `--test`; folders have a test part, and every corner of xor is needed."""
    share = given["test"]
    if source.is_folder and "test" in given.given and share:
        raise UsageError("--test: this folder has a test part of its own")
    if share is None:
        return 0.0 if source.is_folder or source.name == "xor" else 0.2
    if not 0 <= share < 1:
        raise UsageError(f"--test: expected a share in [0, 1), got {share}")
    return float(share)


def _described(train: Dataset, standardize: bool) -> Description:
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    if standardize:
        X = train.scaled(np.float64).X
        deviation = X.std(axis=0)
        mean = tuple(X.mean(axis=0).tolist())
        scale = tuple(np.where(deviation > 0, deviation, 1.0).tolist())
    return Description(
        train.inputs, train.classes, train.features, mean, scale, train.targets,
        train.has_several_labels,
    )  # fmt: skip
