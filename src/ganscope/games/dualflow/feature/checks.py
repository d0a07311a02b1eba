"""Checks of a `FeatureGAN`'s parameters: each keeps the checked value, or raises with the admissible range."""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import integer, number, numbers_in, one_of, point_array, real_array
from ganscope.core.errors import ParameterError
from ganscope.games.dualflow.failures import DomainWarning
from ganscope.games.dualflow.feature.laws import is_law, law_from_dict
from ganscope.games.kernel.kernels import Kernel, kernel_from_dict

if TYPE_CHECKING:
    from ganscope.games.dualflow.feature.model import FeatureGAN

Array = npt.NDArray[np.float64]

FEATURES = ("fourier", "sobolev1d", "linear", "quadratic", "random", "history", "energy")
STARTS = ("zero", "equilibrium")
MOST_FEATURES = 10**7
_ON_A_LINE = ("fourier", "sobolev1d")


def check(game: "FeatureGAN") -> None:
    """Check everything that is no single number, in the order in which one needs the other.

    Raises:
        ParameterError: If a parameter is out of its range, or features do not fit the dimension.
    """
    _check_points(game)
    _check_features(game)
    _check_rest(game)
    _check_domain(game)


def _keep(game: "FeatureGAN", name: str, value: Any) -> None:
    if isinstance(value, np.ndarray):
        value.flags.writeable = False
    object.__setattr__(game, name, value)


def _check_points(game: "FeatureGAN") -> None:
    _keep(game, "generated_points", point_array("generated_points", game.generated_points))
    if isinstance(game.real_points, Mapping):
        _keep(game, "real_points", law_from_dict(game.real_points))
    if is_law(game.real_points):
        if game.axes != 1:
            raise ParameterError("real_points", "a distribution", f"points of d = {game.axes} columns")
    else:
        _keep(game, "real_points", point_array("real_points", game.real_points))
        if game.real_points.shape[1] != game.axes:
            given = f"d = {game.axes} columns"
            raise ParameterError("generated_points", given, f"{game.real_points.shape[1]} columns, like real_points")
    if not np.all(np.isfinite(game.real)):
        raise ParameterError("real_points", "a distribution", "one whose quantiles are finite")


def _check_features(game: "FeatureGAN") -> None:
    if isinstance(game.features, str):
        one_of("features", game.features, FEATURES)
        if game.features in _ON_A_LINE and game.axes != 1:
            raise ParameterError("features", game.features, f"another one: it needs d = 1, not {game.axes}")
    else:
        frequencies = real_array("features", game.features, ndim=2, expected="a name or frequencies (J, d)")
        if frequencies.shape[1] != game.axes or not len(frequencies):
            expected = f"frequencies of shape (J, {game.axes}), or one of {', '.join(FEATURES)}"
            raise ParameterError("features", f"shape {frequencies.shape}", expected)
        _keep(game, "features", frequencies)
    if game.feature_count is not None:
        count = integer("feature_count", game.feature_count, at_least=1)
        if game.features not in ("fourier", "random") if isinstance(game.features, str) else True:
            raise ParameterError("feature_count", count, "nothing: only fourier and random features are counted")
        if count > MOST_FEATURES:
            raise ParameterError("feature_count", count, f"at most {MOST_FEATURES:g}")
        _keep(game, "feature_count", count)
    widths = numbers_in("bandwidth", game.bandwidth, above=0)
    if widths.ndim > 1 or widths.size == 0:
        raise ParameterError("bandwidth", game.bandwidth, "a number > 0, or a list of them")
    _keep(game, "bandwidth", float(widths) if widths.ndim == 0 else tuple(float(w) for w in widths))
    if game.half_period is not None:
        _keep(game, "half_period", number("half_period", game.half_period, above=0))
    if game.nodes is not None:
        _keep(game, "nodes", integer("nodes", game.nodes, at_least=3))
    if isinstance(game.kernel, Mapping):
        _keep(game, "kernel", kernel_from_dict(game.kernel))
    if game.kernel is not None and (not isinstance(game.kernel, Kernel) or game.name != "history"):
        expected = "a kernel such as RBF(1.0) with features = 'history', otherwise None"
        raise ParameterError("kernel", game.kernel, expected)
    _keep(game, "keep_tolerance", number("keep_tolerance", game.keep_tolerance, at_least=0))
    _keep(game, "feature_seed", integer("feature_seed", game.feature_seed))


def _check_rest(game: "FeatureGAN") -> None:
    center = np.broadcast_to(real_array("center", game.center), np.shape(game.center) or ())
    if center.shape not in ((), (game.axes,)):
        raise ParameterError("center", game.center, f"a number or {game.axes} numbers")
    _keep(game, "center", float(center) if center.shape == () else np.array(center))
    if not isinstance(game.fast, bool | np.bool_):
        raise ParameterError("fast", game.fast, "True or False")
    _keep(game, "fast", bool(game.fast))
    if game.fast:
        game.require_penalty("fast = True")
    if game.clip is not None:
        _keep(game, "clip", number("clip", game.clip, above=0))
        if game.fast or game.map is None:
            raise ParameterError("clip", game.clip, "None: only coefficients of finitely many features are clipped")
    if game.bandwidth_schedule is not None:
        ends = numbers_in("bandwidth_schedule", game.bandwidth_schedule, shape=(2,), above=0)
        if game.name not in ("fourier", "random"):
            expected = "None: only fourier and random features have a bandwidth to change"
            raise ParameterError("bandwidth_schedule", game.bandwidth_schedule, expected)
        if len(game.bandwidths) > 1:
            raise ParameterError("bandwidth", game.bandwidth, "one number with bandwidth_schedule")
        _keep(game, "bandwidth_schedule", (float(ends[0]), float(ends[1])))
    if isinstance(game.initial_discriminator, str):
        one_of("initial_discriminator", game.initial_discriminator, STARTS)
        if game.initial_discriminator == "equilibrium":
            game.require_penalty("initial_discriminator = 'equilibrium'")
    elif game.map is None:
        expected = f"one of {', '.join(STARTS)} with features = {game.name!r}"
        raise ParameterError("initial_discriminator", game.initial_discriminator, expected)
    else:
        a = numbers_in("initial_discriminator", game.initial_discriminator, shape=(game.map.size,))
        _keep(game, "initial_discriminator", a)
    if game.entropy > 0 and game.map is None:
        raise ParameterError("entropy", game.entropy, f"0 with features = {game.name!r}")
    if game.entropy > 0 and game.axes == 1 and len(game.generated_points) < 2:
        raise ParameterError("entropy", game.entropy, "0 for a single point")
    if game.mode_radius is not None:
        _keep(game, "mode_radius", number("mode_radius", game.mode_radius, above=0))
    if game.modes is not None:
        centres = point_array("modes", game.modes)
        if centres.shape[1] != game.axes:
            raise ParameterError("modes", f"shape {centres.shape}", f"{game.axes} columns, like real_points")
        _keep(game, "modes", centres)


def _check_domain(game: "FeatureGAN") -> None:
    low, high = game.limits
    points = game.generated_points if game.name == "fourier" else np.concatenate([game.real, game.generated_points])
    if np.min(points) < low or np.max(points) > high or (game.name == "fourier" and game.spread > high - low):
        wanted = "2 half_period > spread of all points + 6 bandwidths"
        what = f"{wanted} expected" if game.name == "fourier" else "points lie beyond it"
        warnings.warn(f"half_period = {game.period:g} is too small: {what}", DomainWarning, stacklevel=5)
