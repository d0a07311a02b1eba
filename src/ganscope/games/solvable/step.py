r"""One SGD step on the macroscopic state, shared by every stochastic level.

Given the samples' latents c, c_1, c_2 and scalars phi, phi_1, and the noise g through its products with U, V, w and
itself, the new overlaps follow exactly, for every dimension:

    w'   = shrink w + rate (phi U c - phi_1 V c_1 + g)
    V'_j = damp_j V_j + generator_rate phi_2 c_2j w        (alternating: w' in place of w)

followed in hard mode by normalising w' and each column of V'. The chain draws the products from their law; `sgd`
computes them from the weights.
"""

import math
from typing import Any

import numpy as np

from ganscope.core.compiled import compiled
from ganscope.core.random import RAW1
from ganscope.games.solvable.links import norm_penalty
from ganscope.games.solvable.packing import DISCRIMINATOR_LR, GENERATOR_LR, REGULARIZATION, VARIANCES

_u64 = np.uint64


class Draws:
    """Order of the normals of one step: latents of the real and the two fake samples, then three scalars along w."""

    def __init__(self, features: int, columns: int, extra: int) -> None:
        self.real, self.fake, self.generator_fake = 0, features, features + columns
        self.scalars = features + 2 * columns
        self.extra = self.scalars + 3
        normals = self.extra + extra
        self.blocks = (normals + 1) // 2 * 2 // 4 + 1  # an even number of normals and two raw words


def latent_sampler(features: int, columns: int, latent: str, draws: Draws) -> Any:
    """Compiled `sample(c, c1, c2, noise, words, u, parameters, lane, atoms)`: fills the latents from column `u`."""
    rademacher, empirical = latent == "rademacher", latent == "empirical"
    real_at, fake_at, generator_at = draws.real, draws.fake, draws.generator_fake

    @compiled(inline=True, cache=False)
    def scaled(variance, normal):
        n = np.float64(normal)
        return math.sqrt(variance) * (math.copysign(1.0, n) if rademacher else n)

    @compiled(inline=True, cache=False)
    def sample(c, c1, c2, noise, words, u, parameters, lane, atoms):
        if empirical:
            row = np.int64((words[RAW1, u] * _u64(len(atoms))) >> _u64(32))
            for i in range(features):
                c[i] = atoms[row, i]
        else:
            for i in range(features):
                c[i] = scaled(parameters[VARIANCES + i, lane], noise[real_at + i, u])
        for j in range(columns):
            variance = parameters[VARIANCES + features + j, lane]
            c1[j] = scaled(variance, noise[fake_at + j, u])
            c2[j] = scaled(variance, noise[generator_at + j, u])

    return sample


def step_kernel(features: int, columns: int, hard: bool, fake_link: Any, alternating: bool) -> Any:
    """Compiled `step(...)`: overlaps P, q, r, S in place; returns (z, shrink, scale).

    On return V'_j = keep_j V_j + give_j w_seen and w' = scale (shrink w + rate (...)). `work` is `[columns, columns]`,
    `new_q` and `new_r` are work vectors.
    """

    @compiled(inline=True, cache=False)
    def step(
        P, q, r, S, z, c, c1, c2, gu, gv, gw, gg, phi, phi1, s3, root_fake, bias,
        parameters, lane, dimension, keep, give, work, new_q, new_r,
    ):  # fmt: skip
        rate = parameters[DISCRIMINATOR_LR, lane] / dimension
        generator_rate = parameters[GENERATOR_LR, lane] / dimension
        cq = 0.0
        for i in range(features):
            cq += c[i] * q[i]
        cr = 0.0
        for j in range(columns):
            cr += c1[j] * r[j]

        # Discriminator.
        shrink = 1.0
        if not hard:
            shrink = 1.0 - rate * parameters[REGULARIZATION, lane] * norm_penalty(z)
        for i in range(features):
            pc = 0.0
            for j in range(columns):
                pc += P[i, j] * c1[j]
            new_q[i] = shrink * q[i] + rate * (phi * c[i] - phi1 * pc + gu[i])
        for j in range(columns):
            pc = 0.0
            for i in range(features):
                pc += P[i, j] * c[i]
            sc = 0.0
            for k in range(columns):
                sc += S[j, k] * c1[k]
            new_r[j] = shrink * r[j] + rate * (phi * pc - phi1 * sc + gv[j])
        mixed_z = shrink * z + rate * (phi * cq - phi1 * cr + gw)  # w'w'
        cq2 = 0.0
        cg = 0.0
        for i in range(features):
            cq2 += c[i] * new_q[i]
            cg += c[i] * gu[i]
        cr2 = 0.0
        cg1 = 0.0
        for j in range(columns):
            cr2 += c1[j] * new_r[j]
            cg1 += c1[j] * gv[j]
        new_gw = shrink * gw + rate * (phi * cg - phi1 * cg1 + gg)
        new_z = shrink * mixed_z + rate * (phi * cq2 - phi1 * cr2 + new_gw)

        # Generator; alternating sees the new discriminator, before it is normalised.
        cr = 0.0
        for j in range(columns):
            cr += c2[j] * (new_r[j] if alternating else r[j])
        seen_z = new_z if alternating else z
        phi2 = fake_link(cr + root_fake * math.sqrt(seen_z) * s3, bias)
        for j in range(columns):
            give[j] = generator_rate * phi2 * c2[j]
            keep[j] = 1.0
            if not hard:
                keep[j] = 1.0 - generator_rate * parameters[REGULARIZATION, lane] * norm_penalty(S[j, j])
        for j in range(columns):
            for i in range(features):
                P[i, j] = keep[j] * P[i, j] + (new_q[i] if alternating else q[i]) * give[j]
        for j in range(columns):
            rj = keep[j] * (new_r[j] if alternating else r[j])
            for k in range(columns):
                rk = keep[k] * (new_r[k] if alternating else r[k])
                work[j, k] = keep[j] * keep[k] * S[j, k] + rj * give[k] + give[j] * rk + seen_z * give[j] * give[k]
        for j in range(columns):
            new_r[j] = keep[j] * new_r[j] + (new_z if alternating else mixed_z) * give[j]

        # The constraint: unit discriminator, unit columns.
        scale = 1.0
        if hard:
            scale = 1.0 / math.sqrt(new_z)
            new_z = 1.0
            for i in range(features):
                new_q[i] *= scale
            for j in range(columns):
                new_r[j] *= scale
            for j in range(columns):
                norm = 1.0 / math.sqrt(work[j, j])
                new_r[j] *= norm
                keep[j] *= norm
                give[j] *= norm
                for i in range(features):
                    P[i, j] *= norm
                for k in range(columns):
                    S[j, k] = work[j, k] * norm / math.sqrt(work[k, k])
            for j in range(columns):
                S[j, j] = 1.0
        else:
            for j in range(columns):
                for k in range(columns):
                    S[j, k] = work[j, k]
        for i in range(features):
            q[i] = new_q[i]
        for j in range(columns):
            r[j] = new_r[j]
        return new_z, shrink, scale

    return step
