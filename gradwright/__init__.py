"""Batch matrix-form gradients of neural-network layers: derived, proved and emitted."""

__version__ = "0.1.0"
