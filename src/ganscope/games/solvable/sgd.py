r"""Every weight: online SGD of the solvable model at finite dimension, one fresh noise vector and one pass per step.

Three reductions, exact in law for isotropic Gaussian noise, replace the three noise vectors of the literal algorithm:

1. the generator's fake enters only through its product with w, one scalar;
2. the noises of the real and the first fake sample along w are two scalars, and orthogonal to w they merge into one
   vector of strength sqrt(eta_T phi^2 + eta_G phi_1^2) (see `chain`);
3. the overlaps after a step follow from those before it and from the products of the noise with U, V, w and itself
   (see `step`), which the pass that applies the previous step accumulates on its way.

Weights and noise are float32; products are summed in float32 over blocks and in float64 across them. Increments are
added in one rounding, so that they are not lost against the weights; beyond `FLOAT64_DIMENSION` weights are float64.
The overlaps are measured anew from the weights every `MEASURE_EVERY` steps.
"""

import functools
import math
from typing import Any

import numpy as np
from numba import carray  # type: ignore[attr-defined]

from ganscope.core.compiled import compiled, stack_doubles, stack_floats, stack_words
from ganscope.core.random import HIGH, K0, K1, LOW, SCALAR_NOISE, VECTOR_NOISE, fill_normals, fill_tile
from ganscope.games.solvable.links import compiled_pair
from ganscope.games.solvable.packing import DATA_NOISE, DISCRIMINATOR_LR, GENERATOR_NOISE, LINK_BIAS, Layout
from ganscope.games.solvable.step import Draws, latent_sampler, step_kernel

_u64 = np.uint64
_MASK = _u64(0xFFFFFFFF)

# Coordinates that are worked on together, small enough for the first-level cache; a multiple of 64.
_BLOCK = 1024
_TILE = 32
MEASURE_EVERY = 64
FLOAT64_DIMENSION = 2_000_000

_REASSOCIATE = {"reassoc", "contract", "nsz", "arcp"}


@compiled(fastmath=_REASSOCIATE)
def _product(a, b):
    total = a.dtype.type(0)
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


def _pass_kernel(features: int, columns: int, alternating: bool, stack: Any) -> Any:
    """Compiled `apply(weights, g, fresh, start, c, e, keep, give, a, d, scale, along)` for one block of coordinates.

    Applies the step w' = (1 + scale)(w + a w + d g + sum c U + sum e V), V'_j = (1 + keep_j) V_j + give_j w (the
    bracket of w' when alternating), replaces the noise g by `fresh`, and adds its products with U, V', w' and itself
    to `along`.
    """
    rows, last_row = features + columns + 2, features + columns

    @compiled(inline=True, cache=False, fastmath=_REASSOCIATE)
    def apply(weights, g, fresh, start, stop, c, e, keep, give, a, d, scale, along):
        total = carray(stack(rows), (rows,))
        v = carray(stack(columns), (columns,))
        zero = a - a
        for k in range(rows):
            total[k] = zero
        for i in range(stop - start):
            at = np.uintp(start + i)  # unsigned: no check for negative indices stands in the way of vectors
            w = weights[last_row, at]
            new_g = fresh[i]
            moved = a * w + d * g[at]
            g[at] = new_g
            for k in range(features):
                u = weights[k, at]
                moved += c[k] * u
                total[k] += new_g * u
            for j in range(columns):
                v[j] = weights[features + j, at]
                moved += e[j] * v[j]
            seen = w + moved if alternating else w
            new_w = w + (moved + scale * (w + moved))
            for j in range(columns):
                new_v = v[j] + (keep[j] * v[j] + give[j] * seen)
                weights[features + j, at] = new_v
                total[features + j] += new_g * new_v
            weights[last_row, at] = new_w
            total[last_row] += new_g * new_w
            total[last_row + 1] += new_g * new_g
        for k in range(rows):
            along[k] += np.float64(total[k])

    return apply


