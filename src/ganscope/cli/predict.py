"""`ganscope predict`: what theory says about an experiment."""

import json
import math
from pathlib import Path
from typing import Any

from ganscope.cli.experiment import Experiment, read_experiments
from ganscope.cli.output import print_json, say, shown, table, wrapped
from ganscope.core.game import Game, to_json
from ganscope.core.outcome import Prediction
from ganscope.core.simulate import predict
from ganscope.core.version import package_version


def predict_file(path: Path, as_json: bool) -> int:
    """Predict every experiment of a file; returns the exit status."""
    experiments = read_experiments(path)
    predictions = {e.name: predict(e.game, **e.about) for e in experiments}
    if as_json:
        reports = {e.name: _report(e, predictions[e.name]) for e in experiments}
        print_json({**collected(reports), "version": package_version()})
        return 0
    for experiment in experiments:
        prediction = predictions[experiment.name]
        say(heading(experiment.name, experiment.game))
        say(f"prediction: {outcome_line(prediction)}")
        say(thresholds_table(experiment.game, prediction))
        for reason in prediction.reasons:
            say(wrapped(f"- {reason}", "  "))
        if prediction.best:
            say(wrapped(f"recommended: {shown(prediction.best)}", "  "))
        say()
    return 0


def _report(experiment: Experiment, prediction: Prediction) -> dict[str, Any]:
    return {"game": game_content(experiment.game), "prediction": prediction.to_dict()}


def collected(reports: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The report of a file without variants, or all of them under `variants`."""
    return reports.get("", {"variants": reports})


def game_content(game: Game) -> dict[str, Any]:
    """A game as JSON holds it."""
    content: dict[str, Any] = json.loads(to_json(game))
    return content


def heading(name: str, game: Game) -> str:
    """Which experiment this is: the variant's name, and the parameters that were chosen."""
    chosen = {k: v for k, v in game_content(game).items() if k not in ("model", "follows", *game.followed)}
    parts = [f"{key} {_short(value)}" for key, value in chosen.items() if value is not None]
    text = wrapped(f"{game.model}: {'; '.join(parts)}", "  ")
    return f"{name}\n{'=' * len(name)}\n{text}" if name else text


def _short(value: Any) -> str:
    if isinstance(value, list) and len(value) > 8:
        return f"(array of {len(value)} rows)" if isinstance(value[0], list) else f"(array of {len(value)})"
    if isinstance(value, dict):
        return "given"
    return shown(value)


def outcome_line(prediction: Prediction) -> str:
    """The outcome with its finer label and margin."""
    margin = "" if math.isnan(prediction.margin) else f", margin {shown(prediction.margin, 3)}"
    near = ", near critical" if prediction.near_critical else ""
    return f"{prediction.outcome} ({prediction.detail}){margin}{near}"


def thresholds_table(game: Game, prediction: Prediction) -> str:
    """Thresholds with one number per feature as columns, the others as a line each."""
    columns = {k: v for k, v in prediction.thresholds.items() if isinstance(v, list | tuple)}
    lines = [f"{k.replace('_', ' ')}: {shown(v)}" for k, v in prediction.thresholds.items() if k not in columns]
    longest = max((len(v) for v in columns.values()), default=0)
    strengths = getattr(game, "feature_variance", None)
    if isinstance(strengths, tuple) and len(strengths) == longest:
        columns = {"variance": strengths, **columns}
    if longest:
        header = ["feature", *(name.replace("_", " ") for name in columns)]
        rows = [[str(i + 1), *(shown(v[i]) if i < len(v) else "" for v in columns.values())] for i in range(longest)]
        lines.insert(0, table(header, rows))
    return "\n".join(lines)
