"""A report of a diagnosis as `Diagnosis.to_dict()` gives it, made by hand: the pages can be tested without a GAN."""

import numpy as np


def pairs(values):
    return [[float(v.real), float(v.imag)] for v in values]


def diagnosis_example(modes=24, history=True, verified=True):
    """An oscillating GAN on a ring of eight with momentum and hardly any gradient penalty."""
    rng = np.random.default_rng(3)
    sigma = 0.42 * np.exp(-np.arange(modes) / 6.0)
    friction = 0.05 * sigma**0.5 * rng.uniform(0.2, 2.0, modes) + 0.002
    damping = friction / (2 * sigma)
    offsets = -friction / 2 + np.emath.sqrt((friction / 2) ** 2 - sigma**2)
    virtual = np.concatenate([1 + offsets, 1 + offsets.conj(), [-1.03, 0.5, 0.48 + 0.02j, 0.48 - 0.02j]])
    full = np.concatenate([virtual[:-4] + rng.normal(0, 0.02, 2 * modes) + 0.01, [-1.12, 1.07, 12.3, 0.45, 0.52]])
    gammas = [0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0]
    radius = 1.005
    wander = [0.62, 0.6, 0.55, 0.43, 0.21, 0.06, 0.031, 0.09, 1e9]
    cost = [0.9, 0.85, 0.7, 0.4, 0.18, 0.072, 0.064, 0.12, 1e9]
    angles = rng.integers(0, 8, 256) * np.pi / 4
    real = np.stack([np.cos(angles), np.sin(angles)], 1) + rng.normal(0, 0.1, (256, 2))
    angles = rng.choice([0, 1, 2, 3, 7], 256) * np.pi / 4
    fake = 0.85 * np.stack([np.cos(angles), np.sin(angles)], 1) + rng.normal(0, 0.16, (256, 2))
    readings = [
        {"iteration": k, "score": s, "margin": float(np.log(0.1 / s)), "predicted_wander": s, "observed_wander": None}
        for k, s in ((20, 0.3), (100, 0.24), (200, 0.31), (400, 0.43))
    ]
    advised = 3 * radius**2
    return {
        "version": "0.1.0",
        "game": {
            "backend": "torch",
            "generator_parameters": 1570,
            "discriminator_parameters": 1273,
            "rule": {
                "order": "alternating",
                "discriminator_steps": 2,
                "generator": {
                    "kind": "adam",
                    "learning_rate": 1e-3,
                    "beta1": 0.5,
                    "beta2": 0.99,
                    "eps": 1e-8,
                    "step": 400,
                },
                "discriminator": {"kind": "momentum", "learning_rate": [1e-3, 4e-3], "momentum": 0.9},
            },
            "gradient_penalty": 0.1,
            "gradient_penalty_full_convention": 0.05,
            "data_radius": radius,
            "train_batch_size": 128,
            "iteration": 400,
        },
        "probes": [
            {"id": "T1", "trap": "fakes detached from the generator", "status": "ok", "message": ""},
            {
                "id": "T3",
                "trap": "batch normalisation",
                "status": "warning",
                "message": "samples of a batch are coupled: measured with batches of 128 & 512",
            },
            {"id": "T11", "trap": "young Adam state", "status": "skipped", "message": "state is 400 steps old"},
        ],
        "assumptions": [
            "stationarity: signal-to-noise 0.31, near-stationary",
            "the preconditioner stays as it is at the checkpoint",
            "minibatches of 128 <script>alert('x')</script>",
        ],
        "spectrum": {
            "sigma": sigma.tolist(),
            "friction": friction.tolist(),
            "damping_ratio": damping.tolist(),
            "multipliers_virtual": pairs(virtual),
            "multipliers_full": pairs(full),
            "radius_virtual": 1.03,
            "radius_full": 12.3,
            "rightmost": [],
            "batches": [],
            "period": 15.0,
            "growth": 0.998,
        },
        "prediction": {
            "predicted_wander": {"min": 0.38, "median": 0.43, "max": 0.47},
            "particle_wander": 0.61,
            "growth_virtual": 0.998,
            "signal_to_noise": 0.31,
            "observed_wander": None,
        },
        "verdict": {
            "outcome": "oscillating",
            "detail": "limit_cycle",
            "score": 0.43,
            "margin": float(np.log(0.1 / 0.43)),
            "confidence": 0.92,
            "confidence_source": "prototype suite",
            "leaning": "oscillating",
            "near_critical": False,
            "reasons": ["the score 0.43 is above 0.2", "all three batches agree on the side of the limit"],
            "risk": "collapse risk low (unvalidated)",
            "baselines": {"persistence": None, "hyper_parameters": None},
        },
        "what_if": [
            {
                "setting": {"gradient_penalty": 1.0},
                "predicted_wander": 0.06,
                "horizon_cost": 0.072,
                "status": "predicted",
                "note": "",
            },
            {
                "setting": {"beta1": 0.0, "learning_rate": 0.002},
                "predicted_wander": 0.22,
                "horizon_cost": 0.3,
                "status": "estimate",
                "note": "local linear estimate, unverified",
            },
            {
                "setting": {"batch_size": 512},
                "predicted_wander": "inf",
                "horizon_cost": "nan",
                "status": "unvalidated",
                "note": "",
            },
        ],
        "gamma_sweep": {
            "gamma": [g * radius**2 for g in gammas],
            "gamma_over_r2": gammas,
            "predicted_wander": wander,
            "horizon_cost": cost,
            "given": 0.1,
            "advised": advised,
            "advised_unclipped": advised,
            "clip": [0.3 * radius**2, 10 * radius**2],
        },
        "advice": [
            {
                "parameter": "gradient_penalty",
                "value": advised,
                "value_full_convention": advised / 2,
                "unclipped": advised,
                "why": "it has the smallest horizon cost, 0.064 against 0.40 as it is",
                "wording": "will",
                "verification": "confirmed" if verified else "not verified",
            },
            {
                "parameter": "beta1",
                "value": 0.0,
                "value_full_convention": None,
                "unclipped": None,
                "why": "memory needs a minimum of friction",
                "wording": "try",
                "verification": "not verified",
            },
        ],
        "verification": {
            "twin": {
                "passed": True,
                "predicted": [0.998, 0.41],
                "observed": [0.995, 0.405],
                "residual": 3e-9,
                "horizon": 12,
            },
            "forks": {
                "iterations": 400,
                "seeds": 2,
                "verdict": "confirmed",
                "arms": [
                    {"name": "given", "gradient_penalty": 0.1, "scores": [0.22, 0.31], "outcome": "oscillating"},
                    {"name": "advised", "gradient_penalty": advised, "scores": [0.05, 0.06], "outcome": "converged"},
                    {
                        "name": "reference",
                        "gradient_penalty": radius**2,
                        "scores": [0.07, "inf"],
                        "outcome": "diverged",
                    },
                ],
            },
        }
        if verified
        else {"twin": None, "forks": None},
        "kernel": {
            "same_kernel": 1.9,
            "cross_kernel": 0.3,
            "coupling": 6.3,
            "coupling_robust": 5.8,
            "preconditioned": True,
            "risk": "low",
            "laplacian": -0.4,
            "relative_growth": 0.1,
        },
        "samples": {
            "knn_coverage": 0.63,
            "density": 0.8,
            "spread": 0.71,
            "effective_rank": 0.97,
            "energy_distance": 0.14,
            "soft_coverage": None,
            "collapsed": False,
            "real": real.tolist(),
            "fake": fake.tolist(),
        },
        "history": readings if history else [],
        "cost": {"seconds": 0.41, "compile_seconds": 5.2, "velocity_evaluations": 780, "iterations_equivalent": 1400},
        "provenance": {"seed": 0, "settings": {"modes": modes, "batch_size": 512, "threshold": 0.1, "horizon": 1024}},
    }