@compiled
def measure(weights, features, columns, x):
    """Overlaps of the weights `[features + columns + 1, dimension]` (rows U, V, w) into the packed state `x`."""
    n = weights.shape[1]
    last = features + columns
    at = 0
    for a in range(last + 1):
        for b in range(last + 1):
            if a < features <= b < last:
                at = a * columns + (b - features)
            elif a < features and b == last:
                at = features * columns + a
            elif features <= a < last and b == last:
                at = features * columns + features + (a - features)
            elif features <= a < last and features <= b < last:
                at = features * columns + features + columns + (a - features) * columns + (b - features)
            elif a == last and b == last:
                at = features * columns + features + columns + columns * columns
            else:
                continue
            total = 0.0
            for start in range(0, n, _BLOCK):
                total += np.float64(_product(weights[a, start : start + _BLOCK], weights[b, start : start + _BLOCK]))
            x[at] = total


@functools.cache
def sgd_kernel(
    features: int, columns: int, hard: bool, link: Any, latent: str, alternating: bool, double: bool = False
) -> Any:
    """Compiled `kernel(weights, parameters, key, atoms, first, last, stops, out, kept)` for one run.

    `weights` `[features + columns + 1, dimension]`, rows U, V, w, is updated in place from step `first`, a multiple of
    `MEASURE_EVERY`, to `last`; it is float32, or float64 with `double`. `parameters` is `[rows, 1]`, `key` `[2]`.
    Whenever the step number reaches the next entry of `stops`, the packed overlaps go to `out[number of the stop]`,
    and V and w to `kept` unless that is empty.
    """
    at = Layout(features, columns)
    at_q, at_r, at_s, at_z, size = at.q, at.r, at.S, at.z, at.size
    squares, elements, last_row = columns * columns, features * columns, features + columns
    real_link, fake_link = compiled_pair(link)
    draws = Draws(features, columns, extra=0)
    sample = latent_sampler(features, columns, latent, draws)
    products, stack = features + columns + 2, stack_doubles if double else stack_floats
    apply = _pass_kernel(features, columns, alternating, stack)
    advance = step_kernel(features, columns, hard, fake_link, alternating)
    s_at, blocks = draws.scalars, draws.blocks
    noise_rows, noise_count, word_count = 4 * blocks, 4 * blocks * _TILE, 6 * _TILE

    def kernel(weights, parameters, key, atoms, first, last, stops, out, kept):
        n = weights.shape[1]
        dimension = np.float64(n)
        one = weights.dtype.type
        noise = carray(stack_floats(noise_count), (noise_rows, _TILE))
        words = carray(stack_words(word_count), (6, _TILE))
        P = carray(stack_doubles(elements), (features, columns))
        q = carray(stack_doubles(features), (features,))
        r = carray(stack_doubles(columns), (columns,))
        S = carray(stack_doubles(squares), (columns, columns))
        c = carray(stack_doubles(features), (features,))
        c1 = carray(stack_doubles(columns), (columns,))
        c2 = carray(stack_doubles(columns), (columns,))
        keep = carray(stack_doubles(columns), (columns,))
        give = carray(stack_doubles(columns), (columns,))
        along = carray(stack_doubles(products), (products,))
        fc = carray(stack(features), (features,))
        fe = carray(stack(columns), (columns,))
        fkeep = carray(stack(columns), (columns,))
        fgive = carray(stack(columns), (columns,))
        noise_u = carray(stack_doubles(features), (features,))
        noise_v = carray(stack_doubles(columns), (columns,))
        work = carray(stack_doubles(squares), (columns, columns))
        new_q = carray(stack_doubles(features), (features,))
        new_r = carray(stack_doubles(columns), (columns,))
        g = np.zeros(n, np.float32)
        fresh = np.empty(_BLOCK, np.float32)
        data_noise, generator_noise = parameters[DATA_NOISE, 0], parameters[GENERATOR_NOISE, 0]
        root_data, root_fake = math.sqrt(data_noise), math.sqrt(generator_noise)
        bias = parameters[LINK_BIAS, 0]
        rate = parameters[DISCRIMINATOR_LR, 0] / dimension
        for u in range(_TILE):
            words[K0, u] = key[0]
            words[K1, u] = key[1]

        # No step to apply yet.
        a, d, scale = 0.0, 0.0, 0.0
        for i in range(features):
            fc[i] = one(0.0)
        for j in range(columns):
            fe[j] = one(0.0)
            fkeep[j] = one(0.0)
            fgive[j] = one(0.0)
        z = 1.0
        x = np.empty(size)
        recorded, keep_rows = 0, len(kept) > 0
        drawn = -1
        for step in range(first, last + 1):
            for k in range(products):
                along[k] = 0.0
            for start in range(0, n, _BLOCK):
                stop = min(n, start + _BLOCK)
                fill_normals(fresh[: (stop - start + 63) // 64 * 64], start // 64, VECTOR_NOISE, step, key[0], key[1])
                apply(weights, g, fresh, start, stop, fc, fe, fkeep, fgive, one(a), one(d), one(scale), along)

            # The weights are those after `step` steps.
            if recorded < len(stops) and stops[recorded] == step:
                measure(weights, features, columns, out[recorded])
                if keep_rows:
                    kept[recorded] = weights[features:]
                recorded += 1
            if step == last:
                break
            if step % MEASURE_EVERY == 0:
                measure(weights, features, columns, x)
                for i in range(features):
                    q[i] = x[at_q + i]
                    for j in range(columns):
                        P[i, j] = x[i * columns + j]
                for j in range(columns):
                    r[j] = x[at_r + j]
                    for k in range(columns):
                        S[j, k] = x[at_s + j * columns + k]
                z = x[at_z]

            group = step // _TILE
            if group != drawn:
                for u in range(_TILE):
                    words[LOW, u] = _u64(group * _TILE + u) & _MASK
                    words[HIGH, u] = _u64(group * _TILE + u) >> _u64(32)
                for b in range(blocks):
                    fill_tile(noise[4 * b : 4 * b + 4], words, b, SCALAR_NOISE)
                drawn = group
            u = step - group * _TILE
            sample(c, c1, c2, noise, words, u, parameters, 0, atoms)
            s1 = np.float64(noise[s_at, u])
            s2 = np.float64(noise[s_at + 1, u])
            s3 = np.float64(noise[s_at + 2, u])
            cq = 0.0
            for i in range(features):
                cq += c[i] * q[i]
            cr = 0.0
            for j in range(columns):
                cr += c1[j] * r[j]
            norm = math.sqrt(z)
            phi = real_link(cq + root_data * norm * s1, bias)
            phi1 = fake_link(cr + root_fake * norm * s2, bias)
            rho2 = data_noise * phi * phi + generator_noise * phi1 * phi1
            rho = math.sqrt(rho2)
            scalar = norm * (root_data * phi * s1 - root_fake * phi1 * s2)
            # Noise of the step: its given part along w, plus rho g with its own part along w taken out.
            gw, gg = along[last_row], along[last_row + 1]
            fixed = (scalar - rho * gw) / z
            for i in range(features):
                noise_u[i] = fixed * q[i] + rho * along[i]
            for j in range(columns):
                noise_v[j] = fixed * r[j] + rho * along[features + j]
            noise_size = scalar * scalar / z + rho2 * (gg - gw * gw / z)
            z, shrink, factor = advance(
                P, q, r, S, z, c, c1, c2, noise_u, noise_v, scalar, noise_size, phi, phi1, s3, root_fake, bias,
                parameters, 0, dimension, keep, give, work, new_q, new_r,
            )  # fmt: skip
            a = (shrink - 1.0) + rate * fixed
            d = rate * rho
            scale = factor - 1.0
            for i in range(features):
                fc[i] = one(rate * phi * c[i])
            for j in range(columns):
                fe[j] = one(-rate * phi1 * c1[j])
                fkeep[j] = one(keep[j] - 1.0)
                fgive[j] = one(give[j])

    return compiled(kernel, cache=isinstance(link, str))
