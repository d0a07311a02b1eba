"""Sweeps: phase diagrams."""
