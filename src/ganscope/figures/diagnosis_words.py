"""A diagnosis in words: the sentences that the page, the figure and the command line share."""

import math
from collections.abc import Mapping
from typing import Any

from ganscope.figures.diagnosis_reading import Report, number, section

# Defaults of the settings that the sentences speak of.
_THRESHOLD, _HORIZON = 0.1, 1024
# Predicted wanders are capped here: beyond it there is nothing to tell apart.
_CAP = 1e9
# A predicted wander above this, in data radii, is no distance: the linear picture runs away. Costs are its squares.
_UNSTABLE = 10.0
AS_IT_IS = "as it is"
UNSTABLE = "unstable in the linear picture"
# How the source of a confidence begins where there is none to state.
_UNVALIDATED = "unvalidated:"
# Within this factor of the limit a score is told to be just beside it.
_BESIDE = 1.05
_MEANINGS = {
    "converged": "This GAN is settling near the data",
    "oscillating": "This GAN will not settle, it keeps moving around",
    "collapsed": "This GAN has lost part of the data",
    "diverged": "This GAN runs away",
    "uninformative": "This GAN has stopped learning",
    "undecided": "There is no verdict on this GAN",
}
_TITLES = {
    "predicted_wander": "predicted wander",
    "signal_to_noise": "signal to noise",
    "gradient_penalty": "gradient penalty γ",
    "discriminator_steps": "discriminator steps",
    "generator_lr": "generator learning rate",
    "discriminator_lr": "discriminator learning rate",
    "learning_rate": "learning rate",
    "batch_size": "batch size",
    "knn_coverage": "k-NN coverage",
    "hyper_parameters": "hyper-parameters alone",
    "persistence": "the run's own recent past",
}


