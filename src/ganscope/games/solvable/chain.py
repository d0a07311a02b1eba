r"""The exact finite-dimension chain of the macroscopic state: cost per step independent of the dimension.

One SGD step meets its isotropic noise only through a few projections, so (P, q, r, S, z) is itself a Markov chain.
With a the noise of the real sample and a_1 that of the fake, g = sqrt(eta_T) phi a - sqrt(eta_G) phi_1 a_1 is needed
along w, along U and V, and in length. Along w it is fixed by the two scalars that decide phi and phi_1. Orthogonal to
w both noises are fresh and independent of phi, phi_1, so they merge into one vector

    rho g_0,   rho^2 = eta_T phi^2 + eta_G phi_1^2,

whose projections are drawn from the geometry of [U V w], without a matrix root of the whole Gram matrix:

    U'g_0 = (I - alpha q q') y_U,             the symmetric root of I - q q'/z
    V'g_0 = P'U'g_0 - (r - P'q)(q'U'g_0)/omega^2 + L y_V,     omega^2 = z - |q|^2
    L L'  = S - P'P - (r - P'q)(r - P'q)'/omega^2
    |g_0|^2 = |y_U|^2 + |y_V|^2 + chi-square with dimension - 1 - features - columns degrees of freedom.

A direction that has no length (w inside the span of U, a singular S) contributes nothing to the projections, while
its coordinate stays in |g_0|^2; so the degrees of freedom need no correction for rank.

The kernel runs `lanes` chains side by side; one source is compiled for one lane and for many, and strict arithmetic
makes their bits equal.
"""

import functools
import math
from typing import Any

import numpy as np
from numba import carray  # type: ignore[attr-defined]

from ganscope.core.compiled import compiled, stack_doubles, stack_floats, stack_words
from ganscope.core.random import HIGH, K0, K1, LOW, RAW0, REJECTION, SCALAR_NOISE, box_muller, fill_tile, philox4x32
from ganscope.games.solvable.links import compiled_pair
from ganscope.games.solvable.packing import (
    DATA_NOISE,
    GENERATOR_NOISE,
    LINK_BIAS,
    VARIANCES,
    Layout,
)
from ganscope.games.solvable.step import Draws, latent_sampler, step_kernel

_u64 = np.uint64
_MASK = _u64(0xFFFFFFFF)

# Steps x lanes whose noise is drawn together: enough to fill the vector units.
_TILE = 32
LANES = 32


@compiled
def _log_acceptance(x, v, d):
    """Logarithm of Marsaglia and Tsang's acceptance probability for the proposal d v, v = (1 + c x)^3."""
    return 0.5 * x * x + d - d * v + d * math.log(v)


@compiled
def gamma_after_rejection(d, step, k0, k1):
    """A gamma(d + 1/3) variate, after the first proposal of this step was rejected."""
    c = 1.0 / math.sqrt(9.0 * d)
    low, high = _u64(step) & _MASK, _u64(step) >> _u64(32)
    for attempt in range(1000):
        x0, x1, x2, _ = philox4x32(attempt, REJECTION, low, high, k0, k1)
        x = np.float64(box_muller(x0, x1)[0])
        v = (1.0 + c * x) ** 3
        if v > 0.0 and math.log((np.float64(x2) + 0.5) * 2.0**-32) < _log_acceptance(x, v, d):
            return d * v
    return d


