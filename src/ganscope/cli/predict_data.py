"""`ganscope predict DATA`: what a GAN with a kernel discriminator would do with a user's points."""

import io
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.cli.output import print_json, say, shown, table, wrapped
from ganscope.cli.predict import game_content, heading, outcome_line
from ganscope.cli.progress import progress_bar
from ganscope.core.checks import integer, number, one_of
from ganscope.core.errors import ParameterError, StoreError
from ganscope.core.outcome import Prediction
from ganscope.core.progress import report
from ganscope.core.random import check_seed
from ganscope.core.simulate import predict
from ganscope.core.store import write_bytes, write_text
from ganscope.core.version import package_version
from ganscope.dynamics.rules import RULES
from ganscope.games.kernel.bandwidths import Width, capturing_bandwidth, look, usual_bandwidths
from ganscope.games.kernel.data import (
    STARTS,
    Distances,
    class_means,
    digits,
    distances,
    distinct,
    principal_components,
    starting_points,
)
from ganscope.games.kernel.equilibria import DENSE
from ganscope.games.kernel.kernels import kernel_from_dict
from ganscope.games.kernel.model import KernelGAN
from ganscope.games.solvable.data import check_samples, read_table

Array = npt.NDArray[np.float64]

DIGITS = "digits"
# Data in more dimensions are reduced to so many principal components while none are asked for.
_AS_THEY_ARE, _COMPONENTS = 16, 10
_KERNELS = ("RBF", "RationalQuadratic", "Matern32", "Matern52")
_BANDWIDTHS = "a number > 0, auto, median, min, or min/NUMBER"
# Iterations of a written experiment: enough for so many decades, within limits; far starts have to travel first.
_DECADES, _SHORTEST, _LONGEST, _TRAVEL = 3, 200, 5000, 1500


@dataclass(frozen=True)
class Options:
    """What `ganscope predict DATA` can be told; None and `auto` leave the choice to theory.

    Attributes:
        components: Principal components that are kept.
        standardize: Divide every column by its standard deviation first.
        constant_columns: `keep` or `refuse` columns that never vary.
        classes: File with a label for every row: the classes' means become the true points.
        images: For `digits`, all images instead of the class means.
        generated, start, seed: How many generated points, and where they start: `near` or `random`.
        kernel, bandwidth, regularization, generator_lr, discriminator_lr, rule: Of the game.
    """

    components: int | None = None
    standardize: bool = False
    constant_columns: str | None = None
    classes: str | None = None
    images: bool = False
    generated: int | None = None
    start: str = "near"
    seed: int = 0
    kernel: str = "RBF"
    bandwidth: str = "auto"
    regularization: str = "auto"
    generator_lr: str = "auto"
    discriminator_lr: float = 0.2
    rule: str = RULES[0]


@dataclass(frozen=True)
class _Points:
    """True points and masses, and what was done to the data to get them."""

    points: Array
    mass: Array
    rows: int
    dimension: int
    reduced: bool
    what: str


