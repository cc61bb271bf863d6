"""Optimizers: update rules as definitions, theorems about them, proofs, checks and emission."""

from .derivation import OptimizerDerivation, derive_optimizer
from .rule import Optimizer

__all__ = ["Optimizer", "OptimizerDerivation", "derive_optimizer"]
