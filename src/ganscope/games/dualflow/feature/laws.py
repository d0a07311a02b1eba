"""Laws on a line by their distribution functions: frozen distributions of `scipy.stats`, and mixtures of them."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.stats

from ganscope.core.checks import numbers_in
from ganscope.core.errors import ParameterError, unknown_name

Array = npt.NDArray[np.float64]

_FROZEN = type(scipy.stats.norm())
# Halvings of an interval that leave nothing but rounding.
_HALVINGS = 200
_KEYS = {"distribution", "arguments", "keywords"}
_MIXTURE_KEYS = {"mixture", "weights"}


@dataclass(frozen=True)
class Mixture:
    """A mixture of continuous laws on a line.

    Args:
        components: Frozen continuous distributions of `scipy.stats`, at least one.
        weights: Positive weights, scaled to sum 1; None for equal ones.

    Raises:
        ParameterError: If there are none, one is something else, or a weight is not positive.
    """

    components: tuple[Any, ...]
    weights: Any = None

    def __post_init__(self) -> None:
        parts = tuple(self.components)
        if not parts or not all(isinstance(part, _FROZEN) for part in parts):
            raise ParameterError("components", self.components, "frozen continuous distributions of scipy.stats")
        given = np.ones(len(parts)) if self.weights is None else self.weights
        weights = numbers_in("weights", given, shape=(len(parts),), above=0)
        object.__setattr__(self, "components", parts)
        object.__setattr__(self, "weights", tuple(float(w) for w in weights / weights.sum()))

    def cdf(self, x: Any) -> Array:
        """Distribution function."""
        return np.asarray(sum(w * part.cdf(x) for w, part in zip(self.weights, self.components, strict=True)))

    def pdf(self, x: Any) -> Array:
        """Density."""
        return np.asarray(sum(w * part.pdf(x) for w, part in zip(self.weights, self.components, strict=True)))

    def ppf(self, levels: Any) -> Array:
        """Quantiles, by bisection between those of the components."""
        levels = np.asarray(levels, np.float64)
        ends = np.stack([part.ppf(levels) for part in self.components])
        return rising_root(self.cdf, self.pdf, levels, ends.min(axis=0), ends.max(axis=0))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, see `law_from_dict`."""
        return {"mixture": [law_to_dict(part) for part in self.components], "weights": list(self.weights)}


def rising_root(function: Any, slope: Any, values: Array, low: Array, high: Array) -> Array:
    """Where a rising function passes some values, to rounding, for all of them at once.

    Newton's method, with a halving wherever it leaves the interval that is known to hold the root.
    """
    x = low + (high - low) / 2
    for _ in range(_HALVINGS):
        excess = function(x) - values
        low, high = np.where(excess < 0, x, low), np.where(excess < 0, high, x)
        with np.errstate(divide="ignore", invalid="ignore"):
            new = x - excess / slope(x)
        new = np.where((new > low) & (new < high), new, low + (high - low) / 2)
        done = np.abs(new - x) <= 2e-16 * np.maximum(1.0, np.abs(x))
        x = new
        if np.all(done):
            break
    return x


def is_law(value: Any) -> bool:
    """Whether something is a law of this module."""
    return isinstance(value, Mixture | _FROZEN)


def law_to_dict(law: Any) -> dict[str, Any]:
    """A law as JSON can hold it."""
    if isinstance(law, Mixture):
        return law.to_dict()
    return {
        "distribution": law.dist.name,
        "arguments": [float(v) for v in law.args],
        "keywords": {k: float(v) for k, v in law.kwds.items()},
    }


def law_from_dict(content: Mapping[str, Any]) -> Any:
    """A law from a table such as `{distribution = "norm", arguments = [0, 1]}` or `{mixture = [...], weights = [...]}`.

    Raises:
        ParameterError: If there is no such distribution, or its arguments do not fit.
    """
    if set(content) <= _MIXTURE_KEYS and isinstance(content.get("mixture"), list | tuple):
        return Mixture(tuple(law_from_dict(part) for part in content["mixture"]), content.get("weights"))
    for key in content:
        if key not in _KEYS | _MIXTURE_KEYS:
            raise unknown_name("real_points key", key, sorted(_KEYS | _MIXTURE_KEYS))
    name = content.get("distribution")
    family = getattr(scipy.stats, name, None) if isinstance(name, str) else None
    if not isinstance(family, scipy.stats.rv_continuous) or set(content) - _KEYS:
        near = difflib.get_close_matches(str(name), dir(scipy.stats), 1)
        hint = f". Did you mean {near[0]!r}?" if near else ""
        expected = f'points, or a table such as {{distribution = "norm", arguments = [0, 1]}}{hint}'
        raise ParameterError("real_points", dict(content), expected)
    try:
        frozen = family(*content.get("arguments", ()), **content.get("keywords", {}))
        fits = bool(np.isfinite(frozen.ppf(0.5)))
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise ParameterError("real_points", dict(content), f"admissible arguments of {name}")
    return frozen
