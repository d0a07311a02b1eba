"""What linear theory says about a `ParticleGAN`: rates beside its matched configuration, and when steps are too long.

There is no theory of where such a game ends: which modes are covered is decided far from the matched configuration,
and depends on the start. What can be said is how the matched configuration answers to small displacements, of the
cloud as a whole and of particles against each other; which gradient penalty damps them best; and from which mobility
on the steps are so long that the cloud cannot rest there at all.
"""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ganscope.analysis.spectrum import stability_of
from ganscope.core.checks import one_of
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.outcome import Equilibrium, Outcome, Prediction, Spectrum
from ganscope.games.particle.cloud import levels
from ganscope.games.particle.cloud.linearisation import Linearisation, linearise
from ganscope.games.particle.damping import best_gradient_penalty, mode_spectrum
from ganscope.games.particle.discrete_modes import largest_stable_product

if TYPE_CHECKING:
    from ganscope.games.particle.cloud.model import ParticleGAN

Array = npt.NDArray[np.float64]

FLOW = "flow"
# A mode whose stiffness is below this share of the largest is not seen by the discriminator.
_UNSEEN = 1e-12
# Rounding of the modulus of a neutral multiplier.
_NEUTRAL = 1e-6
# The steps are nearly too long, or hardly too long, within this factor of the longest: a network of width 64 answers
# by some tens of percent more or less than the next one.
_NEAR = 1.5
_NO_THEORY = "There is no theory of where particles end: coverage and collapse depend on the start; simulate."


class Modes(NamedTuple):
    """Stiffness per step of the discriminator of the motions of a matched cloud, for the loss "wgan".

    Attributes:
        mean: Of the cloud as a whole along its stiffest axis.
        mean_friction: Friction of that motion, per step of the discriminator.
        relative: Of the motions of the places against each other, increasing.
    """

    mean: float
    mean_friction: float
    relative: Array


def modes_of(linear: Linearisation, axes: int) -> Modes:
    """The motions of a matched cloud, as far as the mean and the relative ones do not mix."""
    size = len(linear.stiffness)
    count = size // axes
    together = np.kron(np.full((count, 1), count**-0.5), np.eye(axes))
    values, vectors = np.linalg.eigh(together.T @ linear.stiffness @ together)
    answer = linear.directions.T @ (together @ vectors[:, -1])
    size_of_answer = float(answer @ answer)
    friction = float(answer @ linear.friction @ answer) / size_of_answer if size_of_answer > 0 else 0.0
    apart = np.linalg.qr(together, mode="complete")[0][:, axes:]
    relative = np.linalg.eigvalsh(apart.T @ linear.stiffness @ apart) if size > axes else np.empty(0)
    return Modes(float(values[-1]), friction, np.maximum(relative, 0.0))


