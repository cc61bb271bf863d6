"""Where a report comes from: the script, its hash, the id of the proof. Never a machine's paths."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol


class _Keyed(Protocol):
    @property
    def key(self) -> str: ...


def script_path(source: str) -> str:
    """Relative to the repository for its own scripts, else the file's name."""
    path = Path(source)
    if path.parent.name == "derivations":
        return f"derivations/{path.name}"
    return path.name if path.is_file() else "an interactive session"


def script_hash(source: str) -> str | None:
    """The SHA-256 of the script, None for what was never a file."""
    path = Path(source)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def proof_id(gradients: Iterable[tuple[str, _Keyed]]) -> str:
    """The SHA-256 of the index normal forms that route B derived for every size."""
    lines = [f"D{name} = {form.key}\n" for name, form in gradients]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
