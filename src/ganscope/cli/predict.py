"""`ganscope predict`: what theory says about an experiment."""

import dataclasses
import json
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ganscope.cli.experiment import Experiment, read_experiments
from ganscope.cli.output import print_json, say, shown, table, wrapped
from ganscope.core.errors import ParameterError
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
        say(wrapped(f"prediction: {outcome_line(prediction)}", "  "))
        say(thresholds_table(experiment.game, prediction))
        rates = {name: value for name, value in prediction.rates.items() if not isinstance(value, list | tuple)}
        if rates and (prediction.rule or has_schemes(experiment.game)):
            whose = f"{prediction.rule} updates" if prediction.rule else f"level {experiment.about['level']}"
            say(wrapped(f"rates of {whose}: {shown(rates)}", "  "))
        for reason in prediction.reasons:
            say(wrapped(f"- {reason}", "  "))
        for line in _recommended(prediction):
            say(wrapped(line, "  "))
        say()
    return 0


def _recommended(prediction: Prediction) -> list[str]:
    """Recommended values; those that belong to a recommended bandwidth in a line of their own."""
    best = dict(prediction.best)
    at_bandwidth = best.pop("at_bandwidth", None)
    lines = []
    if "bandwidth" in best:
        text = f"recommended bandwidth: {shown(best.pop('bandwidth'))}"
        lines.append(f"{text}, with {shown(at_bandwidth)}" if at_bandwidth else text)
    if best:
        lines.insert(0, f"recommended{' at the present bandwidth' * bool(lines)}: {shown(best)}")
    return lines


def refuse_options(given: Mapping[str, Any]) -> None:
    """Options about points make no sense beside an experiment file.

    Raises:
        ParameterError: If there are any.
    """
    for name, value in given.items():
        expected = "nothing with an experiment file: it goes with a .npy or .csv file, or digits"
        raise ParameterError(f"--{name.replace('_', '-')}", value, expected)


def _report(experiment: Experiment, prediction: Prediction) -> dict[str, Any]:
    return {"game": game_content(experiment.game), "prediction": prediction.to_dict()}


def collected(reports: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The report of a file without variants, or all of them under `variants`."""
    return reports.get("", {"variants": reports})


def game_content(game: Game) -> dict[str, Any]:
    """A game as JSON holds it."""
    content: dict[str, Any] = json.loads(to_json(game))
    return content


def heading(name: str, game: Game, varied: Collection[str] = ()) -> str:
    """Which experiment this is: the variant's name, and the parameters that were chosen and are not varied."""
    chosen = {k: v for k, v in game_content(game).items() if k not in ("model", "follows", *game.followed, *varied)}
    if has_schemes(game) or len(chosen) > _MANY:  # most of many parameters are left at their defaults
        chosen = {k: v for k, v in chosen.items() if k not in _untouched(game)}
    parts = [f"{key} {_short(value)}" for key, value in chosen.items() if value is not None]
    text = wrapped(f"{game.model}: {'; '.join(parts) or 'all parameters at their defaults'}", "  ")
    return f"{name}\n{'=' * len(name)}\n{text}" if name else text


# Parameters from which on a heading names only those that were chosen.
_MANY = 16


def _untouched(game: Game) -> list[str]:
    """Parameters that have their default values."""
    defaults = {f.name: f.default for f in dataclasses.fields(game) if f.init}  # type: ignore[arg-type]
    return [
        n
        for n, default in defaults.items()
        if isinstance(getattr(game, n), type(default)) and getattr(game, n) == default
    ]


# Longer arrays are only mentioned.
_LONGEST, _MOST_ROWS = 8, 4


def _short(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], list) and len(value) > _MOST_ROWS:
        return f"(array of {len(value)} rows)"
    if isinstance(value, list) and len(value) > _MOST_ROWS and value.count(value[0]) == len(value):
        return f"{shown(value[0])} each"
    if isinstance(value, list) and len(value) > _LONGEST:
        return f"(array of {len(value)})"
    if isinstance(value, dict) and "name" in value:  # a part with parameters of its own, such as a kernel
        return f"{value['name']}({shown({k: v for k, v in value.items() if k != 'name'})})"
    if isinstance(value, dict) and "distribution" in value:
        numbers = [shown(v) for v in value.get("arguments", ())]
        named = [f"{k} {shown(v)}" for k, v in value.get("keywords", {}).items()]
        return f"{value['distribution']}({', '.join(numbers + named)})"
    if isinstance(value, dict) and "mixture" in value:
        return f"mixture of {', '.join(map(_short, value['mixture']))} with weights {shown(value['weights'])}"
    if isinstance(value, dict):
        return "given"
    return shown(value)


def outcome_line(prediction: Prediction) -> str:
    """The outcome with its finer label and margin."""
    margin = "" if math.isnan(prediction.margin) else f", margin {shown(prediction.margin, 3)}"
    near = ", near critical" if prediction.near_critical else ""
    return f"{prediction.outcome} ({prediction.detail}){margin}{near}"


def thresholds_table(game: Game, prediction: Prediction) -> str:
    """Thresholds with one number per feature as columns, the others in a line."""
    if has_schemes(game):
        return _known_values(prediction.thresholds)
    columns = {k: v for k, v in prediction.thresholds.items() if isinstance(v, list | tuple)}
    single = {k: v for k, v in prediction.thresholds.items() if k not in columns}
    lines = [wrapped(f"stability changes at: {shown(single)}", "  ")] if single else []
    longest = max((len(v) for v in columns.values()), default=0)
    strengths = getattr(game, "feature_variance", None)
    if isinstance(strengths, tuple) and len(strengths) == longest:
        columns = {"variance": strengths, **columns}
    if longest:
        header = ["feature", *(name.replace("_", " ") for name in columns)]
        rows = [[str(i + 1), *(shown(v[i]) if i < len(v) else "" for v in columns.values())] for i in range(longest)]
        lines.insert(0, table(header, rows))
    return "\n".join(lines)


def has_schemes(game: Game) -> bool:
    """Whether the game is a flow that schemes approach, so that theory speaks of step sizes."""
    return any(level.takes_step_size for level in game.levels.values())


_STEP = "largest_step_"


def _known_values(values: Mapping[str, Any]) -> str:
    """The largest stable step of every scheme in a line, what else is known of the flow in another."""
    steps = {name.removeprefix(_STEP): value for name, value in values.items() if name.startswith(_STEP)}
    known = {name: value for name, value in values.items() if not name.startswith(_STEP)}
    known = {name: [*v[:_LONGEST], "..."] if _is_long(v) else v for name, v in known.items()}
    parts = {"known values": known, "largest stable step_size": steps}
    return "\n".join(wrapped(f"{title}: {shown(of)}", "  ") for title, of in parts.items() if of)


def _is_long(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > _LONGEST