def predict_data(data: str, options: Options, as_json: bool, out: Path | None, force: bool) -> int:
    """Predict what a kernel GAN does with points; returns the exit status.

    Args:
        data: Path of a `.npy` or `.csv` file whose rows are points, or `digits`.
        options: How to read the data, and the game.
        as_json: Print one JSON object instead of text.
        out: Experiment file to write.
        force: Replace what stands there.
    """
    if out is not None:
        _check_out(out, force)
    one_of("--start", options.start, STARTS)
    one_of("--kernel", options.kernel, _KERNELS)
    one_of("--rule", options.rule, RULES)
    chosen = {name: _number_or_auto(name, getattr(options, name)) for name in ("regularization", "generator_lr")}
    discriminator_lr = number("discriminator_lr", options.discriminator_lr, above=0)
    check_seed(options.seed)
    _bandwidth(options.bandwidth, Distances(1.0, 1.0))  # refuse it before any work
    found = _points(data, options)
    apart = distances(found.points, options.seed)
    count = None if options.generated is None else integer("--generated", options.generated, at_least=1)
    start = starting_points(found.points, count, options.start, options.seed)
    width = _bandwidth(options.bandwidth, apart)
    base = KernelGAN(
        found.points,
        start,
        found.mass,
        found.mass if len(start) == len(found.points) else np.full(len(start), found.mass.sum() / len(start)),
        kernel_from_dict({"name": options.kernel, "bandwidth": width or apart.smallest / 3}),
        discriminator_lr=discriminator_lr,
    )
    with progress_bar():
        capturing, advice = capturing_bandwidth(base)
        game, widths = _look_around(base, options, apart, capturing if width is None else width, chosen)
        report("prediction", 0, 1)
        prediction = predict(game, rule=options.rule)
    own = next(w for w in widths if w.bandwidth == game.bandwidth)
    if out is not None:
        _write(out, data, game, own, options)
    if as_json:
        print_json(_content(found, apart, game, prediction, widths, own, capturing, advice))
    else:
        _tell(data, found, apart, prediction, widths, own, options)
        say()
        say(wrapped(f"- {advice}", "  "))
        for line in _words(widths, own, options, out, capturing):
            say(wrapped(line, "  "))
    return 0


def _look_around(
    base: KernelGAN, options: Options, apart: Distances, chosen: float, rates: Mapping[str, float | None]
) -> tuple[KernelGAN, list[Width]]:
    """The game at the chosen bandwidth, and the bandwidths worth comparing with it."""
    named = usual_bandwidths(apart, {"chosen": chosen})
    widths = []
    game = base
    for done, (name, bandwidth) in enumerate(named.items()):
        report("bandwidths", done, len(named))
        own = abs(bandwidth / chosen - 1) <= 1e-9
        trial = base.replace(bandwidth=chosen if own else bandwidth)
        width, seen = look(trial, name, apart, options.rule, **rates, from_afar=options.start == "random")
        widths.append(width)
        game = seen if own else game
    report("bandwidths", len(named), len(named))
    return game, widths


