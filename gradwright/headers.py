"""Where the C++ headers lie, for programs that use the kernels without Python."""

from importlib.resources import files
from pathlib import Path


def include_directories() -> list[Path]:
    """Return the folders to give to a C++ compiler with ``-I``.

    The first holds the run-time headers (``#include <gradwright/runtime.hpp>``), the second the
    generated kernels (``#include <softmax.hpp>``). Both are header-only and need C++17.
    """
    return [
        Path(str(files("gradwright.include").joinpath("gradwright"))).parent,
        Path(str(files("gradwright.generated").joinpath("cpp"))),
    ]
