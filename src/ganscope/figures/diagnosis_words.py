"""A diagnosis in words: the sentences that the page, the figure and the command line share."""

import math
from collections.abc import Mapping
from typing import Any

from ganscope.figures.diagnosis_reading import Report, number, section

# Defaults of the settings that the sentences speak of.
_THRESHOLD, _HORIZON = 0.1, 1024
# Predicted wanders are capped here: beyond it there is nothing to tell apart.
_CAP = 1e9
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


def wander(value: Any) -> str:
    """A wander, in data radii; the cap is told as such."""
    size = number(value)
    return "unbounded" if size >= _CAP else told(size)


def factor(margin: float) -> str:
    """How far a score is from the threshold, from its logarithmic margin."""
    ratio = math.exp(min(abs(margin), 50.0))
    return "of more than a thousand" if ratio > 1000 else told(ratio, 2)


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
    margin, limit = number(verdict.get("margin")), threshold(report)
    score = number(verdict.get("score"))
    if not math.isfinite(margin):
        detail = words(str(verdict.get("detail") or ""))
        return detail or "decided on other grounds than the predicted wander"
    side = "below" if margin > 0 else "above"
    size = "beyond all bounds" if score >= _CAP else f"{told(score)} data radii"
    seen = number(section(report, "prediction").get("observed_wander"))
    mean = math.isfinite(seen) and not math.isclose(score, predicted(report), rel_tol=1e-6)
    what = (
        "predicted and observed wander together are"
        if mean
        else f"predicted wander over {horizon(report)} iterations is"
    )
    return f"{what} {size}, a factor {factor(margin)} {side} the limit of {told(limit)} (margin {margin:+.2f})"


def lead(report: Report) -> str:
    """What the headline rests on, as a sentence."""
    text = margin_words(report)
    return f"{text[:1].upper()}{text[1:]}."


def is_clipped(advice: Report) -> bool:
    """Whether an advice was kept to the range that was tested."""
    unclipped, value = number(advice.get("unclipped")), number(advice.get("value"))
    return math.isfinite(unclipped) and not math.isclose(unclipped, value, rel_tol=1e-9)


def clipped_line(advice: Report) -> str:
    """That an advice was kept to the range that was tested."""
    return f"Unclipped it would be {told(advice.get('unclipped'))}; advice keeps to the range that was tested."


def predicted(report: Report) -> float:
    """The median of the predicted wander."""
    value = section(report, "prediction").get("predicted_wander")
    return number(value.get("median") if isinstance(value, Mapping) else value)


def confidence(report: Report) -> str:
    """How often such a verdict was right, and where that was counted."""
    verdict = section(report, "verdict")
    share, source = number(verdict.get("confidence")), verdict.get("confidence_source")
    if not math.isfinite(share):
        return f"not stated{f': {source}' if source else ''}"
    return f"{100 * share:.0f} %{f' ({source})' if source else ''}"


def full_first(report: Report) -> bool:
    """Whether gradient penalties are told first for γ E|∇D|², without the factor 1/2."""
    return section(report, "provenance", "settings").get("convention") == "full"


def both_conventions(value: Any, full: Any = None, *, full_first: bool = False) -> str:
    """A gradient penalty γ of (γ/2) E|∇D|², and the number that means the same without the factor 1/2."""
    given = number(value)
    other = number(full) if full is not None else given / 2
    if full_first:
        return f"{told(other)} without the 1/2 [{told(given)} with it]"
    return f"{told(given)} [{told(other)} without the 1/2]"


def setting_text(setting: Any) -> str:
    """A changed setting."""
    if not isinstance(setting, Mapping):
        return str(setting)
    parts = []
    for name, value in setting.items():
        if name == "gradient_penalty":
            parts.append(f"γ {both_conventions(value)}")
        else:
            parts.append(f"{words(str(name))} {told(value)}")
    return ", ".join(parts) or "as it is"


def advice_value(advice: Report, *, full_first: bool = False) -> str:
    """The value that an advice recommends, a gradient penalty in both conventions."""
    if advice.get("parameter") == "gradient_penalty":
        return both_conventions(advice.get("value"), advice.get("value_full_convention"), full_first=full_first)
    return told(advice.get("value"))


def advice_title(advice: Report, *, full_first: bool = False) -> str:
    """What to do, in a few words that promise no more than was measured."""
    wording = str(advice.get("wording") or "try")
    if wording == "leave it" or advice.get("value") is None:
        return "Leave it as it is"
    name = words(str(advice.get("parameter", "")))
    return f"{'Set' if wording == 'will' else 'Try'} {name} = {advice_value(advice, full_first=full_first)}"


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


def twin_line(twin: Report) -> str:
    """What two copies of the run, a hair apart, did against what the linear theory says."""
    modulus, angle = [*(twin.get("predicted") or []), None, None][:2]
    seen, turned = [*(twin.get("observed") or []), None, None][:2]
    text = f"Their difference was predicted to grow by {told(modulus, 4)} per iteration, turning by {told(angle)} rad"
    text += f"; it grew by {told(seen, 4)}, turning by {told(turned)}."
    if twin.get("horizon") is not None:
        text += f" The linear picture is good for about {told(twin['horizon'])} iterations."
    return text


def forks_line(forks: Report) -> str:
    """How long the forks were, and what they say about the advice."""
    text = f"{told(forks.get('iterations'))} iterations, {told(forks.get('seeds'))} seeds"
    return f"{text}: the advice is {forks['verdict']}." if forks.get("verdict") else f"{text}."


def cost_line(report: Report) -> str:
    """What the diagnosis cost."""
    cost = section(report, "cost")
    parts = []
    if cost.get("seconds") is not None:
        parts.append(f"{told(cost['seconds'])} s")
    if cost.get("compile_seconds") is not None:
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