def told(value: Any, digits: int = 3) -> str:
    """A value as people read it: numbers to a few digits, a dash where there is none."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and value in ("inf", "-inf", "nan"):
        value = float(value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _number(value, digits)
    if isinstance(value, Mapping):
        return ", ".join(f"{words(str(key))} {told(entry, digits)}" for key, entry in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(told(entry, digits) for entry in value)
    return str(value)


def _number(value: float, digits: int) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    text = f"{value + 0:.{digits}g}"
    mantissa, mark, exponent = text.partition("e")
    if not mark:
        return text
    return f"{value:.0f}" if 0 <= int(exponent) < 5 else f"{mantissa}e{int(exponent)}"


def words(name: str) -> str:
    """A public name as people say it."""
    return _TITLES.get(name, name.replace("_", " "))


def threshold(report: Report) -> float:
    """The wander above which a run counts as not converging."""
    given = number(section(report, "provenance", "settings").get("threshold"))
    return given if given > 0 else _THRESHOLD


def horizon(report: Report) -> int:
    """Over how many iterations the wander is predicted."""
    given = number(section(report, "provenance", "settings").get("horizon"))
    return int(given) if given > 0 else _HORIZON


def is_unstable(wander: Any) -> bool:
    """Whether a predicted wander is the sign of a linear instability."""
    return number(wander) > _UNSTABLE


def wander(value: Any) -> str:
    """A predicted wander, in data radii; of an instability the number stands in brackets."""
    return f"unstable [{_size(value)}]" if is_unstable(value) else told(number(value))


def horizon_cost(value: Any) -> str:
    """A horizon cost, in squared data radii; of an instability its size says nothing."""
    return "unstable" if number(value) > _UNSTABLE**2 else told(number(value))


def _size(wander: Any, unit: str = "") -> str:
    return "unbounded" if number(wander) >= _CAP else f"{told(number(wander))}{unit}"


def beside_limit(report: Report) -> str:
    """Where the score is, seen from the limit."""
    verdict, limit = section(report, "verdict"), threshold(report)
    score, margin = number(verdict.get("score")), number(verdict.get("margin"))
    # where batches disagree, the margin is less than the score says
    logarithm = math.log(limit / score) if 0 < score < math.inf else margin
    ratio, side = math.exp(min(abs(logarithm), 50.0)), "below" if logarithm >= 0 else "above"
    if ratio <= _BESIDE:
        return f"just {side} the limit of {told(limit)}"
    how = "of more than a thousand" if ratio > 1000 else told(ratio, 2)
    return f"a factor {how} {side} the limit of {told(limit)}"


def headline(report: Report) -> str:
    """The verdict in a few words, without numbers."""
    verdict = section(report, "verdict")
    outcome = str(verdict["outcome"])
    leaning = f", leaning towards {words(str(verdict['leaning']))}" if verdict.get("leaning") else ""
    return _MEANINGS[outcome] + leaning * (outcome == "undecided")


def verdict_sentence(report: Report) -> str:
    """The verdict in one sentence, with its margin where there is one."""
    return f"{headline(report)}: {margin_words(report)}."


def margin_words(report: Report) -> str:
    """Score against threshold, and the margin."""
    verdict = section(report, "verdict")
    margin, score = number(verdict.get("margin")), number(verdict.get("score"))
    if not math.isfinite(margin):
        detail = words(str(verdict.get("detail") or ""))
        return detail or "decided on other grounds than the predicted wander"
    beside = f"{beside_limit(report)} (margin {margin:+.2f})"
    expected, seen = predicted(report), number(section(report, "prediction").get("observed_wander"))
    size = f"predicted wander over {horizon(report)} iterations"
    if math.isfinite(seen) and not math.isclose(score, expected, rel_tol=1e-6):
        alone = f" (the predicted one alone: {UNSTABLE} [{_size(expected)}])" if is_unstable(expected) else ""
        return f"predicted and observed wander together are {told(score)} data radii{alone}, {beside}"
    if is_unstable(score):
        return f"{size} is {UNSTABLE} [{_size(score, ' data radii')}], {beside}"
    return f"{size} is {told(score)} data radii, {beside}"


def lead(report: Report) -> str:
    """What the headline rests on, as a sentence."""
    text = margin_words(report)
    return f"{text[:1].upper()}{text[1:]}."


def predicted(report: Report) -> float:
    """The median of the predicted wander."""
    value = section(report, "prediction").get("predicted_wander")
    return number(value.get("median") if isinstance(value, Mapping) else value)


def confidence(report: Report) -> tuple[str, str]:
    """How often such a verdict was right, and where that was counted, or why it is not told."""
    verdict = section(report, "verdict")
    share, source = number(verdict.get("confidence")), str(verdict.get("confidence_source") or "")
    said = f"{100 * share:.0f} %" if math.isfinite(share) else "not stated"
    return said, "unvalidated" if source.startswith(_UNVALIDATED) else source


def unvalidated(report: Report) -> str:
    """In what the game is beyond everything that was tested, as a line; empty if it is not."""
    source = str(section(report, "verdict").get("confidence_source") or "")
    return f"Unvalidated: {source.removeprefix(_UNVALIDATED).strip()}." if source.startswith(_UNVALIDATED) else ""


def full_first(report: Report) -> bool:
    """Whether gradient penalties are told first for γ E|∇D|², without the factor 1/2."""
    return section(report, "provenance", "settings").get("convention") == "full"


def both_conventions(value: Any, full: Any = None, *, full_first: bool = False) -> str:
    """A gradient penalty γ of (γ/2) E|∇D|², and the number that means the same without the factor 1/2."""
    given = number(value)
    if given == 0:
        return "0"
    other = number(full) if full is not None else given / 2
    if full_first:
        return f"{told(other)} without the 1/2 [{told(given)} with it]"
    return f"{told(given)} [{told(other)} without the 1/2]"


def setting_text(setting: Any, *, full_first: bool = False) -> str:
    """A changed setting."""
    if not isinstance(setting, Mapping):
        return str(setting)
    parts = []
    for name, value in setting.items():
        if name == "gradient_penalty":
            parts.append(f"γ {both_conventions(value, full_first=full_first)}")
        else:
            parts.append(f"{words(str(name))} {told(value)}")
    return ", ".join(parts) or AS_IT_IS


def game_line(report: Report) -> str:
    """Which game at which checkpoint."""
    game = section(report, "game")
    sizes = [number(game.get(f"{player}_parameters")) for player in ("generator", "discriminator")]
    parts = [f"{'PyTorch' if game.get('backend') == 'torch' else str(game.get('backend', '')).upper()} game"]
    if all(map(math.isfinite, sizes)):
        parts.append(f"{sizes[0]:,.0f} + {sizes[1]:,.0f} parameters")
    if game.get("iteration") is not None:
        parts.append(f"iteration {told(game['iteration'])}")
    if game.get("train_batch_size") is not None:
        parts.append(f"batches of {told(game['train_batch_size'])}")
    return ", ".join(parts)


def rule_line(report: Report) -> str:
    """How it is trained."""
    rule = section(report, "game", "rule")
    parts = [f"{rule['order']} updates"] if rule.get("order") else []
    steps = rule.get("discriminator_steps")
    parts += [f"{told(steps)} discriminator steps"] if steps not in (None, 1) else []
    for player in ("generator", "discriminator"):
        optimizer = section(rule, player)
        if optimizer:
            rest = {key: value for key, value in optimizer.items() if key not in ("kind", "eps") and value is not None}
            parts.append(f"{player} {optimizer.get('kind', '')} ({told(rest)})")
    game = section(report, "game")
    if game.get("gradient_penalty") is not None:
        values = (game["gradient_penalty"], game.get("gradient_penalty_full_convention"))
        penalty = both_conventions(*values, full_first=full_first(report))
        parts.append(f"γ = {penalty}")
    text = "; ".join(parts)
    return text[:1].upper() + text[1:]


def risk_line(report: Report) -> str:
    """The one statement about the risk of collapse."""
    risk = section(report, "verdict").get("risk")
    return told(risk) if risk else "not stated"


def cost_line(report: Report) -> str:
    """What the diagnosis cost."""
    cost = section(report, "cost")
    parts = []
    if cost.get("seconds") is not None:
        parts.append(f"{told(cost['seconds'])} s")
    if cost.get("compile_seconds"):
        parts.append(f"{told(cost['compile_seconds'])} s of compilation")
    if cost.get("velocity_evaluations") is not None:
        parts.append(f"{told(cost['velocity_evaluations'])} gradient evaluations")
    if cost.get("jacobian_products") is not None:
        parts.append(f"{told(cost['jacobian_products'])} products with Jacobians")
    if cost.get("iterations_equivalent") is not None:
        parts.append(f"as much as {told(cost['iterations_equivalent'])} training iterations")
    return f"Cost: {', '.join(parts)}." if parts else ""


def provenance_line(report: Report) -> str:
    """Which program and which seed."""
    seed = section(report, "provenance").get("seed")
    return f"ganscope {report.get('version', '')}" + (f", seed {told(seed)}" if seed is not None else "")
