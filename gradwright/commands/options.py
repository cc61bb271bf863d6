"""The options of networks: one table for the command line, the configuration file and the help.

An option has one name everywhere: `--batch-size 32` is `batch-size = 32` under its section in TOML.
Values are plain: text, whole numbers, numbers, flags; what is more is said by a small grammar:

    784-256-10                  widths, from the input to the output
    leaky_relu:alpha=0.1        a name with parameters
    relu,tanh                   one for each hidden layer
    0.01,0.1,1                  one for each layer, as supports are
    kernels=3x3/none            height and width of a layer's patches, none for the next one
"""

from __future__ import annotations

import argparse
import difflib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .errors import UsageError

_KINDS = {"text": str, "integer": int, "number": float, "numbers": float, "flag": bool}
_LAYERS = re.compile(r"[1-9][0-9]*(-[1-9][0-9]*)+\Z")
_KERNELS = re.compile(r"(none|[1-9][0-9]*x[1-9][0-9]*)(/(none|[1-9][0-9]*x[1-9][0-9]*))*\Z")
_NAMED = re.compile(r"[a-z_][a-z0-9_]*(:[a-z_][a-z0-9_]*=[^:,=]+)*\Z")


@dataclass(frozen=True)
class Option:
    """An option; `words` are texts that may stand for a number."""

    name: str
    section: str
    help: str
    kind: str = "text"
    default: Any = None
    metavar: str = ""
    words: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return self.name.replace("-", "_")

    def read(self, value: Any, where: str) -> Any:
        """The checked value; UsageError says what is expected."""
        if value in self.words:
            return value
        if self.kind == "numbers" and isinstance(value, str) and "," in value:
            for part in value.split(","):
                replace(self, kind="number").read(part, where)
            return value
        wanted = _KINDS[self.kind]
        if self.kind not in ("text", "flag") and isinstance(value, str):
            value = _number(value, wanted)
        elif wanted is float and type(value) is int:
            value = float(value)
        if type(value) is not wanted or (isinstance(value, float) and not math.isfinite(value)):
            raise UsageError(f"{where}: expected {self._expected()}, got {value!r}")
        if self.choices and value not in self.choices:
            raise UsageError(f"{where}: {unknown('value', str(value), self.choices)}")
        return value

    def _expected(self) -> str:
        kinds = {"integer": "a whole number", "number": "a number", "flag": "true or false",
                 "numbers": "a number, or one a layer with commas between them"}  # fmt: skip
        return " or ".join([kinds.get(self.kind, "a text"), *self.words])


