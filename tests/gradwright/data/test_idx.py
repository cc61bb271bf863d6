"""The readers of MNIST's format, on small files made here."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from gradwright.data import DataError, load, read_idx, read_mnist


def idx(array: np.ndarray, code: int = 0x08) -> bytes:
    axes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, code, array.ndim]) + axes + array.tobytes()


IMAGES = np.arange(5 * 2 * 3, dtype=np.uint8).reshape(5, 2, 3)
LABELS = np.array([3, 1, 4, 1, 5], np.uint8)


@pytest.fixture(params=["", ".gz"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    pack = gzip.compress if request.param else bytes
    for part in ("train", "t10k"):
        (tmp_path / f"{part}-images-idx3-ubyte{request.param}").write_bytes(pack(idx(IMAGES)))
        (tmp_path / f"{part}-labels-idx1-ubyte{request.param}").write_bytes(pack(idx(LABELS)))
    return tmp_path


@pytest.mark.parametrize("part", ["train", "test"])
def test_mnist_is_read_plain_and_compressed(folder: Path, part: str) -> None:
    found = read_mnist(folder, part)
    assert found.X.tolist() == IMAGES.reshape(5, 6).tolist()
    assert found.y is not None
    assert found.y.tolist() == LABELS.tolist()
    assert found.outputs == 10
    assert load(folder, part=part).X.tolist() == found.X.tolist()


def test_a_plain_file_is_mapped_into_memory(tmp_path: Path) -> None:
    (tmp_path / "images").write_bytes(idx(IMAGES))
    assert isinstance(read_idx(tmp_path / "images"), np.memmap)


def test_numbers_of_several_bytes_are_big_endian(tmp_path: Path) -> None:
    values = np.array([[1.5, -2.0]])
    (tmp_path / "doubles").write_bytes(idx(values.astype(">f8"), 0x0E))
    assert read_idx(tmp_path / "doubles").tolist() == values.tolist()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx(IMAGES)[:-1], "is cut short"),
        (idx(IMAGES)[:6], "within its header"),
        (idx(IMAGES) + b"\0", "is too long"),
        (b"\1" + idx(IMAGES)[1:], "is no IDX file"),
        (idx(IMAGES, 0x07), "is no IDX file"),
        (gzip.compress(idx(IMAGES), mtime=0), "name it .gz"),
        (b"", "is no IDX file"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "images").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_idx(tmp_path / "images")


def test_a_compressed_file_cut_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images.gz").write_bytes(gzip.compress(idx(IMAGES))[:-9])
    with pytest.raises(DataError, match="no whole gzip"):
        read_idx(tmp_path / "images.gz")


def test_counts_that_disagree_and_labels_out_of_range_are_named(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    labels = tmp_path / "train-labels-idx1-ubyte"
    labels.write_bytes(idx(LABELS[:4]))
    with pytest.raises(DataError, match="5 images, but 4 labels"):
        read_mnist(tmp_path)
    labels.write_bytes(idx(np.array([0, 10, 0, 0, 0], np.uint8)))
    with pytest.raises(DataError, match="label 10 in row 1"):
        read_mnist(tmp_path)
    labels.write_bytes(idx(IMAGES))
    with pytest.raises(DataError, match="holds no labels"):
        read_mnist(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    with pytest.raises(DataError, match="train-labels-idx1-ubyte"):
        read_mnist(tmp_path)