def _points(data: str, options: Options) -> _Points:
    """The true points that the options make of the data."""
    if data == DIGITS:
        if options.classes is not None or options.standardize or options.constant_columns is not None:
            raise ParameterError(
                "digits", "with --classes, --standardize or --constant-columns", "--means or --images, and --components"
            )
        components = _COMPONENTS if options.components is None else options.components
        points, mass = digits(components, means=not options.images)
        what = "images" if options.images else "class means"
        return _Points(points, mass, 1797, 64, True, f"{len(points)} {what}")
    if options.images:
        raise ParameterError("--images", data, f"{DIGITS} as the data")
    constant = "refuse" if options.constant_columns is None else options.constant_columns
    rows = check_samples(data, constant)
    count, dimension = rows.shape
    if options.standardize:
        deviation = rows.std(axis=0)
        rows = (rows - rows.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    reduced = options.components is not None or dimension > _AS_THEY_ARE
    if reduced:
        components = min(_COMPONENTS, *rows.shape) if options.components is None else options.components
        rows = principal_components(rows, components)
    if options.classes is not None:
        points, mass = class_means(rows, _labels(options.classes, count))
        if len(points) < 2:
            raise ParameterError("--classes", f"{len(points)} label", "at least two different labels")
        what = f"{len(points)} class means"
    else:
        points, mass = distinct(rows)
        copies = count - len(points)
        what = f"{len(points)} points" + (f" ({copies} equal to others, whose mass they add to)" if copies else "")
    return _Points(points, mass, count, dimension, reduced, what)


def _labels(path: str, count: int) -> Array:
    try:
        labels = read_table(path)
    except ParameterError as error:
        raise ParameterError("--classes", path, f"a file of labels: {error.expected}") from None
    if labels.size != count or not np.all(np.isfinite(labels)):
        raise ParameterError("--classes", f"{labels.size} labels", f"one number per row of the data, {count}")
    return labels.ravel()


def _number_or_auto(name: str, text: str) -> float | None:
    if text == "auto":
        return None
    try:
        value = float(text)
    except ValueError:
        raise ParameterError(name, text, "a number > 0, or auto") from None
    return number(name, value, above=0)


def _bandwidth(text: str, apart: Distances) -> float | None:
    """The bandwidth that a text stands for; None for `auto`."""
    if text == "auto":
        return None
    if text == "median":
        return apart.median
    match = re.fullmatch(r"min(?:/([0-9.]+))?", text)
    try:
        value = float(text) if match is None else apart.smallest / float(match[1] or 1.0)
    except (ValueError, ZeroDivisionError):
        raise ParameterError("bandwidth", text, _BANDWIDTHS) from None
    if not (math.isfinite(value) and value > 0):
        raise ParameterError("bandwidth", text, _BANDWIDTHS)
    return value


def _content(
    found: _Points,
    apart: Distances,
    game: KernelGAN,
    prediction: Prediction,
    widths: list[Width],
    own: Width,
    capturing: float,
    advice: str,
) -> dict[str, Any]:
    return {
        "data": {
            "rows": found.rows,
            "dimension": found.dimension,
            "points": len(found.points),
            "axes": game.axes,
            "smallest_distance": apart.smallest,
            "median_distance": apart.median,
        },
        "game": game_content(game),
        "prediction": prediction.to_dict(),
        "at": own.to_dict(),
        "bandwidths": [width.to_dict() for width in widths],
        "recommended": {"bandwidth": capturing, "reason": advice},
        "version": package_version(),
    }


def _tell(
    data: str,
    found: _Points,
    apart: Distances,
    prediction: Prediction,
    widths: list[Width],
    own: Width,
    options: Options,
) -> None:
    game = prediction.game
    space = f"{game.axes} principal components" if found.reduced else f"{game.axes} coordinates"
    say(wrapped(f"{data}: {found.rows} rows of {found.dimension} numbers; {found.what} in {space}", "  "))
    say(f"distances between true points: smallest {shown(apart.smallest)}, median {shown(apart.median)}")
    say(heading("", game))
    say(wrapped(f"prediction for {options.rule} updates: {outcome_line(prediction)}", "  "))
    for reason in prediction.reasons:
        if "recommended" not in reason:  # the recommendation has lines of its own
            say(wrapped(f"- {reason}", "  "))
    say()
    say(_widths_table(widths, own, len(game.generated_points)))
    if any(width.conditioning_is_a_bound for width in widths):
        say("> numerically neutral: the slowest mode is slower than any that was resolved")


def _widths_table(widths: list[Width], own: Width, points: int) -> str:
    """One column per bandwidth, a star at the one that the prediction is about."""

    def bound(width: Width, text: str) -> str:
        return f"> {text}" if width.conditioning_is_a_bound and text != "never" else text

    def decade(width: Width) -> str:
        if math.isnan(width.spectral_radius):
            return "-"
        if math.isinf(width.iterations_per_decade):
            return bound(width, "never") if width.spectral_radius >= 1 else "-"
        return bound(width, shown(width.iterations_per_decade, 3))

    lines = {
        "bandwidth": [shown(w.bandwidth) for w in widths],
        "true points isolated": [shown(w.isolated) for w in widths],
        "conditioning": [bound(w, shown(w.conditioning, 3)) for w in widths],
        "regularization": [shown(w.regularization, 3) for w in widths],
        "generator_lr": [shown(w.generator_lr, 3) for w in widths],
        "spectral radius": [shown(w.spectral_radius, 5) for w in widths],
        "iterations per decade": [decade(w) for w in widths],
        "captures starts within": [shown(w.captures_within, 3) for w in widths],
        f"captured, of {points}": [str(w.captured) for w in widths],
    }
    header = ["", *("*" * (w is own) + w.name for w in widths)]
    return table(header, [[name, *cells] for name, cells in lines.items()])


def _words(widths: list[Width], own: Width, options: Options, out: Path | None, capturing: float) -> list[str]:
    """The trade-off between wide and narrow kernels, for these data, and what to do next."""
    narrow, wide = widths[0], widths[-1]
    lines = []
    if math.isfinite(narrow.iterations_per_decade) and math.isfinite(wide.iterations_per_decade):
        lines.append(
            f"- wide kernels capture far starts, narrow ones converge fast: at {shown(narrow.bandwidth)} points within "
            f"{shown(narrow.captures_within, 3)} of a true one are captured, and "
            f"{shown(narrow.iterations_per_decade, 3)} iterations bring them ten times closer; at "
            f"{shown(wide.bandwidth)} those within {shown(wide.captures_within, 3)}, and it takes "
            f"{'more than ' * wide.conditioning_is_a_bound}{shown(wide.iterations_per_decade, 3)}"
        )
    automatic = "auto" in (options.regularization, options.generator_lr)
    if automatic and options.start == "random":
        lines.append(
            "- learning rates are cautious: the fastest ones (--start near) hold close to the data; they would throw "
            "distant points out of the kernel's reach"
        )
    elif automatic:
        lines.append(
            "- learning rates are the fastest near the data; a start far away needs cautious ones (--start random)"
        )
    parts = {"bandwidth": own.bandwidth, "regularization": own.regularization, "generator_lr": own.generator_lr}
    best = "recommended" if abs(own.bandwidth / capturing - 1) < 1e-9 and automatic else "at the chosen bandwidth"
    lines.append(f"{best}: {shown(parts)}, discriminator_lr {shown(options.discriminator_lr)}")
    if out is not None:
        lines.append(f"experiment written to {out}; go on with: ganscope run {out}")
    return lines


def _check_out(out: Path, force: bool) -> None:
    if out.suffix != ".toml":
        raise ParameterError("--out", str(out), "a file that ends in .toml")
    for path in (out, *_arrays(out).values()):
        if path.exists() and not force:
            raise StoreError(f"{path} exists; choose another --out, or pass --force to replace it")


def _arrays(out: Path) -> dict[str, Path]:
    """Where the arrays of a written experiment are kept: beside it."""
    names = {"real_points": "true", "generated_points": "start", "real_mass": "true-mass", "generated_mass": "mass"}
    return {name: out.with_name(f"{out.stem}-{kind}.npy") for name, kind in names.items()}


def _write(out: Path, data: str, game: KernelGAN, own: Width, options: Options) -> None:
    """The experiment file, and its arrays beside it."""
    arrays = _arrays(out)
    for name, path in arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, getattr(game, name))
        write_bytes(path, buffer.getvalue())
    levels = ["gda"]
    if options.start == "near" and game.generated_points.size <= DENSE:
        levels.append("linear")
    decade = own.iterations_per_decade
    iterations = max(_SHORTEST, math.ceil(_DECADES * decade)) if math.isfinite(decade) else _LONGEST
    iterations = min(_LONGEST, max(iterations, _TRAVEL if options.start == "random" else 0))
    lines = [
        f"# Made from {data!r} by ganscope {package_version()}: {options.start} start, seed {options.seed}.",
        "[game]",
        'model = "kernel"',
        *(f'{name} = "{path.name}"' for name, path in arrays.items()),
        f'kernel = {{ name = "{options.kernel}", bandwidth = {game.bandwidth!r} }}',
        *(f"{name} = {getattr(game, name)!r}" for name in ("regularization", "generator_lr", "discriminator_lr")),
        "",
        "[simulate]",
        f"levels = [{', '.join(f'{level!r}' for level in levels)}]".replace("'", '"'),
        f'rule = "{options.rule}"',
        f"iterations = {iterations}",
        "",
    ]
    write_text(out, "\n".join(lines))
