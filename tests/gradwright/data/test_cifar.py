"""CIFAR-10's two formats; the pickled one is read without running it."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from gradwright.data import DataError, load, read_cifar10_binary, read_cifar10_python, read_pickle

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 3072), dtype=np.uint8)
LABELS = [6, 9, 0]


def old_text(text: bytes) -> bytes:
    return b"U" + bytes([len(text)]) + text


def batch_of_python_2(pixels: np.ndarray = PIXELS, labels: list[int] = LABELS) -> bytes:
    """What Python 2 with NumPy 1 wrote: protocol 2, texts as bytes, names of old modules."""
    rows, columns = pixels.shape
    dtype = (
        b"cnumpy\ndtype\n(" + old_text(b"u1") + b"K\x00K\x01tR(K\x03" + old_text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )  # fmt: skip
    shape = b"(M" + struct.pack("<H", rows) + b"M" + struct.pack("<H", columns) + b"t"
    content = b"T" + struct.pack("<i", pixels.size) + pixels.tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + old_text(b"b")
        + b"tR(K\x01" + shape + dtype + b"\x89" + content + b"tb"
    )  # fmt: skip
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    items = old_text(b"data") + b"q\x01" + array + old_text(b"labels") + numbers
    return b"\x80\x02}q\x00(" + items + b"u."


def test_a_batch_of_python_2_is_read(tmp_path: Path) -> None:
    (tmp_path / "data_batch_1").write_bytes(batch_of_python_2())
    found = read_cifar10_python(tmp_path / "data_batch_1")
    np.testing.assert_array_equal(found.X, PIXELS)
    assert found.y is not None
    assert found.y.tolist() == LABELS
    assert found.classes is not None
    assert found.classes[6] == "frog"


def test_what_we_read_is_what_pickle_reads(tmp_path: Path) -> None:
    content = batch_of_python_2()
    (tmp_path / "batch").write_bytes(content)
    found = read_pickle(tmp_path / "batch")
    wanted = pickle.loads(content, encoding="bytes")  # noqa: S301 - made above
    assert found[b"labels"] == wanted[b"labels"]
    np.testing.assert_array_equal(found[b"data"], wanted[b"data"])


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_plain_data_of_every_protocol_are_read(tmp_path: Path, protocol: int) -> None:
    data = {"a": [1, -70000, 2.5, None, True], "b": (1, "x", (2, 3, 4, 5)), 7: 1 << 70}
    (tmp_path / "data").write_bytes(pickle.dumps(data, protocol))
    assert read_pickle(tmp_path / "data") == data


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_arrays_of_numbers_are_read(tmp_path: Path, protocol: int) -> None:
    for array in (np.arange(6.0).reshape(2, 3), np.arange(4, dtype=">i2"), np.eye(3).T[:, :2]):
        (tmp_path / "data").write_bytes(pickle.dumps([array], protocol))
        np.testing.assert_array_equal(read_pickle(tmp_path / "data")[0], array)


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return print, ("this must not be printed",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps(Evil()), "print is refused"),
        (pickle.dumps(Evil(), 0), "print is refused"),
        (b"cos\nsystem\n(S'true'\ntR.", "os.system is refused"),
        (pickle.dumps(np.array([Evil()], object)), "is refused"),
        (b"(S'true'\nios\nsystem\n.", "INST is refused"),
        (b"\x80\x02cnumpy\ndtype\n(U\x02O8K\x00K\x01tR.", "only plain numbers"),
        (batch_of_python_2()[:-20], "is no whole pickle"),
        (b"", "is no whole pickle"),
        (b"not a pickle", "is no whole pickle"),
        (b"(((((.", "name where a value|no whole pickle"),
        (b"\x80\x02cnumpy\nndarray\n.", "name where a value"),
    ],
)
def test_what_is_not_plain_data_is_refused(
    tmp_path: Path, content: bytes, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "batch").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_pickle(tmp_path / "batch")
    assert capsys.readouterr().out == ""


def test_tuples_that_share_their_parts_take_no_exponential_time(tmp_path: Path) -> None:
    shared: tuple[object, ...] = ()
    for _ in range(60):
        shared = (shared, shared)
    (tmp_path / "data").write_bytes(pickle.dumps(shared))
    assert len(read_pickle(tmp_path / "data")) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps([1], 2), "holds no dictionary"),
        (pickle.dumps({"labels": [1]}, 2), "there is no `data`"),
        (batch_of_python_2(PIXELS[:, :3000]), "3000 columns"),
        (batch_of_python_2(labels=[1]), "3 samples, but 1 targets"),
        (batch_of_python_2(labels=[1, 10, 2]), "label 10 in row 1"),
    ],
)
def test_a_batch_that_is_none_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "batch").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_cifar10_python(tmp_path / "batch")


def records(labels: list[int]) -> bytes:
    return b"".join(bytes([n]) + row.tobytes() for n, row in zip(labels, PIXELS, strict=True))


def test_binary_records_are_mapped(tmp_path: Path) -> None:
    (tmp_path / "data_batch_1.bin").write_bytes(records(LABELS))
    found = read_cifar10_binary(tmp_path / "data_batch_1.bin")
    np.testing.assert_array_equal(found.X, PIXELS)
    assert isinstance(found.X, np.memmap)
    assert found.y is not None
    assert found.y.tolist() == LABELS


def test_a_folder_is_all_its_batches(tmp_path: Path) -> None:
    (tmp_path / "data_batch_1.bin").write_bytes(records(LABELS))
    (tmp_path / "data_batch_2").write_bytes(batch_of_python_2())
    (tmp_path / "test_batch").write_bytes(batch_of_python_2())
    assert load(tmp_path).X.shape == (6, 3072)
    assert load(tmp_path, part="test").X.shape == (3, 3072)


def test_binary_records_cut_short_or_mislabelled_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(records(LABELS)[:-1])
    with pytest.raises(DataError, match="no whole number of records"):
        read_cifar10_binary(path)
    path.write_bytes(records([1, 2, 11]))
    with pytest.raises(DataError, match="label 11 in row 2"):
        read_cifar10_binary(path)
