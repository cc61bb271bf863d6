"""Tables: comma-separated values, and NumPy's npz archives."""

from __future__ import annotations

import csv
import difflib
import math
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .dataset import Array, DataError, Dataset

_MISSING = frozenset({"", "?", "na", "n/a", "nan", "null", "none"})
Label = str | int | Sequence[str | int] | None
_TASKS = ("auto", "classification", "regression")


def read_csv(
    path: str | Path,
    label: Label = None,
    header: bool | None = None,
    task: str = "auto",
    delimiter: str = ",",
    unlabelled: bool = False,
    labels: int | None = None,
) -> Dataset:
    """A table with one sample a row; every column but the labels' is a feature.

    `label` is the name of a column or its place (0 is the first, -1 the last, which is the
    default), or a sequence of them, or a text with commas between them; `labels=3` are the last
    three columns; with `unlabelled` there are none. `header=None` takes the first row as names if
    any of its features is no number. `task="auto"` is a classification where the labels are texts or
    whole numbers, and of several columns where all of them hold 0 or 1: a sample then has each
    label or not. Missing values are refused: DataError names the row, counted from 1 with the header,
    and the column.
    """
    path = Path(path)
    if task not in _TASKS:
        raise DataError(f"no task {task!r}; known: {', '.join(_TASKS)}")
    rows = _rows(path, delimiter)
    wanted = () if unlabelled else _wanted(path, label, labels, len(rows[0][1]))
    if header is None:
        header = _looks_like_names(rows[0][1], wanted)
    names = [cell.strip() for cell in rows.pop(0)[1]] if header else None
    if not rows:
        raise DataError(f"{path}: there are no rows of data")
    width = len(names) if names is not None else len(rows[0][1])
    for number, cells in rows:
        if len(cells) != width:
            raise DataError(f"{path}: row {number} has {len(cells)} columns, expected {width}")
    places = _places(path, wanted, names, width)
    titles = names or [f"column {i}" for i in range(width)]
    columns = [i for i in range(width) if i not in places]
    values = [[_number(path, n, titles[i], cells[i]) for i in columns] for n, cells in rows]
    X = np.array(values, np.float64).reshape(len(rows), len(columns))
    features = tuple(titles[i] for i in columns)
    if not places:
        return Dataset(path.name, X, None, None, features)
    if len(places) == 1:
        (place,) = places
        texts = [_present(path, n, titles[place], cells[place]) for n, cells in rows]
        y, classes = targets(texts, task, f"{path}: column {titles[place]}")
        return Dataset(path.name, X, y, classes, features)
    several = [[_number(path, n, titles[i], cells[i]) for i in places] for n, cells in rows]
    y = _several(path, np.array(several), task, [titles[i] for i in places], rows)
    return Dataset(path.name, X, y, None, features, tuple(titles[i] for i in places))


def _several(
    path: Path, y: Array, task: str, titles: list[str], rows: list[tuple[int, list[str]]]
) -> Array:
    """Targets of several columns: numbers, or 0 and 1 for labels that a sample has or not."""
    other = np.argwhere((y != 0) & (y != 1))
    if task == "classification" and len(other):
        row, column = other[0]
        raise DataError(
            f"{path}: row {rows[row][0]}, column {titles[column]}: {y[row, column]:g} is neither 0 "
            "nor 1; of several labels a sample has each or not"
        )
    return y if task == "regression" or len(other) else y.astype(np.int64)


