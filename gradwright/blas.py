"""The BLAS behind the dense products of the C++ kernels.

The wheel brings OpenBLAS. Another library, such as Intel MKL or the OpenBLAS inside SciPy, can take
its place while a program runs:

>>> from gradwright import blas
>>> blas.use("/path/to/libmkl_rt.so.2")    # doctest: +SKIP
>>> blas.name()                            # doctest: +SKIP
'libmkl_rt.so.2'
>>> blas.use(None)                         # back to the bundled OpenBLAS   # doctest: +SKIP

Only the Fortran functions ``sgemm`` and ``dgemm`` with 32-bit integers are called, through function
pointers. The kernels cut the work into slices and call the library from several threads at once, so
it has to be thread-safe and runs sequentially: its thread count is set to one.
"""

import ctypes
import os
from pathlib import Path

from gradwright import _kernels

_PREFIXES_AND_SUFFIXES = (("", "_"), ("scipy_", "_"), ("", ""))
_SET_THREADS = (
    "openblas_set_num_threads",
    "scipy_openblas_set_num_threads",
    "MKL_Set_Num_Threads",
    "bli_thread_set_num_threads",
)

_libraries: dict[str, ctypes.CDLL] = {}  # a library in use must never be unloaded
_chosen: str | None = None


def name() -> str:
    """Return the BLAS in use: a library's file name, the bundled OpenBLAS, or ``"own loops"``."""
    bundled: str = _kernels.bundled_blas or "own loops"
    return _chosen or " ".join(bundled.split()[:2])


def use(library: str | os.PathLike[str] | None) -> None:
    """Call the BLAS in a shared library from now on, in the whole process.

    Args:
        library: path of a shared library that exports ``sgemm_`` and ``dgemm_`` (32-bit integers),
            ``"scipy"`` for the one inside SciPy, or ``None`` for the BLAS bundled with the wheel
            (loops of our own where it was built without one).

    Raises:
        OSError: the library cannot be loaded.
        ValueError: the library lacks the two functions, or uses 64-bit integers.
        ImportError: ``"scipy"`` was asked for and SciPy is not installed.
    """
    global _chosen
    if library is None:
        _kernels.use_bundled_blas()
        _chosen = None
    elif library == "scipy":
        _kernels.set_blas(_scipy_address("sgemm"), _scipy_address("dgemm"))
        _chosen = "scipy"
    else:
        handle = _load(os.fspath(library))
        _kernels.set_blas(_address(handle, "sgemm"), _address(handle, "dgemm"))
        _chosen = Path(library).name


def _load(path: str) -> ctypes.CDLL:
    handle = _libraries.setdefault(path, ctypes.CDLL(path))
    if any(hasattr(handle, symbol) for symbol in ("sgemm_64_", "scipy_sgemm_64_")):
        raise ValueError(f"{path}: uses 64-bit integers; give the build with 32-bit ones (LP64)")
    for function in _SET_THREADS:
        if hasattr(handle, function):
            getattr(handle, function)(1)
    return handle


def _address(handle: ctypes.CDLL, function: str) -> int:
    for prefix, suffix in _PREFIXES_AND_SUFFIXES:
        symbol = f"{prefix}{function}{suffix}"
        if hasattr(handle, symbol):
            return ctypes.cast(getattr(handle, symbol), ctypes.c_void_p).value or 0
    raise ValueError(f"{handle._name}: exports no {function}_; is it a BLAS with 32-bit integers?")


def _scipy_address(function: str) -> int:
    from scipy.linalg import cython_blas

    capsule = cython_blas.__pyx_capi__[function]
    get_name = ctypes.pythonapi.PyCapsule_GetName
    get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    signature = get_name(capsule)
    if b"int *" not in signature:
        raise ValueError(f"scipy: {function} uses 64-bit integers: {signature.decode()}")
    address: int = get_pointer(capsule, signature)
    return address
