"""The BLAS behind the C++ kernels can be replaced while a program runs."""

from collections.abc import Iterator
from ctypes.util import find_library
from pathlib import Path

import pytest

from gradwright import _kernels, blas


@pytest.fixture(autouse=True)
def bundled_again() -> Iterator[None]:
    yield
    blas.use(None)


def test_the_bundled_library_is_named() -> None:
    expected = "OpenBLAS " if _kernels.bundled_blas else "own loops"
    assert blas.name().startswith(expected)


def test_a_shared_library_takes_the_place_of_the_bundled_one() -> None:
    library = Path(pytest.importorskip("scipy_openblas32").get_lib_dir(), "libscipy_openblas.so")
    blas.use(library)
    assert blas.name() == "libscipy_openblas.so"
    blas.use(None)
    assert blas.name() != "libscipy_openblas.so"


def test_the_blas_inside_scipy_can_be_used() -> None:
    pytest.importorskip("scipy")
    blas.use("scipy")
    assert blas.name() == "scipy"


def test_a_missing_library_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    before = blas.name()
    with pytest.raises(OSError, match="no-such-blas"):
        blas.use(tmp_path / "no-such-blas.so")
    assert blas.name() == before


def test_a_library_without_the_two_functions_is_refused_and_changes_nothing() -> None:
    library = find_library("m")
    assert library is not None
    before = blas.name()
    with pytest.raises(ValueError, match="exports no sgemm_"):
        blas.use(library)
    assert blas.name() == before
