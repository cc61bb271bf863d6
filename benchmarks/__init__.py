"""Peers side by side in one run: medians, ratios, and the machine's own limits."""
