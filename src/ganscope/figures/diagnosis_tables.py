"""The numbers of a diagnosis as tables: what every panel shows, and what has no panel."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ganscope.figures.diagnosis_reading import Report, entries, number, numbers, points, section
from ganscope.figures.diagnosis_words import (
    AS_IT_IS,
    both_conventions,
    full_first,
    horizon_cost,
    setting_text,
    told,
    wander,
    words,
)

# Multipliers whose angle is larger overshoot a steep direction at every step: no rotation of the game.
FLIP_ANGLE = 2.5
# Longer tables end with a note.
MOST_ROWS = 64
_UNSTABLE = "unstable: the linear picture runs away, and the number in brackets is no distance that would be seen."
_DRIVEN = (
    "driven: the discriminator's own curvature pushes this mode at these weights; such parts are left out of the "
    "virtual equilibrium."
)


class Table(NamedTuple):
    """A table of texts, and a note on what it leaves out."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def capped(header: Sequence[str], rows: Sequence[Sequence[Any]], most: int = MOST_ROWS) -> Table:
    """A table with at most so many rows, values as texts."""
    shown = [[entry if isinstance(entry, str) else told(entry, 4) for entry in row] for row in rows[:most]]
    left = len(rows) - len(shown)
    return Table(header, shown, f"{left} further rows are in the saved report." if left else "")


def is_flip(multipliers: Any) -> Any:
    """Which multipliers flip sign at every iteration."""
    return np.abs(np.angle(multipliers)) > FLIP_ANGLE


def multipliers(report: Report) -> Table:
    """Multipliers of both maps, the largest first."""
    rows = []
    for name, key in (("virtual equilibrium", "multipliers_virtual"), ("all blocks kept", "multipliers_full")):
        pairs = points(section(report, "spectrum").get(key))
        values = pairs[:, 0] + 1j * pairs[:, 1]
        for value in values[np.argsort(-np.abs(values), kind="stable")]:
            angle = abs(float(np.angle(value)))
            period = 2 * np.pi / angle if angle > 1e-12 else np.inf
            kind = "flip" if is_flip(value) else "rotating" if angle > 1e-12 else "real"
            rows.append([name, float(abs(value)), angle, float(period), kind])
    # of a pair of conjugates the second row would say the same
    unique = [row for k, row in enumerate(rows) if k == 0 or row != rows[k - 1]]
    half = MOST_ROWS // 2
    parts = [[row for row in unique if row[0] == name] for name in ("virtual equilibrium", "all blocks kept")]
    table = capped(
        ["map", "modulus", "angle [rad]", "period [iterations]", "kind"], [row for part in parts for row in part[:half]]
    )
    left = sum(max(0, len(part) - half) for part in parts)
    return table._replace(note=f"{left} further rows are in the saved report." if left else "")


def modes(report: Report, most: int = MOST_ROWS) -> Table:
    """Rotation, period, friction and damping ratio of every mode."""
    spectrum = section(report, "spectrum")
    sigma, friction, damping = (numbers(spectrum.get(key)) for key in ("sigma", "friction", "damping_ratio"))
    rows = []
    for k in range(min(map(len, (sigma, friction, damping)))):
        period = 2 * np.pi / sigma[k] if sigma[k] > 0 else np.inf
        rows.append([k + 1, *map(float, (sigma[k], period, friction[k], damping[k])), damped(damping[k])])
    table = capped(["mode", "rotation σ", "period", "friction c", "damping ζ", ""], rows, most)
    return table._replace(note=" ".join(filter(None, (driven_note(table), table.note))))


def driven_note(table: Table) -> str:
    """What a mode with negative damping is, if the table of modes has one."""
    return _DRIVEN if any(row[-1] == "driven" for row in table.rows) else ""


def damped(ratio: float) -> str:
    """What a damping ratio means."""
    if not np.isfinite(ratio):
        return ""
    if ratio <= 0:
        return "driven" if ratio < 0 else "undamped"
    return "overdamped" if ratio >= 1 else "rotates"


def gamma(report: Report) -> Table:
    """Predicted wander and horizon cost over the gradient penalty, and forks measured there."""
    sweep = section(report, "gamma_sweep")
    columns = [numbers(sweep.get(key)) for key in ("gamma", "gamma_over_r2", "predicted_wander", "horizon_cost")]
    rows = []
    for values in zip(*(map(float, column) for column in columns), strict=False):
        rows.append([values[0], values[0] / 2, values[1], wander(values[2]), horizon_cost(values[3]), ""])
    for arm, value, score in fork_points(report):
        rows.append([value, value / 2, "", "", "", f"{told(score)} ({arm})"])
    first = full_first(report)
    marks = [
        f"{name} γ = {both_conventions(sweep[name], full_first=first)}"
        for name in ("given", "advised")
        if sweep.get(name) is not None
    ]
    header = ["γ", "γ without 1/2", "γ / R²", "predicted wander", "horizon cost", "measured fork"]
    table = capped(header, rows)
    return table._replace(note=" ".join([*(f"{mark}." for mark in marks), table.note]).strip())


def fork_points(report: Report) -> list[tuple[str, float, float]]:
    """Every measured fork: its arm, gradient penalty and score, a distance from the data in data radii."""
    found = []
    for arm in section(report, "verification", "forks").get("arms") or []:
        value = number(arm.get("gradient_penalty"))
        found += [(str(arm.get("name", "")), value, float(score)) for score in numbers(arm.get("scores"))]
    return found


