"""Errors on the command line: one message on standard error, and an exit status."""

from __future__ import annotations

import sys


class UsageError(Exception):
    """Options that do not fit together or a run folder that cannot be used: exit status 2."""


def fail(message: str, status: int = 2) -> int:
    print(f"error: {message}", file=sys.stderr)
    return status
