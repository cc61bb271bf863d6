"""The errors of derive time: what was wrong, where, and what to do next."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches


class GradwrightError(Exception):
    """Base of every error Gradwright raises while deriving."""


class NotationError(GradwrightError):
    """A derivation script that cannot be read."""


class ShapeError(NotationError):
    """Shapes that do not fit; the message names both and the remedy."""


class UnsupportedPrimitive(NotationError):
    """An operation without a definition or a gradient rule."""


class ProofFailure(GradwrightError):
    """Two expressions that should be equal are not; carries a counterexample."""


class StabilityError(GradwrightError):
    """A kernel that would not be finite where its function is."""


class DriftError(GradwrightError):
    """The checked-in output differs from what the scripts produce."""


class KernelFailure(GradwrightError):
    """An emitted kernel that is too far from the exact value, or breaks a promise at an edge."""


def unknown_layer(name: str, known: Collection[str]) -> NotationError:
    """The error for a name that no script defines, with the nearest known one."""
    nearest = get_close_matches(name, known, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"known: {', '.join(known)}"
    return NotationError(f"no layer is named {name}; {hint}")
