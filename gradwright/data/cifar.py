"""CIFAR-10, as binary records or as Python batches.

Source of the formats: Krizhevsky, "The CIFAR-10 dataset". A binary record is one byte of label and
3072 bytes of pixels: red, green, blue, each 32 x 32 by rows. A Python batch is a pickle with
`data` (N, 3072) and `labels`; it is read without running it, see `pickled`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .dataset import Array, DataError, Dataset
from .pickled import read_pickle

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_PIXELS = 3072
_RECORD = np.dtype([("label", "u1"), ("pixels", "u1", (_PIXELS,))])
_BATCHES = {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)}


def read_cifar10(folder: str | Path, part: str = "train") -> Dataset:
    """All batches of a folder, binary or Python. X is (N, 3072) of bytes, y labels 0 to 9."""
    folder = Path(folder)
    if part not in _BATCHES:
        raise DataError(f"no part {part!r}; known: {', '.join(_BATCHES)}")
    found = [_read(folder, name) for name in _BATCHES[part] if _exists(folder, name)]
    if not found:
        raise DataError(f"{folder}: there is no {_BATCHES[part][0]}.bin or {_BATCHES[part][0]} in it")
    images, labels = zip(*((d.X, d.y) for d in found), strict=True)
    X = images[0] if len(images) == 1 else np.concatenate(images)
    return Dataset(f"{folder.name}/{part}", X, np.concatenate(labels), CLASSES)


def _exists(folder: Path, name: str) -> bool:
    return (folder / f"{name}.bin").is_file() or (folder / name).is_file()


def _read(folder: Path, name: str) -> Dataset:
    binary = folder / f"{name}.bin"
    return read_cifar10_binary(binary) if binary.is_file() else read_cifar10_python(folder / name)


def read_cifar10_binary(path: str | Path) -> Dataset:
    """One binary batch, mapped into memory: the pixels are read when they are used."""
    path = Path(path)
    size = path.stat().st_size
    if size % _RECORD.itemsize:
        raise DataError(
            f"{path}: {size} bytes are no whole number of records of {_RECORD.itemsize}; the file "
            "is cut short or no CIFAR-10 batch"
        )
    records: Any = np.memmap(path, _RECORD, "r") if size else np.empty(0, _RECORD)
    return Dataset(path.name, records["pixels"], records["label"].astype(np.int64), CLASSES)


def read_cifar10_python(path: str | Path) -> Dataset:
    """One Python batch. Raises DataError where `data` or `labels` are not what they should be."""
    path = Path(path)
    content = read_pickle(path)
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds no dictionary; is it a CIFAR-10 batch?")
    pixels, labels = (_entry(path, content, key) for key in ("data", "labels"))
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 2:
        raise DataError(f"{path}: `data` is no matrix of bytes")
    if pixels.shape[1] != _PIXELS:
        raise DataError(f"{path}: `data` has {pixels.shape[1]} columns, expected {_PIXELS}")
    return Dataset(path.name, pixels, _labels(path, labels), CLASSES)


def _entry(path: Path, content: dict[Any, Any], key: str) -> Any:
    for spelled in (key.encode(), key):
        if spelled in content:
            return content[spelled]
    raise DataError(f"{path}: there is no `{key}` in it; is it a CIFAR-10 batch?")


def _labels(path: Path, labels: Any) -> Array:
    whole = isinstance(labels, list) and all(type(label) is int for label in labels)
    if not whole:
        raise DataError(f"{path}: `labels` is no list of whole numbers")
    return np.array(labels, np.int64)
