"""Generators as their kernels, predicted for wide networks and measured for real ones.

activations       Gaussian averages of activation functions
network_kernel    the tangent kernel of an infinitely wide network, its two numbers, and corrections to them
wide              a wide network to compare with
jax_activations   fast activation functions for JAX
empirical         the measured kernel of any generator
sketches          products of derivatives in bounded memory
"""