def _number(text: str, wanted: type) -> Any:
    try:
        return wanted(text)
    except ValueError:
        return text


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The message for an unknown name, with the nearest known one."""
    known = tuple(known)
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
    return f"unknown {what} {name!r}; {hint}"


DATA = (
    Option("data", "data", "digits, blobs, spiral, xor, sine, file.csv, file.npz, batch.bin, or a "
           "folder with MNIST or CIFAR-10", metavar="SOURCE"),
    Option("label", "data", "csv: the label's column, by name or place (-1 is the last, and the "
           "default); several with commas between them", metavar="COLUMNS"),
    Option("labels", "data", "csv: how many columns at the end are labels, instead of --label",
           "integer", metavar="N"),
    Option("delimiter", "data", "csv: what separates columns; default: a comma", metavar="TEXT"),
    Option("task", "data", "csv and npz: what the targets are; default: whole numbers and texts are "
           "classes", choices=("auto", "classification", "regression"), metavar="TASK"),
    Option("test", "data", "share of samples held out for `evaluate`; default 0.2, none of xor; "
           "folders have a test part of their own", "number", metavar="SHARE"),
    Option("standardize", "data", "shift and scale every feature to mean 0 and variance 1, as the "
           "training samples have them", "flag", False),
)  # fmt: skip
NETWORK = (
    Option("layers", "network", "widths from input to output: 784-256-128-10", metavar="SIZES"),
    Option("activation", "network", "of hidden layers: one for all or one for each", default="relu",
           metavar="NAMES"),
    Option("output-activation", "network", "default: softmax for classes, sigmoid for several "
           "labels a sample, identity for numbers",
           metavar="NAME"),
    Option("loss", "network", "default: by the output activation", metavar="NAME"),
    Option("optimizer", "network", "such as adam or adam:beta1=0.9", default="adam",
           metavar="NAME"),
    Option("init", "network", "initialiser of the weights, such as he or normal:std=0.1",
           default="he", metavar="NAME"),
    Option("batchnorm", "network", "batch normalisation before hidden activations", "flag", False),
    Option("dropout", "network", "share of hidden activations dropped in training", "number", 0.0,
           "SHARE"),
    Option("density", "network", "share of weights that exist, below 1 layers are sparse: one for "
           "all layers or one for each, such as 0.01,0.1,1", "numbers", 1.0, "SHARES"),
    Option("support", "network", "where the weights of sparse layers are: uniform, erdos_renyi, "
           "erdos_renyi_kernel:kernels=3x3/none, n_of_m:n=2:m=4, blocks:height=4:width=4; one for "
           "all layers or one for each, none where there is no choice", metavar="NAMES"),
    Option("weight-decay", "network", "factor of L2 decay of weights", "number", metavar="FACTOR"),
    Option("clip-norm", "network", "largest norm of all gradients of a step", "number",
           metavar="NORM"),
    Option("label-smoothing", "network", "share of a target spread over all classes", "number", 0.0,
           "SHARE"),
    Option("dtype", "network", "of parameters and data", default="float32",
           choices=("float32", "float64"), metavar="TYPE"),
    Option("backend", "network", "what computes: cpp or numpy", default="cpp",
           choices=("cpp", "numpy"), metavar="NAME"),
    Option("seed", "network", "of weights, shuffling, dropout, made data and splits", "integer", 0,
           "N"),
)  # fmt: skip
TRAINING = (
    Option("epochs", "training", "passes over the training samples", "integer", 20, "N"),
    Option("batch-size", "training", "samples a step", "integer", 32, "N", words=("full",)),
    Option("learning-rate", "training", "default: the optimizer's own", "number", metavar="RATE"),
    Option("schedule", "training", "of the learning rate by steps, such as cosine:steps=1000",
           metavar="NAME"),
    Option("validation", "training", "share of training samples to watch the loss on", "number",
           0.0, "SHARE"),
    Option("early-stopping", "training", "stop after this many epochs without a better validation "
           "loss, and keep the best weights", "integer", metavar="EPOCHS"),
    Option("min-delta", "training", "what counts as better for early stopping", "number",
           metavar="LOSS"),
    Option("metrics", "training", "recorded every epoch, such as accuracy,f1 or r2",
           metavar="NAMES"),
    Option("balanced", "training", "weight classes by their rarity", "flag", False),
)  # fmt: skip
OUTPUT = (
    Option("out", "output", "folder of the run: checkpoint, history.csv, loss.png, config.toml",
           metavar="FOLDER"),
    Option("picture", "output", "draw the loss curve (needs matplotlib); default: if it is there",
           default="auto", choices=("auto", "yes", "no"), metavar="WHEN"),
)  # fmt: skip
TRAIN = (*DATA, *NETWORK, *TRAINING, *OUTPUT)


@dataclass(frozen=True)
class Settings:
    """Values by option name, defaults included, and which of them were given."""

    values: Mapping[str, Any]
    given: frozenset[str] = field(default_factory=frozenset)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


def add_options(parser: argparse.ArgumentParser, options: Iterable[Option]) -> None:
    """Options on a parser, grouped by section; what is not given leaves no trace."""
    groups: dict[str, Any] = {}
    for option in options:
        group = groups.get(option.section)
        if group is None:
            group = groups[option.section] = parser.add_argument_group(option.section)
        text = option.help
        if option.default not in (None, False) and "default" not in text:
            text += f"; default {option.default}"
        if option.kind == "flag":
            group.add_argument(
                f"--{option.name}", action=argparse.BooleanOptionalAction,
                default=argparse.SUPPRESS, help=text,
            )  # fmt: skip
        else:
            group.add_argument(
                f"--{option.name}", default=argparse.SUPPRESS, metavar=option.metavar,
                help=text.replace("%", "%%"),
            )  # fmt: skip


def settings(
    parsed: argparse.Namespace, options: Iterable[Option], config: Path | None = None
) -> Settings:
    """Values of the command line, else of the configuration file, else the defaults."""
    options = tuple(options)
    values = {option.name: option.default for option in options}
    given: dict[str, Any] = {}
    if config is not None:
        given |= read_config(config, options)
    for option in options:
        if hasattr(parsed, option.key):
            given[option.name] = option.read(getattr(parsed, option.key), f"--{option.name}")
    return Settings(values | given, frozenset(given))


def read_config(path: Path, options: Iterable[Option]) -> dict[str, Any]:
    """The options of a TOML file; unknown tables and keys are refused with the nearest name."""
    import tomllib

    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: is no TOML: {error}") from None
    sections: dict[str, dict[str, Option]] = {}
    for option in options:
        sections.setdefault(option.section, {})[option.name] = option
    found = {}
    for title, table in content.items():
        if title not in sections:
            raise UsageError(f"{path}: {unknown('table', title, sections)}")
        if not isinstance(table, dict):
            raise UsageError(f"{path}: {title} is a table: write [{title}] and options below it")
        for key, value in table.items():
            if key not in sections[title]:
                raise UsageError(f"{path}: {unknown(f'option in [{title}]', key, sections[title])}")
            found[key] = sections[title][key].read(value, f"{path}: [{title}] {key}")
    return found


def config_text(values: Mapping[str, Any], options: Iterable[Option]) -> str:
    """A TOML file with these values; what has none is left out."""
    lines: list[str] = []
    section = None
    for option in options:
        value = values.get(option.name)
        if value is None:
            continue
        if option.section != section:
            section = option.section
            lines += ["", f"[{section}]"] if lines else [f"[{section}]"]
        lines.append(f"{option.name} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """JSON is TOML for these values, but for DEL, which TOML wants escaped too."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


