"""`gradwright train` and `gradwright resume`: a run folder with everything that happened.

A run folder holds `checkpoint` (the network and all a resumed training needs), `history.csv`,
`loss.png`, `config.toml` (every option) and `data.json` (what the samples were). Each file is
written whole or not at all.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradwright.data import BUILT_IN

from .describe import described
from .errors import UsageError, fail
from .options import TRAIN, Settings, config_text, layer_sizes, named, read_config, settings
from .samples import DESCRIPTION, Description, Samples, Source, held_out_share, read_samples

if TYPE_CHECKING:
    from gradwright.network import MLP
    from gradwright.specification import Specification

CHECKPOINT, CONFIG, HISTORY, PICTURE = "checkpoint", "config.toml", "history.csv", "loss.png"
FILES = (CHECKPOINT, CONFIG, DESCRIPTION, HISTORY, PICTURE)


def train(options: argparse.Namespace) -> int:
    """Train a network and write its run folder."""
    from gradwright.network import MLP

    given = settings(options, TRAIN, options.config)
    for name in ("data", "layers", "out"):
        if given[name] is None:
            raise UsageError(f"--{name} is missing; see `gradwright train --help`")
    _check_training(given)
    folder = Path(given["out"])
    _require_free(folder, options.force)
    sizes = layer_sizes(given["layers"])
    samples = read_samples(given)
    specification = network_of(given, sizes, samples.description)
    net = _guarded(lambda: MLP.from_specification(specification, given["backend"]))
    begin = _Begin(folder, given, samples.description)
    return _run(
        folder, net, samples, given,
        lambda: net.fit(
            samples.train.X, samples.train.y, verbose=not options.quiet, **fit_options(given),
            checkpoint=_checkpoint(folder), callbacks=[begin],
        ),
    )  # fmt: skip


def resume(options: argparse.Namespace) -> int:
    """Go on with a run: finish an interrupted training, or add epochs to a finished one."""
    folder = options.folder
    given, net = open_run(folder)
    samples = read_samples(given)
    verbose = not options.quiet
    if net.progress.unfinished:
        if options.epochs is not None:
            raise UsageError(
                f"{folder}: was interrupted in epoch {net.progress.epoch + 1} of "
                f"{net.progress.target}; resume it without --epochs first"
            )
        # The folder may have been moved since.
        net.progress.options = dict(net.progress.options or {}, checkpoint=_checkpoint(folder))
        return _run(
            folder, net, samples, given,
            lambda: net.resume(samples.train.X, samples.train.y, verbose=verbose),
        )  # fmt: skip
    chosen = fit_options(given)
    if options.epochs is not None:
        if not options.epochs.isdigit() or int(options.epochs) < 1:
            raise UsageError(f"--epochs: expected a whole number >= 1, got {options.epochs!r}")
        chosen["epochs"] = int(options.epochs)
    return _run(
        folder, net, samples, given,
        lambda: net.fit(
            samples.train.X, samples.train.y, verbose=verbose, **chosen,
            checkpoint=_checkpoint(folder),
        ),
    )  # fmt: skip


def _checkpoint(folder: Path) -> str:
    return str((folder / CHECKPOINT).resolve())


def open_run(folder: Path) -> tuple[Settings, MLP]:
    """The options and the network of a run folder."""
    import gradwright

    if not (folder / CONFIG).is_file() or not (folder / CHECKPOINT).is_file():
        raise UsageError(f"{folder}: is no run folder: there is no {CONFIG} or no {CHECKPOINT} in it")
    values = read_config(folder / CONFIG, TRAIN)
    given = Settings({o.name: o.default for o in TRAIN} | values, frozenset(values))
    try:
        return given, gradwright.load(folder / CHECKPOINT, backend=given["backend"])
    except (gradwright.CheckpointError, OSError) as error:
        raise UsageError(str(error)) from None


def network_of(given: Settings, sizes: list[int], about: Description) -> Specification:
    """The specification, checked against the samples."""
    outputs = len(about.classes) if about.classes is not None else None
    output = "identity" if outputs is None else "softmax"
    if about.several_labels:
        output = "sigmoid"
    if sizes[-1] == 1 and outputs == 2:
        output, outputs = "sigmoid", 1
    if sizes[0] != about.inputs:
        raise UsageError(
            f"--layers: the samples have {about.inputs} features, the network {sizes[0]} inputs"
        )
    if outputs is not None and sizes[-1] != outputs:
        raise UsageError(
            f"--layers: the samples have {outputs} classes, the network {sizes[-1]} outputs"
        )
    if about.targets is not None and sizes[-1] != len(about.targets):
        raise UsageError(
            f"--layers: the samples have {len(about.targets)} targets, the network {sizes[-1]} outputs"
        )
    return described(given, sizes, output)


def fit_options(given: Settings) -> dict[str, Any]:
    """The arguments of `MLP.fit` that the options name."""
    size = given["batch-size"]
    chosen: dict[str, Any] = {
        "epochs": given["epochs"],
        "batch_size": None if size == "full" else size,
        "learning_rate": given["learning-rate"],
        "validation_split": given["validation"],
    }
    if given["schedule"] is not None:
        name, parameters = named(given["schedule"], "--schedule")
        if given["learning-rate"] is not None:
            parameters = {"learning_rate": given["learning-rate"], **parameters}
        chosen["learning_rate"] = (name, parameters)
    if given["early-stopping"] is not None:
        chosen["patience"] = given["early-stopping"]
        chosen["min_delta"] = given["min-delta"] or 0.0
    if given["metrics"] is not None:
        chosen["metrics"] = given["metrics"].split(",")
    if given["balanced"]:
        chosen["class_weight"] = "balanced"
    return chosen


def _check_training(given: Settings) -> None:
    if given["early-stopping"] is None and "min-delta" in given.given:
        raise UsageError("--min-delta is for --early-stopping, which is not given")
    for name in ("epochs", "batch-size", "early-stopping"):
        if isinstance(given[name], int) and given[name] < 1:
            raise UsageError(f"--{name}: expected a whole number >= 1, got {given[name]}")


def _require_free(folder: Path, force: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out: {folder} is a file")
    taken = [name for name in FILES if (folder / name).exists()]
    if taken and not force:
        raise UsageError(
            f"--out: {folder} holds a run already ({', '.join(taken)}); choose another folder, "
            "give --force to write over it, or `gradwright resume` it"
        )


@dataclass(frozen=True)
class _Begin:
    """Makes the run folder when training begins: after everything was checked, before an epoch."""

    folder: Path
    given: Settings
    about: Description

    def on_train_begin(self, net: MLP) -> None:
        """Remove the run that was there, and write what is known already."""
        del net
        from gradwright.files import write_atomically

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name in FILES:
                (self.folder / name).unlink(missing_ok=True)
            write_atomically(self.folder / CONFIG, config_text(self._values(), TRAIN).encode())
            write_atomically(self.folder / DESCRIPTION, self.about.text().encode())
        except OSError as error:
            raise UsageError(
                f"--out: {self.folder} cannot be written: {error.strerror}"
            ) from None

    def _values(self) -> dict[str, Any]:
        values = dict(self.given.values)
        source = Source.of(self.given)
        if Path(source.name).exists() and source.name not in BUILT_IN:
            values["data"] = str(Path(source.name).resolve())
        if not source.is_folder:
            values["test"] = held_out_share(self.given, source)
        if len(layer_sizes(values["layers"])) == 2:
            values["activation"] = None  # there is no hidden layer
        return values


def _run(
    folder: Path, net: MLP, samples: Samples, given: Settings, work: Callable[[], object]
) -> int:
    """Train, then write what is left to write, whatever the end was."""
    from gradwright.training.divergence import DivergenceError

    status, message = 0, ""
    try:
        _guarded(work)
    except KeyboardInterrupt:
        status = 130
        message = f"interrupted; `gradwright resume {folder}` goes on"
    except DivergenceError as error:
        status, message = 1, str(error)
    _finish(folder, net, given)
    if status:
        return fail(message, status)
    print(_summary(folder, net, samples))
    return 0


def _guarded(work: Callable[[], Any]) -> Any:
    """Wrong arguments and data are one message; so is a disk that is full."""
    from gradwright.training.divergence import DivergenceError

    try:
        return work()
    except DivergenceError:
        raise
    except (TypeError, ValueError, IndexError, OSError) as error:
        raise UsageError(str(error)) from None


def _finish(folder: Path, net: MLP, given: Settings) -> None:
    if not len(net.history):
        return
    net.history.to_csv(folder / HISTORY)
    if given["picture"] == "no":
        return
    fresh = folder / f".new-{PICTURE}"
    try:
        net.history.plot(fresh, title=f"{given['layers']}, {given['optimizer']}")
        fresh.replace(folder / PICTURE)
    except ModuleNotFoundError:
        if given["picture"] == "yes":
            raise
    finally:
        fresh.unlink(missing_ok=True)


def _summary(folder: Path, net: MLP, samples: Samples) -> str:
    data, what = (samples.held_out, "held-out") if samples.held_out else (samples.train, "training")
    name = "R^2" if samples.description.task == "regression" else "accuracy"
    score = net.score(data.X, data.y)
    stopped = f" ({net.history.stopped})" if net.history.stopped else ""
    return (
        f"{len(net.history)} epochs{stopped}, loss {net.history.loss[-1]:.6g}, {name} {score:.4f} "
        f"on {len(data)} {what} samples; {folder}"
    )