@functools.cache
def chain_kernel(features: int, columns: int, hard: bool, link: Any, latent: str, alternating: bool, lanes: int) -> Any:
    """The compiled chain for one structure: `kernel(x, parameters, keys, atoms, dimension, first, last, stops, out)`.

    `x` is the state `[size, lanes]`, updated in place from step `first` to step `last`; whenever the step number
    reaches the next entry of `stops`, the state is copied to `out[number of the stop]`, shape `[stops, size, lanes]`.
    `parameters` is `[rows, lanes]` (see `packing`), `keys` `[lanes, 2]`, `atoms` `[atoms, features]`.
    """
    layout = Layout(features, columns)
    at_q, at_r, at_s, at_z = layout.q, layout.r, layout.S, layout.z
    squares, elements = columns * columns, features * columns
    real_link, fake_link = compiled_pair(link)
    draws = Draws(features, columns, extra=features + columns + 1)
    sample = latent_sampler(features, columns, latent, draws)
    step = step_kernel(features, columns, hard, fake_link, alternating)
    s_at, u_at, blocks = draws.scalars, draws.extra, draws.blocks
    v_at, chi_at = u_at + features, u_at + features + columns
    tile, tile_steps = _TILE, _TILE // lanes

    @compiled(inline=True, cache=False)
    def draw(noise, words, chi, step, dimension):
        """The noise of `tile_steps` steps from `step` on: normals `[4 blocks, tile]`, chi-squares, a raw word."""
        for u in range(tile):
            words[LOW, u] = _u64(step + u // lanes) & _MASK
            words[HIGH, u] = _u64(step + u // lanes) >> _u64(32)
        for b in range(blocks):
            fill_tile(noise[4 * b : 4 * b + 4], words, b, SCALAR_NOISE)
        freedom = dimension - 1 - features - columns
        d = 0.5 * freedom - 1.0 / 3.0
        if freedom >= 2:
            c = 1.0 / math.sqrt(9.0 * d)
            unsure = 0
            for u in range(tile):
                x = np.float64(noise[chi_at, u])
                t = c * x
                v = (1.0 + t) * (1.0 + t) * (1.0 + t)
                chi[u] = 2.0 * d * v
                # The log of the acceptance probability is above -0.92 d t^4 for |t| <= 0.2.
                sure = abs(t) <= 0.2 and (np.float64(words[RAW0, u]) + 0.5) * 2.0**-32 < 1.0 - 0.92 * d * t * t * t * t
                unsure += 0 if sure else 1
            if unsure > 0:
                for u in range(tile):
                    x = np.float64(noise[chi_at, u])
                    v = (1.0 + c * x) * (1.0 + c * x) * (1.0 + c * x)
                    if v <= 0.0 or math.log((np.float64(words[RAW0, u]) + 0.5) * 2.0**-32) >= _log_acceptance(x, v, d):
                        chi[u] = 2.0 * gamma_after_rejection(d, step + u // lanes, words[K0, u], words[K1, u])
        else:
            for u in range(tile):
                chi[u] = freedom * np.float64(noise[chi_at, u]) ** 2

    @compiled(inline=True, cache=False)
    def advance(x, parameters, noise, words, chi, offset, atoms, dimension):
        """One step of every lane, with the noise that stands at `offset` of the tile."""
        P = carray(stack_doubles(elements), (features, columns))
        q = carray(stack_doubles(features), (features,))
        r = carray(stack_doubles(columns), (columns,))
        S = carray(stack_doubles(squares), (columns, columns))
        c = carray(stack_doubles(features), (features,))
        c1 = carray(stack_doubles(columns), (columns,))
        c2 = carray(stack_doubles(columns), (columns,))
        keep = carray(stack_doubles(columns), (columns,))
        give = carray(stack_doubles(columns), (columns,))
        gu = carray(stack_doubles(features), (features,))
        gv = carray(stack_doubles(columns), (columns,))
        off = carray(stack_doubles(columns), (columns,))
        L = carray(stack_doubles(squares), (columns, columns))
        new_q = carray(stack_doubles(features), (features,))
        new_r = carray(stack_doubles(columns), (columns,))
        for lane in range(lanes):
            u = offset + lane
            for i in range(features):
                q[i] = x[at_q + i, lane]
                for j in range(columns):
                    P[i, j] = x[i * columns + j, lane]
            for j in range(columns):
                r[j] = x[at_r + j, lane]
                for k in range(columns):
                    S[j, k] = x[at_s + j * columns + k, lane]
            z = x[at_z, lane]
            data_noise = parameters[DATA_NOISE, lane]
            generator_noise = parameters[GENERATOR_NOISE, lane]
            bias = parameters[LINK_BIAS, lane]

            # Samples: phi for the real one, phi_1 for the discriminator's fake.
            sample(c, c1, c2, noise, words, u, parameters, lane, atoms)
            cq = 0.0
            qq = 0.0
            for i in range(features):
                cq += c[i] * q[i]
                qq += q[i] * q[i]
            cr = 0.0
            for j in range(columns):
                cr += c1[j] * r[j]
            length = math.sqrt(z)
            s1 = np.float64(noise[s_at, u])
            s2 = np.float64(noise[s_at + 1, u])
            s3 = np.float64(noise[s_at + 2, u])
            root_data, root_fake = math.sqrt(data_noise), math.sqrt(generator_noise)
            phi = real_link(cq + root_data * length * s1, bias)
            phi1 = fake_link(cr + root_fake * length * s2, bias)

            # The noise g: along w, along U and V, and its squared length.
            gw = length * (root_data * phi * s1 - root_fake * phi1 * s2)
            rho2 = data_noise * phi * phi + generator_noise * phi1 * phi1
            rho = math.sqrt(rho2)
            cosine2 = qq / z
            sine = math.sqrt(max(1.0 - cosine2, 0.0))
            alpha = 1.0 / (z * (1.0 + sine))
            omega2 = z - qq
            inverse = 1.0 / omega2 if omega2 > 1e-14 * z else 0.0
            qy = 0.0
            size2 = chi[u]
            for i in range(features):
                y = np.float64(noise[u_at + i, u])
                qy += q[i] * y
                size2 += y * y
            qx = 0.0
            for i in range(features):
                gu[i] = np.float64(noise[u_at + i, u]) - alpha * q[i] * qy
                qx += q[i] * gu[i]
            for j in range(columns):
                pq = 0.0
                px = 0.0
                for i in range(features):
                    pq += P[i, j] * q[i]
                    px += P[i, j] * gu[i]
                off[j] = r[j] - pq
                gv[j] = px - off[j] * qx * inverse
            for j in range(columns):
                for k in range(j + 1):
                    gram = S[j, k] - off[j] * off[k] * inverse
                    for i in range(features):
                        gram -= P[i, j] * P[i, k]
                    for m in range(k):
                        gram -= L[j, m] * L[k, m]
                    if k < j:
                        L[j, k] = gram / L[k, k] if L[k, k] > 0.0 else 0.0
                    else:
                        L[j, j] = math.sqrt(gram) if gram > 1e-14 * S[j, j] else 0.0
            for j in range(columns):
                y = np.float64(noise[v_at + j, u])
                size2 += y * y
                for k in range(j + 1):
                    gv[j] += L[j, k] * np.float64(noise[v_at + k, u])
            for i in range(features):
                gu[i] = q[i] * gw / z + rho * gu[i]
            for j in range(columns):
                gv[j] = r[j] * gw / z + rho * gv[j]
            gg = gw * gw / z + rho2 * size2

            z, _, _ = step(
                P, q, r, S, z, c, c1, c2, gu, gv, gw, gg, phi, phi1, s3, root_fake, bias,
                parameters, lane, dimension, keep, give, L, new_q, new_r,
            )  # fmt: skip

            for i in range(features):
                x[at_q + i, lane] = q[i]
                for j in range(columns):
                    x[i * columns + j, lane] = P[i, j]
            for j in range(columns):
                x[at_r + j, lane] = r[j]
                for k in range(columns):
                    x[at_s + j * columns + k, lane] = S[j, k]
            x[at_z, lane] = z

    size, rows, noise_rows = layout.size, VARIANCES + features + columns, 4 * blocks
    state_count, rate_count, noise_count, word_count = size * lanes, rows * lanes, noise_rows * tile, 6 * tile

    def kernel(x, parameters, keys, atoms, dimension, first, last, stops, out):
        # Copies on the stack: LLVM then knows that nothing overlaps, and vectorises over the lanes.
        state = carray(stack_doubles(state_count), (size, lanes))
        rates = carray(stack_doubles(rate_count), (rows, lanes))
        noise = carray(stack_floats(noise_count), (noise_rows, tile))
        words = carray(stack_words(word_count), (6, tile))
        chi = carray(stack_doubles(tile), (tile,))
        for u in range(tile):
            words[K0, u] = keys[u % lanes, 0]
            words[K1, u] = keys[u % lanes, 1]
        state[:] = x
        rates[:] = parameters
        recorded = 0
        drawn = -1
        for step in range(first, last):
            group = step // tile_steps
            if group != drawn:
                draw(noise, words, chi, group * tile_steps, dimension)
                drawn = group
            advance(state, rates, noise, words, chi, (step - group * tile_steps) * lanes, atoms, dimension)
            if recorded < len(stops) and stops[recorded] == step + 1:
                out[recorded] = state
                recorded += 1
        x[:] = state

    return compiled(kernel, cache=isinstance(link, str))