# ---- The small grammar ---------------------------------------------------------------------------


def layer_sizes(text: str) -> list[int]:
    """784-256-10: whole numbers, joined by dashes."""
    if not _LAYERS.match(text):
        raise UsageError(
            f"--layers: expected widths joined by dashes, such as 784-256-10, got {text!r}"
        )
    return [int(part) for part in text.split("-")]


def shares(given: float | str) -> float | list[float]:
    """0.01,0.1: one for all layers, or one for each."""
    return [float(part) for part in given.split(",")] if isinstance(given, str) else given


def supports(text: str, where: str) -> Any:
    """n_of_m:n=2:m=4,none: one for all layers, or one for each."""
    found = [None if part == "none" else named(part, where) for part in text.split(",")]
    return found if len(found) > 1 else found[0]


def named(text: str, where: str) -> tuple[str, dict[str, Any]]:
    """leaky_relu:alpha=0.1: a name, and numbers by name; kernels are a list with one a layer."""
    if not _NAMED.match(text):
        raise UsageError(f"{where}: expected NAME or NAME:KEY=NUMBER:..., got {text!r}")
    name, *pairs = text.split(":")
    found: dict[str, Any] = {}
    for pair in pairs:
        key, _, number = pair.partition("=")
        if key == "kernels":
            found[key] = _kernels(number, where)
            continue
        try:
            found[key] = int(number) if number.lstrip("+-").isdigit() else float(number)
        except ValueError:
            raise UsageError(f"{where}: {key} is {number!r}, expected a number") from None
    return name, found


def _kernels(text: str, where: str) -> list[tuple[int, int] | None]:
    if not _KERNELS.match(text):
        raise UsageError(f"{where}: expected kernels=HEIGHTxWIDTH/none/..., one a layer, got {text!r}")
    sizes = (part.split("x") for part in text.split("/"))
    return [None if size == ["none"] else (int(size[0]), int(size[1])) for size in sizes]
