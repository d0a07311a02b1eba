"""What to change, and whether that was checked, in words."""

import math

from ganscope.figures.diagnosis_reading import Report, number, numbers, section
from ganscope.figures.diagnosis_words import both_conventions, full_first, told, words


def advice_title(advice: Report, *, full_first: bool = False) -> str:
    """What to do, in a few words that promise no more than was measured."""
    wording = str(advice.get("wording") or "try")
    if wording == "leave it" or advice.get("value") is None:
        return "Leave it as it is"
    name = words(str(advice.get("parameter", "")))
    return f"{'Set' if wording == 'will' else 'Try'} {name} = {advice_value(advice, full_first=full_first)}"


def advice_value(advice: Report, *, full_first: bool = False) -> str:
    """The value that an advice recommends, a gradient penalty in both conventions."""
    if advice.get("parameter") == "gradient_penalty":
        return both_conventions(advice.get("value"), advice.get("value_full_convention"), full_first=full_first)
    return told(advice.get("value"))


def is_clipped(advice: Report) -> bool:
    """Whether an advice was kept to the range that was tested."""
    unclipped, value = number(advice.get("unclipped")), number(advice.get("value"))
    return math.isfinite(unclipped) and not math.isclose(unclipped, value, rel_tol=1e-9)


def advice_remarks(report: Report, advice: Report) -> list[str]:
    """What is to be said beside an advice."""
    found = []
    if is_clipped(advice):
        found.append(
            f"Unclipped it would be {told(advice.get('unclipped'))}; advice keeps to the range that was tested."
        )
    if advice.get("parameter") == "gradient_penalty" and reference_line(report):
        found.append(reference_line(report))
    return found


def reference_line(report: Report) -> str:
    """That a penalty of the squared data radius did better than the advised one with every seed; empty if it did not.

    A penalty of R² is what everybody could try without any measurement.
    """
    arms = {str(arm.get("name")): arm for arm in section(report, "verification", "forks").get("arms") or []}
    if not {"advised", "reference"} <= set(arms):
        return ""
    advised, plain = (numbers(arms[name].get("scores")) for name in ("advised", "reference"))
    if len(plain) == 0 or len(plain) != len(advised) or not (plain < advised).all():
        return ""
    value = both_conventions(arms["reference"].get("gradient_penalty"), full_first=full_first(report))
    seeds = "every seed" if len(plain) > 1 else "the one seed"
    return f"The reference, γ = R² = {value}, did better than the advised value with {seeds}."


def twin_line(twin: Report) -> str:
    """What two copies of the run, a hair apart, did against what the linear theory says."""
    modulus, angle = [*(twin.get("predicted") or []), None, None][:2]
    seen, turned = [*(twin.get("observed") or []), None, None][:2]
    text = f"Their difference was predicted to grow by {told(modulus, 4)} per iteration, turning by {told(angle)} rad"
    text += f"; it grew by {told(seen, 4)}, turning by {told(turned)}."
    if twin.get("horizon") is not None:
        text += f" The linear picture is good for {_horizon(twin)} iterations."
    return text


def _horizon(twin: Report) -> str:
    """How long the linear picture holds; it was looked at for as many iterations as there are errors."""
    good, looked = number(twin.get("horizon")), len(twin.get("errors") or []) or math.inf
    return f"at least {looked}" if good > looked else f"about {told(twin['horizon'])}"


def forks_line(report: Report) -> str:
    """How long the forks were, and what they say about the advice."""
    forks = section(report, "verification", "forks")
    text = f"{told(forks.get('iterations'))} iterations, {told(forks.get('seeds'))} seeds"
    text = f"{text}: the advice is {forks['verdict']}." if forks.get("verdict") else f"{text}."
    return f"{text} {reference_line(report)}".rstrip()
