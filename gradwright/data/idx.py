"""The IDX format of the MNIST files, plain or compressed by gzip.

Source of the format: LeCun, Cortes and Burges, "The MNIST database of handwritten digits". A header
of two zero bytes, the code of the type, the number of axes and their big-endian lengths; then
the entries, big-endian, the last axis fastest.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from .dataset import Array, DataError, Dataset

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_PARTS = {"train": "train", "test": "t10k"}


def read_idx(path: str | Path) -> Array:
    """The array of an IDX file; mapped into memory, not read, unless it is compressed.

    Raises DataError for a wrong magic number, a file cut short and bytes beyond the end.
    """
    path = Path(path)
    compressed = path.suffix == ".gz"
    content = _unpacked(path) if compressed else None
    header = content[:1028] if content is not None else _head(path)
    length = len(content) if content is not None else path.stat().st_size
    dtype, shape, offset = _header(path, header)
    wanted = offset + math.prod(shape) * dtype.itemsize
    if length != wanted:
        what = "is cut short" if length < wanted else "is too long"
        raise DataError(
            f"{path}: {what}: {length} bytes, but shape {shape} takes {wanted}; fetch it again"
        )
    if content is not None:
        return np.frombuffer(content, dtype, offset=offset).reshape(shape)
    if math.prod(shape) == 0:
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, "r", offset, shape)


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(1028)


def _unpacked(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes())
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: is no whole gzip file ({error}); fetch it again") from None


def _header(path: Path, head: bytes) -> tuple[np.dtype[np.generic], tuple[int, ...], int]:
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _TYPES or head[3] == 0:
        hint = "; it is gzip: name it .gz" if head[:2] == b"\x1f\x8b" else ""
        raise DataError(f"{path}: is no IDX file: its first bytes are {head[:4].hex(' ')}{hint}")
    offset = 4 + 4 * head[3]
    if len(head) < offset:
        raise DataError(f"{path}: is cut short within its header; fetch it again")
    shape = tuple(int(n) for n in np.frombuffer(head, ">u4", head[3], 4))
    return np.dtype(_TYPES[head[2]]), shape, offset


def read_mnist(folder: str | Path, part: str = "train") -> Dataset:
    """The images and labels of a folder with the four MNIST files, gzip or not.

    `part` is "train" or "test". X is (N, rows * columns) of bytes, y (N,) of labels 0 to 9.
    """
    folder = Path(folder)
    if part not in _PARTS:
        raise DataError(f"no part {part!r}; known: {', '.join(_PARTS)}")
    images_path = _find(folder, f"{_PARTS[part]}-images", "idx3-ubyte")
    labels_path = _find(folder, f"{_PARTS[part]}-labels", "idx1-ubyte")
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim != 3 or images.dtype != np.uint8:
        raise DataError(f"{images_path}: holds no images of bytes, but {_what(images)}")
    if labels.ndim != 1 or labels.dtype != np.uint8:
        raise DataError(f"{labels_path}: holds no labels, but {_what(labels)}")
    if len(images) != len(labels):
        raise DataError(f"{folder}: {len(images)} images, but {len(labels)} labels")
    X = images.reshape(len(images), -1) if len(images) else np.empty((0, 784), np.uint8)
    classes = tuple(str(digit) for digit in range(10))
    return Dataset(f"{folder.name}/{part}", X, labels.astype(np.int64), classes)


def _what(array: Array) -> str:
    return f"{array.dtype} of shape {array.shape}"


def _find(folder: Path, stem: str, kind: str) -> Path:
    for name in (f"{stem}-{kind}", f"{stem}.{kind}"):
        for suffix in ("", ".gz"):
            if (folder / f"{name}{suffix}").is_file():
                return folder / f"{name}{suffix}"
    raise DataError(f"{folder}: there is no {stem}-{kind} or {stem}-{kind}.gz in it")
