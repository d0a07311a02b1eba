"""A user's own GAN, in PyTorch or JAX: what it will do next, why, what to change, and the evidence.

Where to look:

    what the user hands over     real_game, rule, jax_adapter, torch_adapter, torch_checkpoint
    the libraries, in NumPy      backend; jax_backend, jax_programs, jax_training; torch_backend, torch_*
    what could falsify it        probes, torch_probes
    instruments                  rotation, measure, measurement, mode_damping, update_map; full_spectrum, arnoldi,
                                 generator_kernel
    theory                       virtual (predicted wander), what_if, advice, verdict, calibration, assumptions
    the run itself               samples, sample_statistics, history, present_state, observed, training_runs
    evidence                     twin, frozen_batch, races
    the product                  diagnose, diagnosis, settings, monitor, reading

Predictions are made in whitened coordinates, where learning rates and preconditioners are part of the Jacobian.
"""
