"""Integrators and update rules shared by games."""