def _rows(path: Path, delimiter: str) -> list[tuple[int, list[str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            found = [(i, r) for i, r in enumerate(csv.reader(stream, delimiter=delimiter), 1) if r]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: is no table in UTF-8 ({error})") from None
    if not found:
        raise DataError(f"{path}: is empty")
    return found


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _wanted(path: Path, label: Label, labels: int | None, width: int) -> tuple[str | int, ...]:
    """The columns of labels as they were given."""
    if labels is not None:
        if label is not None:
            raise DataError(f"{path}: give label or labels, not both")
        if not 1 <= labels < width:
            raise DataError(f"{path}: {labels} columns of labels; the table has {width} columns")
        return tuple(range(-labels, 0))
    if label is None:
        return (-1,)
    if isinstance(label, str | int):
        return (label,)
    return tuple(label)


def _looks_like_names(cells: list[str], labels: Sequence[str | int]) -> bool:
    """Whether a cell of the first row that is no label is a text."""
    parts = [part for label in labels for part in str(label).split(",")]
    if not all(_is_whole(part) for part in parts):
        return True
    places = {int(part) % len(cells) for part in parts}
    features = [cell for place, cell in enumerate(cells) if place not in places]
    return any(not _is_number(c) and c.strip().lower() not in _MISSING for c in features)


def _places(
    path: Path, labels: Sequence[str | int], names: list[str] | None, width: int
) -> tuple[int, ...]:
    """The places of the labels' columns, in the order in which they were given."""
    found: dict[int, None] = {}
    for label in labels:
        whole = not isinstance(label, str) or (names is not None and label in names)
        for part in [label] if whole else str(label).split(","):
            place = _place(path, part, names, width)
            if place in found:
                raise DataError(f"{path}: the column {part!r} is given twice")
            found[place] = None
    return tuple(found)


def _place(path: Path, label: str | int, names: list[str] | None, width: int) -> int:
    if isinstance(label, str) and names is not None and label in names:
        return names.index(label)
    try:
        place = int(label)
    except ValueError:
        known = ", ".join(names) if names else f"places 0 to {width - 1}; the table has no header"
        near = difflib.get_close_matches(str(label), names or (), 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise DataError(f"{path}: there is no column {label!r}; {hint}known: {known}") from None
    if not -width <= place < width:
        raise DataError(f"{path}: there is no column {place}; places are 0 to {width - 1}")
    return place % width


def _present(path: Path, row: int, column: str, text: str) -> str:
    if text.strip().lower() in _MISSING:
        raise DataError(
            f"{path}: row {row}, column {column}: missing value {text!r}; fill it or remove the row"
        )
    return text.strip()


def _number(path: Path, row: int, column: str, text: str) -> float:
    try:
        value = float(_present(path, row, column, text))
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: row {row}, column {column}: {text!r} is no number") from None
    if not math.isfinite(value):
        raise DataError(f"{path}: row {row}, column {column}: {text} is not finite")
    return value


def targets(
    texts: Sequence[str], task: str = "auto", where: str = "targets"
) -> tuple[Array, tuple[str, ...] | None]:
    """Labels 0, ..., K - 1 and the names of the classes, or floats and None."""
    whole = all(_is_whole(text) for text in texts)
    numbers = whole or all(_is_number(text) for text in texts)
    if task == "regression" or (task == "auto" and numbers and not whole):
        if not numbers:
            wrong = next(text for text in texts if not _is_number(text))
            raise DataError(f"{where}: {wrong!r} is no number; is this a classification?")
        return np.array([float(text) for text in texts]), None
    names: list[str] = sorted(set(texts), key=(lambda t: (float(t), t)) if numbers else None)
    index = {name: i for i, name in enumerate(names)}
    return np.array([index[text] for text in texts], np.int64), tuple(names)


def _is_whole(text: str) -> bool:
    return text.lstrip("+-").isdigit()


def read_npz(path: str | Path, task: str = "auto", unlabelled: bool = False) -> Dataset:
    """An archive with `X` (N, D) and `y`; members that are not compressed are mapped, not read.

    With `unlabelled` there need be no `y`. Objects are refused (`allow_pickle=False`). Labels are
    whole numbers 0, ..., K - 1.
    """
    path = Path(path)
    if task not in _TASKS:
        raise DataError(f"no task {task!r}; known: {', '.join(_TASKS)}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = archive.files
            for wanted in ("X",) if unlabelled else ("X", "y"):
                if wanted not in names:
                    raise DataError(
                        f"{path}: there is no array {wanted}; it holds {', '.join(names) or 'none'}"
                    )
            mapped = _mapped(path, "X")
            X = archive["X"] if mapped is None else mapped
            y = None if unlabelled else archive["y"]
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, AttributeError) as error:
        if isinstance(error, DataError | FileNotFoundError):
            raise
        raise DataError(f"{path}: is no whole npz archive of numbers ({error})") from None
    if X.dtype.kind not in "fiu":
        raise DataError(f"{path}: X holds {X.dtype}, expected numbers")
    if X.ndim > 2:
        X = X.reshape(len(X), -1)
    if y is None:
        return Dataset(path.name, X, None)
    if y.dtype.kind in "US":
        y, classes = targets([str(text) for text in y.astype(str)], task, f"{path}: y")
        return Dataset(path.name, X, y, classes)
    if y.dtype.kind not in "fiub":
        raise DataError(f"{path}: y holds {y.dtype}, expected numbers or texts")
    if task == "regression" or (task == "auto" and y.dtype.kind == "f"):
        return Dataset(path.name, X, y.astype(np.float64, copy=False))
    if y.ndim == 2 and np.isin(y, (0, 1)).all():
        return Dataset(path.name, X, y.astype(np.int64))
    return Dataset(path.name, X, *_labels(path, y))


def _labels(path: Path, y: Array) -> tuple[Array, tuple[str, ...]]:
    if y.ndim != 1:
        raise DataError(f"{path}: labels y have one axis, or two of 0 and 1; got shape {y.shape}")
    wrong = np.flatnonzero((y < 0) | (y != np.floor(y)))
    if len(wrong):
        raise DataError(f"{path}: y[{wrong[0]}] = {y[wrong[0]]}: labels are 0, 1, 2, ...")
    labels = y.astype(np.int64)
    count = int(labels.max()) + 1 if len(labels) else 0
    if count > max(2, len(labels)):
        raise DataError(f"{path}: label {count - 1} among {len(labels)} samples; is y a target of "
                        "a regression? then say so")  # fmt: skip
    return labels, tuple(str(i) for i in range(count))


def _mapped(path: Path, name: str) -> Array | None:
    """A stored member of an archive as a memory map; None where it is compressed."""
    with zipfile.ZipFile(path) as archive, path.open("rb") as stream:
        member = archive.getinfo(f"{name}.npy")
        if member.compress_type != zipfile.ZIP_STORED:
            return None
        stream.seek(member.header_offset + 26)
        name_length, extra_length = struct.unpack("<HH", stream.read(4))
        stream.seek(name_length + extra_length, 1)
        version = np.lib.format.read_magic(stream)
        readers: dict[tuple[int, int], Any] = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        if version not in readers:
            return None
        shape, fortran, dtype = readers[version](stream)
        if dtype.hasobject or 0 in shape:
            return None
        return np.memmap(path, dtype, "r", stream.tell(), shape, "F" if fortran else "C")
