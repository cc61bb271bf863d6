"""Where a report comes from: the script and its hash. Never a machine's paths."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from ..templates import relative_source


def script_path(definition: Any) -> str:
    """Relative to the repository for its own scripts, else the file's name."""
    is_file = Path(definition.source).is_file()
    return relative_source(definition) if is_file else "interactive session"


def script_hash(definition: Any) -> str | None:
    """The SHA-256 of the script, None for what was never a file."""
    path = Path(definition.source)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
