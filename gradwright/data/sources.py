"""Any data set by one name: a built-in set, a file or a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from .cifar import read_cifar10, read_cifar10_binary
from .dataset import DataError, Dataset
from .idx import read_mnist
from .tables import read_csv, read_npz
from .toy import blobs, digits, sine, spiral, xor

BUILT_IN: Mapping[str, Callable[..., Dataset]] = {
    "digits": digits, "blobs": blobs, "spiral": spiral, "xor": xor, "sine": sine,
}  # fmt: skip
_OPTIONS = {
    "digits": (), "blobs": ("seed",), "spiral": ("seed",), "xor": ("seed",), "sine": ("seed",),
    ".csv": ("label", "labels", "header", "task", "delimiter", "unlabelled"),
    ".npz": ("task", "unlabelled"), ".bin": (),
    "folder": ("part",),
}  # fmt: skip


def load(source: str | Path, **options: Any) -> Dataset:
    """A built-in set, `file.csv`, `file.npz`, `batch.bin`, or a folder with MNIST or CIFAR-10.

    Options: those of `read_csv` and of `read_npz`, `part="test"` for a folder, `seed` for made sets.
    One that does not apply to the source is refused.
    """
    name, path = str(source), Path(source)
    kind = name if name in BUILT_IN else "folder" if path.is_dir() else path.suffix.lower()
    if kind not in _OPTIONS:
        raise DataError(_unknown(name, path))
    if kind not in BUILT_IN and not path.exists():
        raise DataError(f"{path}: there is no such file")
    given = {key: value for key, value in options.items() if value is not None}
    for key in given:
        if key not in _OPTIONS[kind]:
            allowed = ", ".join(_OPTIONS[kind]) or "none"
            raise DataError(f"{name}: the option {key} does not apply; options: {allowed}")
    readers: Mapping[str, Callable[..., Dataset]] = {
        **BUILT_IN, ".csv": read_csv, ".npz": read_npz, ".bin": read_cifar10_binary,
        "folder": _folder,
    }  # fmt: skip
    return readers[kind](**given) if kind in BUILT_IN else readers[kind](path, **given)


def _folder(path: Path, part: str = "train") -> Dataset:
    names = {p.name for p in path.iterdir()}
    if any(name.startswith(("train-", "t10k-")) for name in names):
        return read_mnist(path, part)
    if any(name.startswith(("data_batch_", "test_batch")) for name in names):
        return read_cifar10(path, part)
    raise DataError(
        f"{path}: holds neither MNIST (train-images-idx3-ubyte, ...) nor CIFAR-10 "
        "(data_batch_1.bin or data_batch_1, ...)"
    )


def _unknown(name: str, path: Path) -> str:
    if path.exists():
        return f"{path}: files are read if they end in .csv, .npz or .bin; folders hold MNIST or CIFAR-10"
    near = get_close_matches(name, BUILT_IN, 1)
    hint = f"; did you mean {near[0]}?" if near else f"; built-in sets: {', '.join(BUILT_IN)}"
    return f"no data set {name!r}{hint}"
