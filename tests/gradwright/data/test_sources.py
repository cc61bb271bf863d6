"""Built-in sets and `load`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gradwright.data import BUILT_IN, DataError, Dataset, load


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_same_seed_gives_the_same_bits(name: str) -> None:
    if name == "digits":
        pytest.importorskip("sklearn")
    options = {} if name == "digits" else {"seed": 3}
    first, second = load(name, **options), load(name, **options)
    np.testing.assert_array_equal(first.X, second.X)
    np.testing.assert_array_equal(first.y, second.y)
    assert np.isfinite(first.X).all()


def test_another_seed_gives_another_spiral() -> None:
    assert not np.array_equal(load("spiral", seed=1).X, load("spiral", seed=2).X)


def test_exclusive_or_has_four_corners() -> None:
    found = load("xor")
    assert found.y is not None
    assert [(*x, y) for x, y in zip(found.X.tolist(), found.y.tolist(), strict=True)] == [
        (0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("spirals", {}, "did you mean spiral"),
        ("nothing.csv", {}, "there is no such file"),
        ("something.parquet", {}, "built-in sets"),
        ("digits", {"seed": 1}, "option seed does not apply"),
        ("xor", {"label": "y"}, "option label does not apply; options: seed"),
        ("", {}, "neither MNIST"),
    ],
)
def test_what_cannot_be_loaded_is_said(
    source: str, options: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        load(source or tmp_path, **options)


def test_a_split_keeps_the_shares_of_the_classes() -> None:
    data = load("blobs", seed=0)
    train, test = data.split(0.25, seed=1)
    assert (len(train), len(test)) == (450, 150)
    assert test.y is not None
    assert np.bincount(test.y).tolist() == [50, 50, 50]
    together = np.sort(np.concatenate([train.X, test.X]), axis=0)
    np.testing.assert_array_equal(together, np.sort(data.X, axis=0))


def test_a_split_leaves_no_side_empty() -> None:
    data = Dataset("two", np.zeros((2, 1)), np.zeros(2))
    assert [len(part) for part in data.split(0.01)] == [1, 1]
    assert [len(part) for part in data.split(0.99)] == [1, 1]


def test_bytes_are_scaled_and_floats_are_not() -> None:
    data = Dataset("bytes", np.array([[0, 51, 255]], np.uint8), None).scaled()
    np.testing.assert_allclose(data.X, [[0, 0.2, 1]])
    assert data.X.dtype == np.float32
    assert Dataset("floats", np.array([[255.0]]), None).scaled().X.tolist() == [[255.0]]
