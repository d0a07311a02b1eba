r"""The limit of infinite dimension, compiled: the ODE of the macroscopic state for many parameter settings at once.

`drift` holds the formula; the kernel here is its specialisation for lanes, with a test that compares the two.
"""

import functools
from typing import Any

import numpy as np
from numba import carray  # type: ignore[attr-defined]

from ganscope.core.compiled import compiled, stack_doubles
from ganscope.dynamics.dormand_prince import integrator
from ganscope.games.solvable.drift import gauss_hermite
from ganscope.games.solvable.links import compiled_pair, norm_penalty
from ganscope.games.solvable.packing import (
    DATA_NOISE,
    DISCRIMINATOR_LR,
    GENERATOR_LR,
    GENERATOR_NOISE,
    LINK_BIAS,
    REGULARIZATION,
    VARIANCES,
    Layout,
)

LANES = 32


def _gaussian_moments(link: Any, side: int, lanes: int) -> Any:
    """Compiled `moments(spread, bias, slope, square)`: E f', E f^2 at s ~ N(0, spread), every lane."""
    if link == "quadratic":

        @compiled(inline=True, cache=False)
        def quadratic(spread, bias, slope, square):
            for lane in range(lanes):
                slope[lane] = 1.0
                square[lane] = spread[lane]

        return quadratic
    f = compiled_pair(link)[side]
    x, w = gauss_hermite()
    nodes, weights = tuple(x.tolist()), tuple(w.tolist())
    count = len(nodes)

    @compiled(inline=True, cache=False)
    def general(spread, bias, slope, square):
        for lane in range(lanes):
            slope[lane] = 0.0
            square[lane] = 0.0
        for n in range(count):
            for lane in range(lanes):
                s = np.sqrt(spread[lane]) * nodes[n]
                value = f(s, bias[lane])
                slope[lane] += weights[n] * value * s
                square[lane] += weights[n] * value * value
        for lane in range(lanes):
            slope[lane] = slope[lane] / spread[lane] if spread[lane] > 0.0 else 0.0

    return general


def rate_kernel(features: int, columns: int, hard: bool, link: str, lanes: int) -> Any:
    """Compiled drift of every lane, `rate(y, slopes, parameters)`, for Gaussian latents or a quadratic link."""
    at = Layout(features, columns)
    at_q, at_r, at_s, at_z = at.q, at.r, at.S, at.z
    real_moments = _gaussian_moments(link, 0, lanes)
    fake_moments = _gaussian_moments(link, 1, lanes)

    @compiled(inline=True, cache=False)
    def rate(y, slopes, p):
        spread = carray(stack_doubles(lanes), (lanes,))
        spread_fake = carray(stack_doubles(lanes), (lanes,))
        slope = carray(stack_doubles(lanes), (lanes,))
        slope_fake = carray(stack_doubles(lanes), (lanes,))
        square = carray(stack_doubles(lanes), (lanes,))
        square_fake = carray(stack_doubles(lanes), (lanes,))
        A = carray(stack_doubles(features), (features,))
        A_fake = carray(stack_doubles(columns), (columns,))
        damping = carray(stack_doubles(columns), (columns,))
        for lane in range(lanes):
            z = y[at_z, lane]
            total = p[DATA_NOISE, lane] * z
            for i in range(features):
                total += p[VARIANCES + i, lane] * y[at_q + i, lane] * y[at_q + i, lane]
            spread[lane] = total
            total = p[GENERATOR_NOISE, lane] * z
            for j in range(columns):
                total += p[VARIANCES + features + j, lane] * y[at_r + j, lane] * y[at_r + j, lane]
            spread_fake[lane] = total
        real_moments(spread, p[LINK_BIAS], slope, square)
        fake_moments(spread_fake, p[LINK_BIAS], slope_fake, square_fake)
        for lane in range(lanes):
            z = y[at_z, lane]
            tau, tau_g = p[DISCRIMINATOR_LR, lane], p[GENERATOR_LR, lane]
            data_noise, generator_noise = p[DATA_NOISE, lane], p[GENERATOR_NOISE, lane]
            gain = slope[lane] * spread[lane] - slope_fake[lane] * spread_fake[lane]
            diffusion = data_noise * square[lane] + generator_noise * square_fake[lane]
            for i in range(features):
                A[i] = slope[lane] * p[VARIANCES + i, lane] * y[at_q + i, lane]
            for j in range(columns):
                A_fake[j] = slope_fake[lane] * p[VARIANCES + features + j, lane] * y[at_r + j, lane]
                length = y[at_s + j * columns + j, lane]
                if hard:
                    damping[j] = y[at_r + j, lane] * A_fake[j] / length
                else:
                    damping[j] = p[REGULARIZATION, lane] * norm_penalty(length)
            shrink = (gain + 0.5 * tau * diffusion) / z if hard else p[REGULARIZATION, lane] * norm_penalty(z)
            decay = slope[lane] * data_noise - slope_fake[lane] * generator_noise - shrink
            for i in range(features):
                pull = A[i] + decay * y[at_q + i, lane]
                for j in range(columns):
                    overlap = y[i * columns + j, lane]
                    pull -= overlap * A_fake[j]
                    slopes[i * columns + j, lane] = tau_g * (y[at_q + i, lane] * A_fake[j] - overlap * damping[j])
                slopes[at_q + i, lane] = tau * pull
            for j in range(columns):
                pull = decay * y[at_r + j, lane]
                for i in range(features):
                    pull += y[i * columns + j, lane] * A[i]
                for m in range(columns):
                    pull -= y[at_s + j * columns + m, lane] * A_fake[m]
                    slopes[at_s + j * columns + m, lane] = tau_g * (
                        y[at_r + j, lane] * A_fake[m]
                        + A_fake[j] * y[at_r + m, lane]
                        - y[at_s + j * columns + m, lane] * (damping[j] + damping[m])
                    )
                slopes[at_r + j, lane] = tau * pull + tau_g * (z * A_fake[j] - damping[j] * y[at_r + j, lane])
                if hard:
                    slopes[at_s + j * columns + j, lane] = 0.0
            slopes[at_z, lane] = 0.0 if hard else 2.0 * tau * (gain - shrink * z) + tau * tau * diffusion

    return rate


@functools.cache
def ode_solver(features: int, columns: int, hard: bool, link: str, lanes: int) -> Any:
    """The compiled integrator of the macroscopic ODE; see `dynamics.dormand_prince.integrator`."""
    rate = rate_kernel(features, columns, hard, link, lanes)
    return integrator(rate, Layout(features, columns).size, VARIANCES + features + columns, lanes, cache=True)
