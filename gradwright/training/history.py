"""What happened in training, epoch by epoch: numbers, a picture, a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from os import PathLike
from pathlib import Path
from typing import Any

from gradwright.files import write_atomically


@dataclass
class History:
    """One entry for every finished epoch. As a sequence it is the training losses."""

    loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)  # empty without validation data
    learning_rate: list[float] = field(default_factory=list)  # of the epoch's last step
    metrics: dict[str, list[float]] = field(default_factory=dict)
    stopped: str = ""  # why training ended before its last epoch

    def __len__(self) -> int:
        return len(self.loss)

    def __iter__(self) -> Iterator[float]:
        return iter(self.loss)

    def __getitem__(self, place: int) -> float:
        return self.loss[place]

    def columns(self) -> dict[str, list[float]]:
        """All series by name; a series that began later is shorter."""
        named = {"loss": self.loss, "validation_loss": self.validation_loss,
                 "learning_rate": self.learning_rate, **self.metrics}  # fmt: skip
        return {name: values for name, values in named.items() if values}

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write a table with one line an epoch."""
        columns = self.columns()
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["epoch", *columns])
        for epoch in range(len(self)):
            cells = []
            for values in columns.values():
                place = epoch - (len(self) - len(values))
                cells.append(repr(values[place]) if place >= 0 else "")
            table.writerow([epoch + 1, *cells])
        write_atomically(Path(path), text.getvalue().encode())

    def plot(self, path: str | PathLike[str], title: str = "training") -> None:
        """Draw the losses; needs Matplotlib (`pip install 'gradwright[examples]'`)."""
        try:
            from matplotlib.figure import Figure
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                "pictures need Matplotlib: pip install 'gradwright[examples]'", name="matplotlib"
            ) from None
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.add_subplot()
        for name in ("loss", "validation_loss"):
            values = getattr(self, name)
            if values:
                first = len(self) - len(values) + 1
                label = name.replace("_", " ")
                axes.plot(range(first, len(self) + 1), values, marker=".", label=label)
        if self.loss and min(self.loss) > 0:
            axes.set_yscale("log")
        axes.set(xlabel="epoch", ylabel="loss", title=title)
        axes.legend()
        figure.savefig(path, dpi=120)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> History:
        """The history that `to_json` wrote."""
        return cls(**{item.name: data[item.name] for item in fields(cls)})
