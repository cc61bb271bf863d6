"""Truly sparse layers: where their weights are, and how those places move while training."""

from gradwright.sparse.dynamic import GradualPruning, Rewiring
from gradwright.sparse.supports import (
    Support,
    blocks,
    erdos_renyi,
    from_csr,
    from_mask,
    largest,
    n_of_m,
    uniform,
)

__all__ = [
    "GradualPruning",
    "Rewiring",
    "Support",
    "blocks",
    "erdos_renyi",
    "from_csr",
    "from_mask",
    "largest",
    "n_of_m",
    "uniform",
]
