r"""Whether a cloud that has collapsed to one point stays one.

Let all particles coincide at X(t). The rigid orbit is X' = mean_mobility g(X), with a discriminator that is trained
against that single point, and a small displacement relative to the centre grows at the rate relative_mobility g'(X). So
the spread grows at the average rate

    relative_mobility <g'>,    g' = dg/dx along the rigid orbit (D'' for the loss wgan, D''/2 for gan),

which changes sign with `mean_mobility`, whatever `relative_mobility` is. If it is positive, the discriminator digs a
hole under the cloud for long enough to tear it apart; if it is negative, the cloud surfs on concave crests and stays.

With one kind of friction alone, the critical mobility is proportional to discriminator_lr gradient_penalty^2, or to
discriminator_lr regularization^2.

This criterion is derived here; the particle picture is that of Durr, Mroueh, Tu, Wang (Phys. Rev. X 13, 041004, 2023).
"""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import number, one_of, real_array
from ganscope.core.errors import ParameterError
from ganscope.core.parallel import Task, run_tasks
from ganscope.games.particle.torus import orbit
from ganscope.games.particle.torus.fourier import largest_frequency, rates, step_tables
from ganscope.games.particle.torus.simulation import SCHEMES

if TYPE_CHECKING:
    from ganscope.games.particle.torus.model import TorusGAN

Array = npt.NDArray[np.float64]

# Starts of the orbits, which may be chaotic; length and step of an orbit, in units of 1 / discriminator_lr; the share
# of it that is dropped.
_STARTS, _FIRST_START, _START_GAP = 6, 0.2, 0.09
_HORIZON, _STEP, _DROPPED = 200.0, 0.01, 1 / 3
# Largest frequency times the step, for kernels so sharp that the step above does not resolve them.
_RESOLVED = 0.4
# The search for the critical mobility: ratio of the grid, starts while scanning and for the final values, orders of
# magnitude below and above the estimate, points that are scanned together, points around a crossing that are refined;
# ratio and number of the coarser points beyond.
_RATIO, _MANY_STARTS = 1.1, 16
_BELOW, _ABOVE, _TOGETHER, _AROUND = 4.0, 2.7, 20, 3
_FAR_RATIO, _FAR = 1.5, 12
# A centre much faster than the discriminator is slaved to it, and averages fall like 1 / mobility: they have reached
# this limit if mobilities are so many times discriminator_lr and their products with averages within this share of each
# other.
_FAST, _SAME = 30.0, 0.05
# Critical mobility over discriminator_lr, for a typical kernel: times gradient_penalty^2 and regularization^2.
_BY_PENALTY, _BY_REGULARIZATION = 20.0, 4.7
# Averages that are closer to zero than this share of the kernel's own bend are zero.
_MARGINAL = 1e-9
# Steps that one call of compiled code takes.
_CALL = 20_000


def default_starts(count: int = _STARTS) -> Array:
    """Starts 0.2, 0.29, 0.38, ..."""
    return np.asarray(_FIRST_START + _START_GAP * np.arange(count))


def transverse_exponent(
    game: "TorusGAN",
    mean_mobility: float | None = None,
    scheme: str = "second_order",
    horizon: float | None = None,
    step_size: float | None = None,
    starts: Any = None,
) -> float:
    """Average bend <g'> of the discriminator under a collapsed cloud; times `relative_mobility`, its growth rate.

    Args:
        game: The game; its particles and their mobilities do not matter.
        mean_mobility: Mobility of the centre, >= 0; None for the game's own.
        scheme: `second_order`, for continuous time; `first_order` over-estimates by about step_size times half the
            discriminator's own bend, and describes that discrete algorithm.
        horizon: Length of the orbits, of which the first third is dropped; None for 200 / discriminator_lr.
        step_size: Time step; None for 0.01 / discriminator_lr, divided by sqrt(mean_mobility / discriminator_lr) where
            that is more than 1, and shorter for kernels too sharp for it.
        starts: Where the orbits start, whose averages are averaged; None for 0.2 + 0.09 j, j < 6.

    Returns:
        <g'>, per unit of time and mobility. Positive: a collapsed cloud is torn apart. Orbits can be chaotic, so that
        the average has a sampling error.

    Raises:
        ParameterError: If an argument is out of its range.
    """
    mobility = number("mean_mobility", game.mean_mobility if mean_mobility is None else mean_mobility, at_least=0)
    scheme = one_of("scheme", scheme, SCHEMES)
    begin = default_starts() if starts is None else real_array("starts", starts, ndim=1)
    if len(begin) == 0:
        raise ParameterError("starts", starts, "at least one start")
    length = _HORIZON / game.discriminator_lr if horizon is None else number("horizon", horizon, above=0)
    step = default_step(game, mobility) if step_size is None else number("step_size", step_size, above=0)
    if step > length:
        raise ParameterError("step_size", step, f"a number > 0, at most the horizon {length:g}")
    return float(np.mean(exponents(game, np.full(len(begin), mobility), begin, scheme, length, step)))


