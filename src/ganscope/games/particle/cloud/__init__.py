"""Particles against a discriminator that learns from samples: a network, or a kernel."""