def predict(
    game: "ParticleGAN", level: str | None = None, rule: str | None = None, step_size: float | None = None
) -> Prediction:
    """What linear theory says beside the matched configuration; alternating steps unless told otherwise.

    The discriminator is the one with the initial network of seed 0. Modes of the target are points for this purpose,
    whatever their width.

    Args:
        game: The game.
        level: "particles" or "network"; the statement is about particles in both cases.
        rule: "alternating" (also for None), "simultaneous" or "flow".
        step_size: None: the game has learning rates.

    Returns:
        Outcome `undecided`, detail "unknown", with rates per iteration; or `diverged` where the matched configuration
        is thrown off by steps that are too long. `thresholds`: `mean_product`, the largest stable product of the mean
        mobility and the stiffness, and the `mean_mobility` and `coupling` at which it is reached. `best`: the
        `gradient_penalty` at which the slowest motion is fastest, and `mean_gradient_penalty`, the critical damping of
        the cloud as a whole, both also in the convention without the 1/2.

    Raises:
        ParameterError: If an argument is out of its range.

    References:
        Durr, Mroueh, Tu, Wang. Phys. Rev. X 13, 041004 (2023), for the particles and the penalty as friction.
    """
    if level is not None:
        one_of("level", level, game.levels)
    if step_size is not None:
        raise ParameterError("step_size", step_size, "nothing: the particle GAN has learning rates")
    rule = levels.RULES[0] if rule is None else one_of("rule", rule, (*levels.RULES, FLOW))
    levels.check_rule(rule, game.discriminator_steps)
    about: dict[str, Any] = {"level": level or "particles", "rule": rule, "game": game}
    try:
        linear = linearise(game)
    except NotApplicable as reason:
        return Prediction(
            Outcome.UNDECIDED, "unknown", math.nan, (f"There are no rates: {reason}.", _NO_THEORY), **about
        )
    values = linear.spectrum(None if rule == FLOW else rule)
    modes = modes_of(linear, game.axes)
    rates, thresholds = _rates(game, modes, values), _thresholds(game, modes, rule)
    best, advice = _best(game, modes)
    outcome, detail, margin, near, reasons = _verdict(game, linear, values, modes, thresholds)
    return Prediction(
        outcome,
        detail,
        margin,
        (*reasons, *advice, *_facts(game, linear, modes)),
        near,
        thresholds=thresholds,
        equilibria=[Equilibrium(linear.places, values, stability_of(values), "matched")],
        rates=rates,
        best=best,
        **about,
    )


def _half(game: "ParticleGAN") -> float:
    """The factor of a product of mobility and stiffness: with the logistic loss both pushes are halved."""
    return 1.0 if game.loss == "wgan" else 0.25


def _rates(game: "ParticleGAN", modes: Modes, values: Spectrum) -> dict[str, Any]:
    rates: dict[str, Any] = {"per_iteration": values.rate, "period": values.period}
    if values.is_map:
        rates["spectral_radius"] = float(np.abs(values.values[0]))
    rates["mean_stiffness"] = modes.mean
    rates["mean_friction"] = modes.mean_friction
    rates["mean_product"] = float(_half(game) * game.mean_mobility * modes.mean)
    steps = game.discriminator_steps
    lead = complex(mode_spectrum(rates["mean_product"], steps, 0.0, steps * modes.mean_friction)[0])
    rates["mean_rate"] = 0.0 - lead.real
    rates["mean_period"] = 2 * math.pi / lead.imag if lead.imag > 0 else math.inf
    if len(modes.relative):
        rates["relative_stiffness"] = [float(modes.relative[0]), float(modes.relative[-1])]
    return rates


def _thresholds(game: "ParticleGAN", modes: Modes, rule: str) -> dict[str, Any]:
    """From where on the steps are too long for the motion of the cloud as a whole."""
    if rule == FLOW:
        return {}
    product = float(largest_stable_product(modes.mean_friction, game.discriminator_steps, rule))
    thresholds: dict[str, Any] = {"mean_product": product}
    if modes.mean > 0:
        thresholds["mean_mobility"] = float(product / (_half(game) * modes.mean))
        if game.relative_mobility > 0:
            thresholds["coupling"] = thresholds["mean_mobility"] / game.relative_mobility
    return thresholds


