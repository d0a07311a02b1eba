"""Particles on a circle in front of a discriminator with a few frequencies: the exactly solvable particle GAN.

Where to look:

    model           the game: parameters, checks, and its run variables
    fourier         kernel, target and rates, wavenumber by wavenumber
    engine          compiled time steps
    simulation      the levels, starts, and level particles
    observables     what a run shows, and the verdict on it
    rest            the configuration that matches the target, where nothing moves
    linear          level linear, and eigenvalues
    wavenumbers     the modes of an evenly filled circle in closed form
    orbit, collapse the orbit of a cloud that has collapsed to a point, and whether it stays one
    prediction      what theory says
"""
