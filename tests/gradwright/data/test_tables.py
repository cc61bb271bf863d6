"""Tables: what is read, and what is refused with row and column."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradwright.data import DataError, load, read_csv, read_npz


def table(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("a,b,kind\n1,2,cat\n3,4,dog\n5,6,cat\n", "kind"),
        ("a,b,kind\n1,2,cat\n3,4,dog\n5,6,cat\n", None),
        ("1,2,cat\n3,4,dog\n5,6,cat\n", None),
        ("cat,1,2\ndog,3,4\ncat,5,6\n", 0),
        ("\ufeffkind,a,b\ncat,1,2\n\ndog,3,4\ncat,5,6\n", "kind"),
    ],
)
def test_header_and_label_are_found_by_name_or_place(
    tmp_path: Path, text: str, label: str | int | None
) -> None:
    found = read_csv(table(tmp_path, text), label)
    assert found.X.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert found.y is not None
    assert found.y.tolist() == [0, 1, 0]
    assert found.classes == ("cat", "dog")


def test_whole_numbers_are_labels_and_fractions_a_regression(tmp_path: Path) -> None:
    labelled = read_csv(table(tmp_path, "1,10\n2,9\n3,10\n"))
    assert labelled.classes == ("9", "10")
    assert labelled.y is not None
    assert labelled.y.tolist() == [1, 0, 1]
    fractions = read_csv(table(tmp_path, "1,10\n2,9.5\n"))
    assert fractions.classes is None
    whole = read_csv(table(tmp_path, "1,10\n2,9\n"), task="regression")
    assert whole.y is not None
    assert whole.y.tolist() == [10.0, 9.0]


@pytest.mark.parametrize(
    "options",
    [{"label": ["p", "q"]}, {"label": "p,q"}, {"label": [1, -1]}, {"label": "1,2"}, {"labels": 2}],
)
def test_several_columns_are_targets_by_name_place_or_count(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    found = read_csv(table(tmp_path, "a,p,q\n1,2.5,3\n4,5,6\n"), **options)
    assert found.features == ("a",)
    assert found.targets == ("p", "q")
    assert found.classes is None
    assert not found.has_several_labels
    assert found.y is not None
    assert found.y.tolist() == [[2.5, 3], [5, 6]]


def test_targets_keep_the_order_in_which_they_are_named(tmp_path: Path) -> None:
    found = read_csv(table(tmp_path, "a,p,q\n1,2.5,3\n"), "q,p")
    assert found.targets == ("q", "p")
    assert found.y is not None
    assert found.y.tolist() == [[3, 2.5]]


def test_several_columns_of_0_and_1_are_labels_a_sample_has_or_not(tmp_path: Path) -> None:
    path = table(tmp_path, "1,0,1\n2,1,1\n")
    found = read_csv(path, labels=2)
    assert found.has_several_labels
    assert found.outputs == 2
    assert found.scaled().y is not None
    assert found.scaled().y.tolist() == [[0, 1], [1, 1]]  # type: ignore[union-attr]
    assert not read_csv(path, labels=2, task="regression").has_several_labels


def test_a_column_whose_name_has_a_comma_is_one_column(tmp_path: Path) -> None:
    found = read_csv(table(tmp_path, 'a,"p,q"\n1,2\n3,4\n'), "p,q")
    assert found.features == ("a",)
    assert found.classes == ("2", "4")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,b,y\n1,,0\n", {}, "row 2, column b: missing value"),
        ("a,b,y\n1,2,0\n1,NaN,0\n", {}, "row 3, column b: missing value"),
        ("a,b,y\n1,2,?\n", {}, "row 2, column y: missing value"),
        ("a,b,y\n1,x,0\n", {}, "row 2, column b: 'x' is no number"),
        ("a,b,y\n1,inf,0\n", {}, "row 2, column b: inf is not finite"),
        ("a,b,y\n1,2\n", {}, "row 2 has 2 columns, expected 3"),
        ("a,b,y\n1,2,0\n3,4,", {}, "row 3, column y: missing value"),
        ("a,b,y\n1,2,0\n3,", {}, "row 3 has 2 columns, expected 3"),
        ("a,b,y\n1,2,0\n", {"label": "z"}, "no column 'z'; known: a, b, y"),
        ("1,2,0\n", {"label": 3}, "no column 3"),
        ("1,2,0\n", {"label": "y", "header": False}, "has no header"),
        ("a,b,y\n", {}, "no rows of data"),
        ("", {}, "is empty"),
        ("1,2,cat\n", {"task": "regression"}, "'cat' is no number"),
        ("1,2,cat\n", {"task": "clustering"}, "no task 'clustering'"),
        ("a,b,y\n1,2,0\n", {"label": ["b", "b"]}, "'b' is given twice"),
        ("a,b,price\n1,2,0\n", {"label": ["b", "prize"]}, "did you mean 'price'"),
        ("a,b,y\n1,2,0\n", {"labels": 3}, "3 columns of labels; the table has 3"),
        ("a,b,y\n1,2,0\n", {"labels": 0}, "0 columns of labels"),
        ("a,b,y\n1,2,0\n", {"label": "y", "labels": 1}, "label or labels, not both"),
        ("a,p,q\n1,0,2\n", {"labels": 2, "task": "classification"}, "row 2, column q: 2 is neither"),
        ("a,p,q\n1,0,x\n", {"labels": 2}, "row 2, column q: 'x' is no number"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(
    tmp_path: Path, text: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_csv(table(tmp_path, text), **options)  # type: ignore[arg-type]


def test_a_picture_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_bytes(b"\x89PNG\r\n\xff\xfe")
    with pytest.raises(DataError, match="no table in UTF-8"):
        read_csv(tmp_path / "table.csv")


X = np.arange(12, dtype=np.float32).reshape(4, 3)
Y = np.array([0, 2, 1, 0])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_archives_are_read_and_mapped_where_they_are_not_compressed(
    tmp_path: Path, save: Callable[..., None]
) -> None:
    save(tmp_path / "data.npz", other=np.ones(7), X=X, y=Y)
    found = read_npz(tmp_path / "data.npz")
    np.testing.assert_array_equal(found.X, X)
    assert found.classes == ("0", "1", "2")
    assert isinstance(found.X, np.memmap) == (save is np.savez)


def test_targets_of_an_archive_may_be_floats_or_texts(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=X, y=np.ones((4, 2)))
    assert load(tmp_path / "a.npz").outputs == 2
    np.savez(tmp_path / "a.npz", X=X, y=np.array([[0, 1], [1, 1], [0, 0], [1, 0]]))
    assert load(tmp_path / "a.npz").has_several_labels
    np.savez(tmp_path / "a.npz", X=X, y=np.array(["no", "yes", "no", "no"]))
    assert load(tmp_path / "a.npz").classes == ("no", "yes")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": X}, "no array y; it holds X"),
        ({"X": X, "y": np.array([0, -1, 0, 0])}, r"y\[1\] = -1"),
        ({"X": X, "y": Y[:3]}, "4 samples, but 3 targets"),
        ({"X": X, "y": np.array([0, 1, 0, 50000])}, "label 50000 among 4"),
        ({"X": np.array([[object()]]), "y": Y[:1]}, "no whole npz archive"),
        ({"X": np.array([["a"]]), "y": Y[:1]}, "expected numbers"),
    ],
)
def test_an_archive_that_cannot_be_used_is_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=message):
        read_npz(tmp_path / "a.npz")


def test_an_archive_cut_short_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=X, y=Y)
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:-30])
    with pytest.raises(DataError, match="no whole npz archive"):
        read_npz(tmp_path / "a.npz")
