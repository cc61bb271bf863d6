"""Derive time: notation, derivation, proof, simplification, lowering, emission and reports."""
