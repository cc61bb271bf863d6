"""What generated files depend on: scripts, generator, templates and library versions.

Imports nothing heavy: a second `make derive` compares hashes and is done.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Iterable
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

# What the reports of whole networks share with `gradwright explain`.
_RUN_TIME = ("composition.py", "explain.py", "kernels.py", "memory.py", "specification.py")


def derivation_folder() -> Path:
    """The folder of the scripts that come with Gradwright."""
    import gradwright.derivations

    return Path(next(iter(gradwright.derivations.__path__)))


def built_in_scripts() -> list[Path]:
    return sorted(p for p in derivation_folder().glob("*.py") if p.name != "__init__.py")


def input_hashes(scripts: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of every script, generator module and template, and the versions of libraries."""
    import gradwright.codegen
    import gradwright.templates

    hashes = {f"scripts/{p.name}": _hash(p) for p in sorted(scripts)}
    for title, package in (("codegen", gradwright.codegen), ("templates", gradwright.templates)):
        root = Path(next(iter(package.__path__)))
        for path in sorted(root.rglob("*")):
            if path.is_file() and path.suffix in (".py", ".j2", ".css", ".html", ".svg"):
                hashes[f"{title}/{path.relative_to(root).as_posix()}"] = _hash(path)
    for name in _RUN_TIME:
        hashes[f"gradwright/{name}"] = _hash(files("gradwright") / name)
    for library in ("sympy", "mpmath", "jinja2"):
        hashes[library] = importlib.metadata.version(library)
    return hashes


def _hash(path: Path | Traversable) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
