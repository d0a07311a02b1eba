"""`ganscope fit`: a solvable game from real data, and the noise at which its training would succeed."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.cli.output import print_json, say, shown, table, wrapped
from ganscope.cli.predict import game_content, heading, outcome_line
from ganscope.core.checks import integer
from ganscope.core.errors import NotApplicable, ParameterError, StoreError
from ganscope.core.outcome import Prediction
from ganscope.core.simulate import predict
from ganscope.core.store import write_text
from ganscope.core.version import package_version
from ganscope.games.solvable.data import FitReport, check_samples, describe, fit
from ganscope.games.solvable.model import SolvableGAN

_DIGITS_FEATURES = 2
# Components in the table after the kept ones, to show where the floor begins.
_FURTHER = 4


def fit_data(
    data: str,
    features: int | None,
    noise: float,
    scale: float | None,
    constant_columns: str | None,
    rates: dict[str, Any],
    as_json: bool,
    out: Path | None,
    force: bool = False,
) -> int:
    """Fit, predict and report; returns the exit status.

    Args:
        data: Path of a `.npy` or `.csv` file, or `digits`.
        features: How many components become features; None is the noise floor's choice, for `digits` two.
        noise: Variance of noise added to the scaled data.
        scale: Factor on the data; None makes the leading variance 5.
        constant_columns: `keep` or `refuse` columns that never vary; None refuses them in files.
        rates: `discriminator_lr` and `generator_lr`.
        as_json: Print one JSON object instead of text.
        out: Experiment file to write.
        force: Replace an experiment file that stands there.
    """
    if out is not None and out.suffix != ".toml":
        raise ParameterError("--out", str(out), "a file that ends in .toml")
    if features is not None:
        integer("features", features, at_least=1)
    digits = data == "digits"
    samples = check_samples(_digits() if digits else data, constant_columns)
    features = features or (_DIGITS_FEATURES if digits else None)
    reading: dict[str, Any] = {"scale": "auto" if scale is None else scale, "constant_columns": "keep"}
    report = describe(samples, features, **reading, **rates)
    game = fit(samples, features, added_noise=noise, **reading, **rates)
    prediction = predict(game)
    if out is not None:
        if out.exists() and not force:
            raise StoreError(f"{out} exists; choose another --out, or pass --force to replace it")
        write_text(out, _experiment_text(game, data))
    if as_json:
        content = report.to_dict()
        windows = {name: content.pop(name) for name in ("window", "window_with_floor")}
        parts = {"game": game_content(game), "fit": content, "prediction": prediction.to_dict()}
        print_json({**parts, **windows, "version": package_version()})
    else:
        _tell(data, report, game, prediction, noise, out)
    return 0


def _digits() -> npt.NDArray[np.float64]:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise NotApplicable(
            "the digits come with scikit-learn, which is not installed: pip install 'ganscope[examples]'"
        ) from None
    return np.asarray(load_digits().data, np.float64)


def _tell(
    data: str, report: FitReport, game: SolvableGAN, prediction: Prediction, noise: float, out: Path | None
) -> None:
    say(f"{data}: {report.samples} samples of dimension {report.dimension}, multiplied by {shown(report.scale)}")
    say()
    total = float(np.sum(report.eigenvalues))
    rows = []
    for i, value in enumerate(report.eigenvalues[: report.kept + _FURTHER]):
        strength = shown(report.feature_variance[i]) if i < report.kept else "noise"
        share = f"{100 * np.sum(report.eigenvalues[: i + 1]) / total:.1f} %"
        rows.append([str(i + 1), shown(float(value)), share, strength])
    say(table(["component", "variance", "sum so far", "feature variance"], rows))
    say()
    added = f" plus {shown(noise)} added" if noise else ""
    say(f"noise floor {shown(report.noise_floor)}{added} = data_noise {shown(game.data_noise)}")
    say(heading("", game))
    say(f"prediction: {outcome_line(prediction)}")
    for reason in prediction.reasons:
        say(wrapped(f"- {reason}", "  "))
    say()
    kept = "component" if report.kept == 1 else f"{report.kept} components"
    say(_window(f"the leading {kept} alone", report.window, "noise of variance"))
    say(_window("the data as they are", report.window_with_floor, "added noise of variance"))
    if out is not None:
        say(f"experiment written to {out}; go on with: ganscope run {out}")


def _window(what: str, window: tuple[float, float], noise: str) -> str:
    low, high = window
    if not (math.isfinite(low) and math.isfinite(high) and low < high and high > 0):
        text = f"For {what}, no noise lets every feature be learned and the discriminator fall silent."
    else:
        text = (
            f"For {what}, training succeeds with {noise} between {shown(low)} and {shown(high)}: with less it "
            "oscillates, with more it loses the weakest feature."
        )
    return wrapped(text, "  ")


def _experiment_text(game: SolvableGAN, data: str) -> str:
    content = game_content(game)
    follows = content.pop("follows", [])
    keys = {key: value for key, value in content.items() if value is not None and key not in follows}
    lines = [f"{key} = {_toml(value)}" for key, value in keys.items()]
    simulate = ['levels = ["ode", "chain"]', "dimension = 1000", "horizon = 400", "replicas = 8", "seed = 0"]
    source = f"# Fitted to {data!r} by ganscope {package_version()}."
    return "\n".join([source, "[game]", *lines, "", "[simulate]", *simulate, ""])


def _toml(value: Any) -> str:
    if isinstance(value, str) and value in ("inf", "-inf"):
        return value
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return f"[{', '.join(_toml(v) for v in value)}]"
    return repr(value)
