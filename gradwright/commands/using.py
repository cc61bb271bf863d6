"""`gradwright evaluate` and `gradwright predict`."""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import UsageError
from .options import Settings
from .running import open_run
from .samples import Description, Source, read_samples

if TYPE_CHECKING:
    from gradwright.data import Dataset
    from gradwright.network import MLP


def evaluate(options: argparse.Namespace) -> int:
    """Print loss and score of a run."""
    given, net = open_run(options.folder)
    about = Description.read(options.folder)
    if options.data is None:
        samples = read_samples(given)
        data, what = samples.held_out, "held out"
        if data is None:
            data, what = samples.train, "training"
    else:
        source = _source(given, about, options.data)
        data = about.relabelled(about.applied(source.read(), given["dtype"]))
        what = source.name
    found = _measured(net, data, about)
    if options.json:
        print(json.dumps({"samples": len(data), "of": what, **found}))
        return 0
    numbers = ", ".join(f"{name} {value:.6g}" for name, value in found.items())
    print(f"{len(data)} samples ({what}): {numbers}")
    return 0


def _measured(net: MLP, data: Dataset, about: Description) -> dict[str, float]:
    from gradwright.training.loop import evaluate as mean_loss

    if data.y is None:
        raise UsageError(f"{data.name}: there are no targets in it")
    try:
        name = "r2" if about.task == "regression" else "accuracy"
        return {"loss": mean_loss(net, data.X, data.y), name: net.score(data.X, data.y)}
    except (TypeError, ValueError, IndexError) as error:
        raise UsageError(f"{data.name}: {error}") from None


def _source(given: Settings, about: Description, name: str, unlabelled: bool = False) -> Source:
    """Other samples, read as those of the training were: their targets are of the same kind."""
    ending = name.lower().rpartition(".")[2]
    options: dict[str, Any] = {}
    if ending in ("csv", "npz"):
        options["task"] = about.task
        if unlabelled:
            options["unlabelled"] = True
    if ending == "csv":
        kept = ("delimiter",) if unlabelled else ("delimiter", "label", "labels")
        options |= {key: given[key] for key in kept if given[key] is not None}
    elif unlabelled and ending != "npz":
        raise UsageError("--no-label is for csv and npz files")
    return Source(name, options)


def predict(options: argparse.Namespace) -> int:
    """Write a prediction for every sample."""
    given, net = open_run(options.folder)
    about = Description.read(options.folder)
    if options.probabilities and about.task == "regression":
        raise UsageError("--probabilities is for classes; this run predicts numbers")
    source = _source(given, about, options.data, options.no_label)
    data = about.applied(source.read(), given["dtype"])
    text = _table(net, data, about, options.probabilities)
    if options.out is None:
        sys.stdout.write(text)
        return 0
    from gradwright.files import write_atomically

    try:
        write_atomically(options.out, text.encode())
    except OSError as error:
        raise UsageError(f"--out: {options.out}: {error.strerror}") from None
    return 0


def _table(net: MLP, data: Dataset, about: Description, probabilities: bool) -> str:
    made = io.StringIO()
    table = csv.writer(made, lineterminator="\n")
    found: Any
    if about.classes is not None and probabilities:
        table.writerow(about.classes)
        found = net.predict_proba(data.X)
        table.writerows([[repr(float(p)) for p in row] for row in found])
    elif about.classes is not None:
        table.writerow(["class"])
        table.writerows([[about.classes[int(label)]] for label in net.predict(data.X)])
    elif about.several_labels:
        found = net.predict_proba(data.X) if probabilities else net.predict(data.X)
        table.writerow(about.targets or _titles(found.shape[1]))
        table.writerows([[repr(value) for value in row] for row in found.tolist()])
    else:
        found = np.atleast_2d(net.predict(data.X).T).T
        table.writerow(about.targets or _titles(found.shape[1]))
        table.writerows([[repr(float(value)) for value in row] for row in found])
    return made.getvalue()


def _titles(count: int) -> list[str]:
    return [f"y{i}" for i in range(count)] if count > 1 else ["y"]