def _best(game: "ParticleGAN", modes: Modes) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The gradient penalties that damp best, and what must be said about them."""
    steps = game.discriminator_steps
    mobility = np.concatenate([[game.mean_mobility], np.full(len(modes.relative), game.relative_mobility)])
    stiffness = steps * np.concatenate([[modes.mean], modes.relative])
    seen = (mobility > 0) & (stiffness > _UNSEEN * max(float(stiffness.max()), math.ulp(0.0)))
    if not np.any(seen):
        return {}, ("The discriminator sees no displacement: no gradient penalty can damp any.",)
    forgetting = steps * game.discriminator_lr * game.regularization
    all_modes = best_gradient_penalty(mobility[seen], stiffness[seen], forgetting, game.loss)
    penalty, text = all_modes.gradient_penalty, []
    longest = max((1 - game.discriminator_lr * game.regularization) * steps / float(stiffness.max()), 0.0)
    if penalty > longest:
        penalty = longest
        text.append(
            "The softest motions would be damped best by a gradient penalty that makes the discriminator overshoot "
            f"itself; the recommended one, {longest:.4g}, stops short of that."
        )
    best = {"gradient_penalty": penalty, "gradient_penalty_without_half": penalty / 2}
    if seen[0]:
        mean = best_gradient_penalty(mobility[0], stiffness[0], forgetting, game.loss).gradient_penalty
        best |= {"mean_gradient_penalty": mean, "mean_gradient_penalty_without_half": mean / 2}
        text.append(
            f"The cloud as a whole is critically damped at gradient_penalty {mean:.4g} "
            f"({mean / 2:.4g} in the convention without the 1/2)."
        )
    text.append(
        f"The slowest motion that the discriminator sees is fastest at gradient_penalty {penalty:.4g} "
        f"({penalty / 2:.4g} in the convention without the 1/2)."
    )
    if game.penalty == "uniform":
        text.append(
            "These penalties are those of penalty 'r1'; taken over the box, the same strength damps less or more."
        )
    return best, tuple(text)


def _verdict(
    game: "ParticleGAN", linear: Linearisation, values: Spectrum, modes: Modes, thresholds: dict[str, Any]
) -> tuple[Outcome, str, float, bool, tuple[str, ...]]:
    product = float(_half(game) * game.mean_mobility * modes.mean)
    limit = thresholds.get("mean_product", math.inf)
    near = bool(product > 0) and 1 / _NEAR < limit / product < _NEAR
    lead = complex(values.values[0])
    if not values.is_map or abs(lead) <= 1 + _NEUTRAL:
        return Outcome.UNDECIDED, "unknown", math.nan, near, (_NO_THEORY,)
    alone = float(np.max(np.abs(1 - np.linalg.eigvalsh(linear.friction))))
    if alone > 1 + _NEUTRAL:
        reason = (
            f"The friction of the discriminator overshoots: alone it grows by {alone:.4g} per step, since its learning "
            "rate times gradient_penalty or regularization is too large; a network may saturate."
        )
        return Outcome.UNDECIDED, "unknown", math.nan, near, (reason, _NO_THEORY)
    if abs(lead.imag) <= _NEUTRAL and lead.real < -1:
        reason = (
            f"Discrete-time instability, not mode collapse: the cloud overshoots its target by a factor "
            f"{-lead.real:.4g} per iteration. The mean mobility times the stiffness is {product:.4g}, and at most "
            f"{limit:.4g} is stable; shorten relative_step or discriminator_lr."
        )
        return Outcome.DIVERGED, "diverging", abs(lead) - 1, near or abs(lead) < _NEAR, (reason,)
    reason = (
        f"Beside its targets the cloud spirals outwards, by a factor {abs(lead):.6g} per iteration; how far is not "
        "a question of linear theory."
    )
    return Outcome.UNDECIDED, "unknown", math.nan, near, (reason, _NO_THEORY)


def _facts(game: "ParticleGAN", linear: Linearisation, modes: Modes) -> tuple[str, ...]:
    facts = []
    places = len(linear.places)
    if places < game.particles:
        facts.append(
            f"{game.particles} particles share {places} places: of those at one place the discriminator sees only the "
            "mean, and their motion against each other does not relax in linear theory."
        )
    if len(modes.relative) and modes.relative[0] <= _UNSEEN * max(modes.mean, modes.relative[-1]):
        facts.append("Some relative motions are undetectable: the discriminator does not see them.")
    if game.penalty == "gp1" and game.gradient_penalty > 0:
        facts.append("The penalty 'gp1' asks for slopes of 1 and damps nothing where particles sit on their targets.")
    if game.discriminator == "mlp":
        facts.append(
            "The stiffness is that of one initial network; networks of this width differ by some tens of percent."
        )
    elif game.features:
        facts.append("The stiffness is that of the kernel; random features approximate it.")
    return tuple(facts)
