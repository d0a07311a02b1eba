r"""Values and slopes of a network with relu units, and their derivative in the parameters, in few matrix products.

Where every unit is linear on each side of its kink, a network is linear around a point. With s_l the 0/1 pattern of
layer l, h_l = s_l (h_{l-1} W_l + b_l), and d_L = s_L w, d_{l-1} = s_{l-1} (d_l W_l^T), the value is h_L w + b and the
slope d_1 W_1^T. The derivative of  sum_n a_n value_n + q_n slope_n  runs along the same patterns: with

    c_0 = a x + q,     c_l = s_l (c_{l-1} W_l + a b_l),

it is c_{l-1}^T d_l in W_l, a^T d_l in b_l and sum_n c_L in w. In the last layer d_L = s_L w, so that c_{L-1}^T s_L
alone gives the derivatives in W_L and, summed against W_L, in w: a network with two hidden layers needs three products
of its largest size, where differentiating twice takes six.
"""

from typing import Any

import jax

Parameters = tuple[Any, ...]


def _forward(parameters: Parameters, x: Any) -> tuple[Any, list[Any]]:
    """Values `[n]`, and the patterns of the hidden layers, `[n, units]` each."""
    hidden, patterns = x, []
    for weights, biases in zip(parameters[:-2:2], parameters[1:-2:2], strict=True):
        before = product(hidden, weights) + biases
        pattern = (before > 0).astype(before.dtype)
        hidden = before * pattern
        patterns.append(pattern)
    return (hidden * parameters[-2]).sum(axis=1) + parameters[-1], patterns


def _backward(parameters: Parameters, patterns: list[Any]) -> list[Any]:
    """d_l of every hidden layer, `[n, units]`, the first one first."""
    found = [patterns[-1] * parameters[-2]]
    for layer in range(len(patterns) - 1, 0, -1):
        found.append(patterns[layer - 1] * (found[-1] @ parameters[2 * layer].T))
    return found[::-1]


def product(x: Any, weights: Any) -> Any:
    """x W, column by column where W has few rows: faster than a product of thin matrices."""
    if len(weights) > _THIN:
        return x @ weights
    return sum(x[:, k : k + 1] * weights[k] for k in range(len(weights)))


# Rows up to which a product is done column by column.
_THIN = 4


@jax.custom_vjp
def values_and_slopes(parameters: Parameters, x: Any) -> tuple[Any, Any]:
    """Values `[n]` and gradients `[n, d]` at points `[n, d]`.

    Args:
        parameters: W_1, b_1, ..., W_L, b_L, w, b with scales multiplied in: `[inputs, units]`, `[units]`, ...
        x: Points.
    """
    values, patterns = _forward(parameters, x)
    return values, _slopes(parameters, _backward(parameters, patterns))


def _slopes(parameters: Parameters, d: list[Any]) -> Any:
    return d[0] @ parameters[0].T


def _remember(parameters: Parameters, x: Any) -> Any:
    values, patterns = _forward(parameters, x)
    d = _backward(parameters, patterns)
    slopes = _slopes(parameters, d)
    return (values, slopes), (parameters, x, patterns, d, slopes)


def _pull_back(remembered: Any, cotangents: Any) -> Any:
    parameters, x, patterns, d, slopes = remembered
    a, q = cotangents
    last = len(patterns) - 1
    gradient: list[Any] = []
    c = a[:, None] * x + q
    for layer in range(last):
        weights, biases = parameters[2 * layer], parameters[2 * layer + 1]
        gradient += [c.T @ d[layer], a @ d[layer]]
        c = patterns[layer] * (product(c, weights) + a[:, None] * biases)
    weights, biases, outputs = parameters[2 * last], parameters[2 * last + 1], parameters[-2]
    through, on_biases = c.T @ patterns[last], a @ patterns[last]
    gradient += [through * outputs, on_biases * outputs]
    gradient += [(weights * through).sum(axis=0) + biases * on_biases, a.sum()]
    return tuple(gradient), a[:, None] * slopes


values_and_slopes.defvjp(_remember, _pull_back)
