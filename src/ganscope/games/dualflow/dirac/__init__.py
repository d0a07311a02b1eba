"""The Dirac-GAN: one point against a line."""
