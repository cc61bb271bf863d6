"""Where a report comes from: the script and its hash. Never a machine's paths."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..program import Program
from ..templates import relative_source


def script_path(program: Program) -> str:
    """Relative to the repository for its own scripts, else the file's name."""
    return relative_source(program) if Path(program.source).is_file() else "interactive session"


def script_hash(program: Program) -> str | None:
    """The SHA-256 of the script, None for what was never a file."""
    path = Path(program.source)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
