"""The instructions that the compiled kernels use.

A portable build holds the kernels for three levels of x86-64, each in a folder of its own. When
``gradwright`` is imported, the folder of the best level that the processor has joins the package;
the environment variable GRADWRIGHT_INSTRUCTIONS names another one. Other builds hold one kind: "native"
instructions of the machine that built, or the "baseline" of an architecture.

>>> from gradwright import instructions
>>> instructions.name()            # doctest: +SKIP
'x86-64-v3'
>>> instructions.available()       # doctest: +SKIP
['x86-64-v3', 'x86-64-v2']
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

VARIABLE = "GRADWRIGHT_INSTRUCTIONS"
LEVELS = ("x86-64-v4", "x86-64-v3", "x86-64-v2")


def name() -> str:
    """What runs: a level of x86-64, "native" or "baseline"; "none" without compiled kernels for this machine."""
    return _chosen or "none"


def available() -> list[str]:
    """What can be chosen on this machine, best first."""
    return list(_available)


def choose(available: Sequence[str], wanted: str | None) -> str | None:
    """The wanted instructions, or the best there are.

    Raises:
        ImportError: the wanted ones are not there, or the processor lacks them.
    """
    if wanted and wanted not in available:
        there = ", ".join(available) or "none"
        raise ImportError(f"{VARIABLE} is {wanted!r}; this build has, for this processor: {there}")
    return wanted or next(iter(available), None)


def folders(path: Iterable[str]) -> list[str]:
    """The folders with the kernels of the chosen level, for the path of the package."""
    return [] if _chosen not in LEVELS else [str(f) for f in _folders(path, _chosen)]


def _folders(path: Iterable[str], level: str) -> list[Path]:
    places = (Path(entry, "_" + level.replace("-", "_")) for entry in path)
    return [place for place in places if any(place.glob("_kernels*"))]


def _find(path: Iterable[str]) -> list[str]:
    try:
        from gradwright import _processor
    except ImportError:  # nothing is compiled
        return []
    if _processor.built != "levels":
        return [_processor.built]
    entries = list(path)
    return [level for level in _processor.levels() if _folders(entries, level)]


def _package_path() -> list[str]:
    import gradwright

    return list(gradwright.__path__)


_available = _find(_package_path())
_chosen = choose(_available, os.environ.get(VARIABLE))
