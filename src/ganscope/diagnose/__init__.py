"""A user's own GAN, in PyTorch or JAX: what it will do next, why, what to change, and the evidence.

Where to look:

    real_game, rule, training    what the user hands over, and what training it means
    backend                      what both libraries have to answer, in NumPy
    jax_functions, torch_modules the two libraries
    probes, torch_modules.probes what could falsify a diagnosis
    instruments                  rotation modes, the reduced game, update maps, full spectrum, generator's kernel
    theory                       the virtual equilibrium, what-ifs, advice, the verdict, its calibration
    samples                      collapse, wander so far, what became of a run
    evidence                     twin forks and forked races
    monitoring                   the callback for training loops
    diagnose, diagnosis, settings  the product

Predictions are made in whitened coordinates, where learning rates and preconditioners are part of the Jacobian.
"""