def forks(report: Report) -> Table:
    """The arms of the forked runs."""
    rows = []
    for arm in section(report, "verification", "forks").get("arms") or []:
        scores = ", ".join(map(told, numbers(arm.get("scores")).tolist()))
        penalty = both_conventions(arm.get("gradient_penalty"), full_first=full_first(report))
        rows.append([words(str(arm.get("name", ""))), penalty, scores, arm.get("outcome")])
    return capped(["arm", "γ", "distance from data, per seed", "outcome"], rows)


def samples(report: Report) -> Table:
    """What was measured on the samples."""
    content = section(report, "samples")
    names = {
        "collapsed": "collapsed",
        "energy_distance": "energy distance from data / R",
        "spread": "spread (1: that of the data)",
        "knn_coverage": "k-NN coverage (1: that of fresh data)",
        "density": "density",
        "effective_rank": "effective rank (1: that of the data)",
        "soft_coverage": "soft coverage of modes",
    }
    rows = [[text, content[key]] for key, text in names.items() if content.get(key) is not None]
    counts = [len(content.get(key) or []) for key in ("real", "fake")]
    note = f"The picture shows {counts[0]} real and {counts[1]} generated samples."
    return capped(["quantity", "value"], rows)._replace(note=note)


def history(report: Report) -> Table:
    """The monitor's readings, the last ones."""
    readings: list[Mapping[str, Any]] = entries(report, "history")
    names = list(dict.fromkeys(key for reading in readings for key in reading))
    names = [name for name in names if any(_plain(reading.get(name)) for reading in readings)]
    rows = [[_reading(reading, name) for name in names] for reading in readings]
    table = capped([words(name) for name in names], rows[-MOST_ROWS:])
    left = len(rows) - len(table.rows)
    return table._replace(note=f"{left} earlier readings are in the saved report." if left else "")


def _reading(reading: Mapping[str, Any], name: str) -> Any:
    value = reading.get(name)
    return wander(value) if name == "predicted_wander" and value is not None else value


def _plain(value: Any) -> bool:
    return isinstance(value, int | float | str)


def what_if(report: Report) -> Table:
    """What would change under other settings; the present gradient penalty is no other setting."""
    first, rows = full_first(report), []
    present, own = _present_penalty(report), []
    for entry in entries(report, "what_if"):
        setting = entry.get("setting")
        numbers = [wander(entry.get("predicted_wander")), horizon_cost(entry.get("horizon_cost"))]
        text = setting_text(setting, full_first=first)
        if not setting and np.isfinite(present):
            own, text = numbers, f"{AS_IT_IS}, γ {both_conventions(present, full_first=first)}"
        elif numbers == own and _is_penalty(setting, present):
            continue
        rows.append([text, *numbers, entry.get("status"), entry.get("note") or ""])
    table = capped(["setting", "predicted wander", "horizon cost", "status", "note"], rows)
    return table._replace(note=" ".join(filter(None, (unstable_note(table), table.note))))


def unstable_note(table: Table) -> str:
    """What an instability means, if a table of what-ifs has one."""
    return _UNSTABLE if any(text.startswith("unstable") for row in table.rows for text in row) else ""


def _is_penalty(setting: Any, value: float) -> bool:
    """Whether a setting changes the gradient penalty alone, to this value."""
    named = isinstance(setting, Mapping) and set(setting) == {"gradient_penalty"}
    return named and bool(np.isclose(number(setting["gradient_penalty"]), value, rtol=1e-9, atol=0))


def _present_penalty(report: Report) -> float:
    """Weight of the gradient penalty that the game has; NaN if it has one of another kind."""
    game = section(report, "game")
    return float("nan") if game.get("other_penalty") else number(game.get("gradient_penalty"))


def rightmost(report: Report) -> Table:
    """The rightmost eigenvalues of the full game, if they were asked for."""
    rows = [
        [entry.get(key) for key in ("real", "imaginary", "residual", "visibility", "label")]
        for entry in section(report, "spectrum").get("rightmost") or []
    ]
    return capped(["real part", "imaginary part", "residual", "visibility", "kind"], rows)


def kernel(report: Report) -> Table:
    """The generator's kernel."""
    return capped(["quantity", "value"], [[words(key), value] for key, value in section(report, "kernel").items()])


def further(report: Report) -> Table:
    """Baselines of the verdict, radii of the maps and further predictions."""
    spectrum, prediction = section(report, "spectrum"), section(report, "prediction")
    rows: list[list[Any]] = [
        [f"baseline: {words(key)}", value] for key, value in section(report, "verdict", "baselines").items()
    ]
    for name, part, key in (
        ("spectral radius, virtual equilibrium", spectrum, "radius_virtual"),
        ("spectral radius, all blocks kept (no verdict rests on it)", spectrum, "radius_full"),
        ("growth per iteration without flips", prediction, "growth_virtual"),
        ("predicted wander of single samples", prediction, "particle_wander"),
        ("data radius R", section(report, "game"), "data_radius"),
    ):
        if part.get(key) is not None:
            rows.append([name, wander(part[key]) if key == "particle_wander" else part[key]])
    return capped(["quantity", "value"], rows)


def settings(report: Report) -> Table:
    """The settings in force."""
    given = section(report, "provenance", "settings")
    return capped(["setting", "value"], [[key, value] for key, value in given.items()])
