"""The mathematics: forward definitions only, one short script for each family of layers."""
