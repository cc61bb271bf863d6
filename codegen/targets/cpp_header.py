"""The functions of a layer's C++ header, before they are laid out as text."""

from __future__ import annotations

from dataclasses import dataclass

from ..routine import Kernel
from .cpp_context import RESERVED
from .cpp_function import Function
from .cpp_routine import write
from .cpp_scalar import ScalarFunctions


@dataclass(frozen=True)
class Header:
    """The functions of a layer's header."""

    functions: tuple[str, ...]
    forward: Function
    backward: Function


def header(kernel: Kernel) -> Header:
    """Both routines of a layer as C++ functions, and the scalar functions they call."""
    inputs = {i.name for i in kernel.program.inputs} | {"forward", "backward", "detail"}
    functions = ScalarFunctions(frozenset(inputs | RESERVED))
    forward = write(kernel, kernel.forward, functions)
    backward = write(kernel, kernel.backward, functions)
    return Header(tuple(functions.sources()), forward, backward)