def default_step(game: "TorusGAN", mobility: float) -> float:
    """Time step that resolves an orbit with this mobility of the centre."""
    speed = game.discriminator_lr
    step = _STEP / speed / max(1.0, math.sqrt(mobility / speed))
    rate = rates(game)._replace(relative=np.zeros(1), mean=np.full(1, mobility))
    fastest = float(np.max(largest_frequency(rate)))
    return min(step, _RESOLVED / fastest) if fastest > 0 else step


def work(game: "TorusGAN") -> float:
    """Steps of one orbit at the game's own mobility, times wavenumbers: what `critical_mobility` costs goes with it."""
    return _HORIZON / game.discriminator_lr / default_step(game, game.mean_mobility) * game.frequencies


def exponents(game: "TorusGAN", mobilities: Array, starts: Array, scheme: str, horizon: float, step: float) -> Array:
    """Average bends along orbits, each with its own mobility and start, all with one step, `[orbits]`."""
    second = scheme == "second_order"
    rate = rates(game)
    table = np.empty((6, game.frequencies))
    table[orbit.DECAY], table[orbit.GAIN] = step_tables(rate, step)
    table[orbit.FIRST_DECAY], table[orbit.FIRST_GAIN] = step_tables(rate, step / 2 if second else step)
    table[orbit.TARGET], table[orbit.BEND] = rate.target, 2 * rate.slope * rate.wavenumber
    steps = max(2, round(horizon / step))
    skip = int(steps * _DROPPED)
    count = len(starts)
    lanes = next((n for n in orbit.LANES if n >= count), orbit.LANES[-1])
    follow = orbit.follower(lanes)
    blocks = -(-count // lanes)
    padded = np.resize(np.arange(count), blocks * lanes)
    x = starts[padded].reshape(blocks, lanes)
    shift = (step * mobilities)[padded].reshape(blocks, lanes)
    sums = np.zeros((blocks, lanes))

    def task(block: int) -> Task:
        def work(tick: Any) -> None:
            d = np.zeros((2, game.frequencies, lanes))
            for done in range(0, steps, _CALL):
                now = min(_CALL, steps - done)
                follow(second, shift[block], table, now, skip - done, done == 0, x[block], d, sums[block])
                tick(float(now))

        return work

    run_tasks([task(block) for block in range(blocks)], None, float(blocks * steps))
    return np.asarray(sums.ravel()[:count] / (steps - skip))


class Crossing(NamedTuple):
    """Where the average bend under a collapsed cloud first falls through zero.

    Attributes:
        mean_mobility: The critical mobility; 0 if collapse is stable at every mobility that was tried, infinite if at
            none, NaN if it is marginal.
        reason: What was found about a collapsed cloud ("it"), in words.
    """

    mean_mobility: float
    reason: str


def critical_mobility(
    game: "TorusGAN", scheme: str = "second_order", horizon: float | None = None, step_size: float | None = None
) -> Crossing:
    """The mobility of the centre beyond which a collapsed cloud stays collapsed.

    The first downward zero crossing of `transverse_exponent`, going up in mobility on a grid of ratio 1.1: found with 6
    starts per mobility, and then settled with 16 starts (0.2 + 0.09 j) on the three grid points before and after, by
    linear interpolation. Beyond it collapse may become unstable again, for very narrow kernels.

    Args:
        game: The game; its own mobilities do not matter.
        scheme: As in `transverse_exponent`.
        horizon: Length of the orbits; None for 200 / discriminator_lr, and longer for weak friction, in inverse
            proportion to it. Wavenumbers whose own friction is below 1 / horizon, such as high ones of a smooth kernel
            without regularization, have not settled by then: the answer describes orbits of that length.
        step_size: Time step; None to resolve the orbits.

    Raises:
        ParameterError: If an argument is out of its range.
    """
    scheme = one_of("scheme", scheme, SCHEMES)
    length = None if horizon is None else number("horizon", horizon, above=0)
    step = None if step_size is None else number("step_size", step_size, above=0)
    friction = _BY_PENALTY * game.gradient_penalty**2 + _BY_REGULARIZATION * game.regularization**2
    if game.loss == "gan":
        friction += _BY_REGULARIZATION / 4  # that loss damps by itself, like a regularization of about 1 / 2
    search = _Search(game, scheme, length, step, math.sqrt(friction) if friction > 0 else 1.0)
    if friction == 0:
        return _without_friction(search)
    low, high = (round(decades * math.log(10) / math.log(_RATIO)) for decades in (-_BELOW, _ABOVE))
    grid = np.asarray(game.discriminator_lr * friction * _RATIO ** np.arange(low, high))
    first = _first_positive(search, grid)
    if first is None:
        return _never_torn(search, grid)
    for start in range(first, len(grid) - 1, _TOGETHER):
        part = grid[start : start + _TOGETHER + 1]
        bends = search.bends(part, _STARTS)
        for k in _downward(bends):
            found = search.settle(grid[max(0, start + k - _AROUND) : start + k + _AROUND + 2])
            if found is not None:
                return found
    products = bends * part
    fast = part[0] > _FAST * game.discriminator_lr
    if fast and np.all(bends > 0) and np.ptp(products) < _SAME * float(np.mean(products)):
        return Crossing(math.inf, f"it is torn apart at every mean_mobility, and alike from {part[0]:.3g} on")
    return _far(search, float(grid[-1]))


class _Search(NamedTuple):
    """How to measure bends; `unit` makes mobilities of about discriminator_lr unit^2 typical, and times of 1 / unit."""

    game: "TorusGAN"
    scheme: str
    horizon: float | None
    step: float | None
    unit: float

    def bends(self, mobilities: Array, count: int) -> Array:
        """Averages over a number of starts, for increasing mobilities that are close to each other."""
        starts = default_starts(count)
        step = self.step
        if step is None:
            step = default_step(self.game, float(mobilities[-1]) / self.unit**2) / self.unit
        horizon = self.horizon
        if horizon is None:
            horizon = _HORIZON / (self.game.discriminator_lr * min(self.unit, 1.0))
        orbits = np.repeat(mobilities, count), np.tile(starts, len(mobilities))
        every = exponents(self.game, *orbits, self.scheme, max(horizon, 2 * step), step)
        return np.asarray(every.reshape(len(mobilities), count).mean(axis=1))

    def settle(self, around: Array) -> "Crossing | None":
        """The first crossing between mobilities, measured with many starts."""
        bends = self.bends(around, _MANY_STARTS)
        crossings = _downward(bends)
        if not crossings:
            return None
        j = crossings[0]
        share = bends[j] / (bends[j] - bends[j + 1])
        found = float(around[j] + share * (around[j + 1] - around[j]))
        return Crossing(found, f"it stays together beyond mean_mobility = {found:.4g}, and not below")


def _far(search: _Search, top: float) -> Crossing:
    """A crossing beyond the range in which it is usual, on a coarser grid that is refined where it crosses."""
    grid = np.asarray(top * _FAR_RATIO ** np.arange(_FAR + 1))
    before = 1.0
    for start in range(0, len(grid), 2):  # two at a time, since their orbits share a block
        part = grid[start : start + 2]
        bends = np.append(before, search.bends(part, _STARTS))
        for k in _downward(bends):
            found = search.settle(np.geomspace(part[k] / _FAR_RATIO / _RATIO, part[k] * _RATIO, 2 * _AROUND + 2))
            if found is not None:
                return found
        before = bends[-1]
    return Crossing(math.inf, f"it is torn apart at every mean_mobility up to {grid[-1]:.3g}")


def _downward(values: Array) -> list[int]:
    """Where a positive value is followed by one that is not."""
    return [int(k) for k in np.flatnonzero((values[:-1] > 0) & (values[1:] <= 0))]


def _first_positive(search: _Search, grid: Array) -> int | None:
    """A place to start from, where a collapsed cloud is torn apart: low, and still lower if need be."""
    place = 2 * len(grid) // 5
    while search.bends(grid[place : place + 1], _STARTS)[0] <= 0:
        if place == 0:
            return None
        place //= 2
    return place


def _never_torn(search: _Search, grid: Array) -> Crossing:
    rate = rates(search.game)
    own = float(np.sum(2 * rate.slope * rate.wavenumber**2 * rate.drive)) / search.game.discriminator_lr
    if abs(search.bends(grid[:1], _STARTS)[0]) <= _MARGINAL * own:
        return Crossing(math.nan, "it is marginal: the discriminator vanishes around it")
    return Crossing(0.0, f"it stays together at every mean_mobility from {grid[0]:.3g} on")


def _without_friction(search: _Search) -> Crossing:
    """Without friction all mobilities are alike, up to the unit of time."""
    bend = search.bends(np.full(1, search.game.discriminator_lr), _MANY_STARTS)[0]
    words = "without gradient_penalty and regularization every mean_mobility is alike, up to the unit of time:"
    return Crossing(math.inf, f"{words} it is torn apart") if bend > 0 else Crossing(0.0, f"{words} it stays together")
