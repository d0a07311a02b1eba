"""Linearisation and spectra, written for all games."""
