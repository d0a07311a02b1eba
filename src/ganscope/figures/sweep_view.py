"""Which part of a sweep is drawn: the plane, the panels, what is held fixed, and where the values stand on an axis."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ganscope.core.checks import number, one_of
from ganscope.core.errors import ParameterError, unknown_name
from ganscope.core.export import sweep_axes
from ganscope.figures import style

# More panels than these are not drawn.
MOST_PANELS = 12
# Ratios between neighbouring values that differ less than this make a logarithmic axis.
_EVEN_RATIOS = 0.1
_LONGEST_NAME, _MOST_NAMES = 24, 24
# So many letters have room below a panel; over so large a range, ticks stand at 1, 2, 5 times powers of ten.
_ROOM_FOR_NAMES, _FEW_DECADES = 36, 2000.0
_UNITS = {
    "data_noise": "variance",
    "generator_noise": "variance",
    "feature_variance": "variance",
    "latent_variance": "variance",
    "bandwidth": "length",
    "mode_width": "length",
    "radius": "length",
    "step_size": "time",
    "horizon": "time",
    "iterations": "number",
    "dimension": "coordinates",
    "particles": "number",
}


@dataclass(frozen=True)
class Scale:
    """Where the values of an axis stand.

    Attributes:
        name: Of the parameter.
        order: Sorts the values of the sweep, shape `[values]`.
        places: Increasing, shape `[values]`.
        edges: Between cells, shape `[values + 1]`.
        log: Whether the axis is logarithmic.
        names: Texts of the values if they are no numbers.
    """

    name: str
    order: npt.NDArray[np.intp]
    places: npt.NDArray[np.float64]
    edges: npt.NDArray[np.float64]
    log: bool
    names: tuple[str, ...] | None = None

    @property
    def label(self) -> str:
        """The name with its unit, where there is one."""
        return axis_label(self.name) if self.names is None else self.name

    def apply(self, panel: Axes, side: str) -> None:
        """Label, scale, ticks and limits of the `x` or `y` axis of a panel."""
        horizontal = side == "x"
        axis: Any = panel.xaxis if horizontal else panel.yaxis
        axis.set_label_text(self.label)
        if self.log:
            (panel.set_xscale if horizontal else panel.set_yscale)("log")
            if self.edges[-1] / self.edges[0] < _FEW_DECADES:
                style.log_axis(axis)
        (panel.set_xlim if horizontal else panel.set_ylim)(self.edges[0], self.edges[-1])
        if self.names is not None:
            kept = np.arange(0, len(self.names), math.ceil(len(self.names) / _MOST_NAMES))
            axis.set_ticks(list(kept), [self.names[k] for k in kept])
            if horizontal and sum(map(len, self.names)) > _ROOM_FOR_NAMES:
                for text in panel.get_xticklabels():
                    text.set(rotation=35, horizontalalignment="right", rotation_mode="anchor")
        elif not self.log:
            axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))


def axis_label(name: str) -> str:
    """The name of a parameter with its unit, where there is one."""
    return f"{name}  [{_UNITS[name]}]" if name in _UNITS else name


def scale_of(sweep: xr.Dataset, name: str) -> Scale:
    """The places of the values of one axis; finite numbers stand where they are, everything else in rows."""
    values = np.asarray(sweep[name].values)
    if values.dtype.kind not in "fiu" or not np.all(np.isfinite(values)):
        count = len(values)
        edges = np.arange(count + 1, dtype=np.float64) - 0.5
        names = tuple(value_text(v) for v in values.tolist())
        return Scale(name, np.arange(count), np.arange(count, dtype=np.float64), edges, False, names)
    order = np.argsort(values, kind="stable")
    places = values[order].astype(np.float64)
    log = _is_logarithmic(places, recipes(sweep).get(name, {}))
    return Scale(name, order, places, cell_edges(places, log), log)


def recipes(sweep: xr.Dataset) -> dict[str, Any]:
    """How the values of the axes were made."""
    over: dict[str, Any] = description(sweep).get("over", {})
    return {name: recipe if isinstance(recipe, dict) else {} for name, recipe in over.items()}


def description(sweep: xr.Dataset) -> dict[str, Any]:
    """What a sweep says about itself; empty if it cannot be read."""
    try:
        content = json.loads(sweep.attrs.get("sweep", "{}"))
    except (TypeError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_logarithmic(places: npt.NDArray[np.float64], recipe: Mapping[str, Any]) -> bool:
    if places[0] <= 0 or len(places) < 2:
        return False
    if recipe.get("log"):
        return True
    if "start" in recipe or len(places) < 3 or places[-1] < 4 * places[0]:
        return False
    ratios = np.diff(np.log(places))
    return bool(np.ptp(ratios) < _EVEN_RATIOS * np.mean(ratios))


def cell_edges(places: npt.NDArray[np.float64], log: bool) -> npt.NDArray[np.float64]:
    """Edges of cells around increasing places: in the middle, geometric if `log`.

    The last cells are symmetric, but for positive places none reaches below 0.
    """
    if log:
        return np.exp(_symmetric(np.log(places)))
    edges = _symmetric(places)
    edges[0] = max(edges[0], 0.0) if places[0] > 0 else edges[0]
    return edges


def _symmetric(places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    if len(places) == 1:
        half = 0.5 * abs(places[0]) or 0.5
        return np.array([places[0] - half, places[0] + half])
    middle = 0.5 * (places[1:] + places[:-1])
    return np.concatenate([[2 * places[0] - middle[0]], middle, [2 * places[-1] - middle[-1]]])


def value_text(value: Any) -> str:
    """A value of an axis, shortened."""
    if isinstance(value, int | float):
        return style.number(float(value))
    text = str(value)
    if text[:1] in "[{":
        try:
            content = json.loads(text)
        except ValueError:
            content = text
        if isinstance(content, dict) and "name" in content:
            rest = ", ".join(f"{k} {value_text(v)}" for k, v in content.items() if k != "name")
            text = f"{content['name']}({rest})"
        elif isinstance(content, list) and all(isinstance(v, int | float) for v in content):
            text = f"({', '.join(style.number(float(v)) for v in content)})"
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + "\N{HORIZONTAL ELLIPSIS}"


@dataclass(frozen=True)
class View:
    """What of a sweep is drawn.

    Attributes:
        x, y: Its axes; without `y` it is a line.
        panels: Name of the axis whose values have a panel each, and their numbers on it; None for one panel.
        fixed: Numbers of the values of the other axes.
        left_out: How many values of the panels' axis are not drawn.
    """

    x: str
    y: str | None
    panels: tuple[str, tuple[int, ...]] | None
    fixed: Mapping[str, int]
    left_out: int = 0

    def parts(self) -> list[dict[str, int]]:
        """For every panel, the numbers of the values of all axes but `x` and `y`."""
        if self.panels is None:
            return [dict(self.fixed)]
        name, numbers = self.panels
        return [{**self.fixed, name: k} for k in numbers]


def choose_view(sweep: xr.Dataset, x: str | None = None, y: str | None = None, at: Any = None) -> View:
    """The plane that was asked for; otherwise the first two axes that vary, with panels over the third.

    Args:
        sweep: The sweep.
        x, y: Names of axes.
        at: Values of further axes, by name; a number means the nearest value within the axis.

    Raises:
        ParameterError: If there is no such axis or value, or one axis is asked for twice.
    """
    names = sweep_axes(sweep)
    fixed = {}
    for name, value in dict(at or {}).items():
        if name not in names:
            raise unknown_name("at", name, names)
        fixed[name] = _place_of(sweep, name, value)
    asked = {role: one_of(role, name, names) for role, name in (("x", x), ("y", y)) if name is not None}
    if x is not None and x == y:
        raise ParameterError("y", y, "another axis than x")
    for role, name in asked.items():
        if name in fixed:
            raise ParameterError(role, name, f"an axis that is not held at a value: {name} = {at[name]}")
    free = [name for name in names if name not in fixed and name not in asked.values()]
    free.sort(key=lambda name: sweep.sizes[name] == 1)  # stable: axes that vary come first
    first, second = asked.get("x"), asked.get("y")
    if first is None:
        if not free and second is None:
            raise ParameterError("at", dict(at), f"at least one of {', '.join(names)} left to draw over")
        first, second = (free.pop(0), second) if free else (second, None)
    assert first is not None
    if second is None and free and sweep.sizes[free[0]] > 1:
        second = free.pop(0)
        if not asked and _is_named(sweep, first) and not _is_named(sweep, second):
            first, second = second, first  # names read better as rows
    panels, left_out = None, 0
    if second is not None and free and sweep.sizes[free[0]] > 1:
        name = free.pop(0)
        count = sweep.sizes[name]
        chosen = np.unique(np.linspace(0, count - 1, min(count, MOST_PANELS)).round().astype(int))
        chosen = scale_of(sweep, name).order[chosen]
        panels, left_out = (name, tuple(int(k) for k in chosen)), count - len(chosen)
    fixed |= {name: int(scale_of(sweep, name).order[0]) for name in free}
    return View(first, second, panels, fixed, left_out)


def _is_named(sweep: xr.Dataset, name: str) -> bool:
    return scale_of(sweep, name).names is not None


def _place_of(sweep: xr.Dataset, name: str, value: Any) -> int:
    """The number of a value on an axis: the nearest number, or the text itself."""
    values = np.asarray(sweep[name].values)
    if values.dtype.kind not in "fiu":
        texts = [str(v) for v in values.tolist()]
        if str(value) in texts:
            return texts.index(str(value))
        raise unknown_name(name, value, texts)
    try:
        wanted = number(name, float(value), infinite=True)
    except (TypeError, ValueError):
        raise ParameterError(name, value, f"a number from {values.min():g} to {values.max():g}") from None
    if wanted in values:
        return int(np.flatnonzero(values == wanted)[0])
    scale = scale_of(sweep, name)
    if scale.names is not None or not scale.edges[0] <= wanted <= scale.edges[-1]:
        raise ParameterError(name, value, f"a number from {values.min():g} to {values.max():g}")
    away = np.abs(np.log(scale.places / wanted)) if scale.log else np.abs(scale.places - wanted)
    return int(scale.order[np.argmin(away)])


def panel(sweep: xr.Dataset, name: str, view: View, part: Mapping[str, int]) -> npt.NDArray[Any]:
    """A variable over the cells of a panel, `[y, x]` or `[x]`, in the order of the scales; what else it has follows."""
    variable = sweep[name].isel({axis: k for axis, k in part.items() if axis in sweep[name].dims})
    lead = [axis for axis in (view.y, view.x) if axis is not None]
    variable = variable.transpose(*lead, ...)
    values = np.asarray(variable.values)
    for k, axis in enumerate(lead):
        values = np.take(values, scale_of(sweep, axis).order, axis=k)
    return values


def component(sweep: xr.Dataset, name: str) -> xr.DataArray:
    """A number per cell (and replica), such as `w2` or `recovery[0]`; complex numbers by their size.

    Raises:
        ParameterError: If there is none, it is no number, or the component is not said or does not exist.
    """
    match = re.fullmatch(r"(.+?)(?:\[([\d, ]+)\])?", name)
    assert match is not None or not name
    base = match[1] if match else name
    known = [str(n) for n, v in sweep.data_vars.items() if is_numeric(v) and set(sweep_axes(sweep)) <= set(v.dims)]
    if base not in known:
        raise unknown_name("variable", name, known)
    variable = sweep[base]
    inner = [str(d) for d in variable.dims if d not in (*sweep_axes(sweep), "replica")]
    index = [int(k) for k in match[2].split(",")] if match and match[2] else []
    sizes = [variable.sizes[d] for d in inner]
    if len(index) != len(inner) or any(k >= size for k, size in zip(index, sizes, strict=True)):
        last = ",".join(str(size - 1) for size in sizes)
        expected = f"one component, from {base}[{','.join('0' * len(sizes))}] to {base}[{last}]" if inner else base
        raise ParameterError("variable", name, expected)
    chosen = variable.isel(dict(zip(inner, index, strict=True)))
    return abs(chosen) if chosen.dtype.kind == "c" else chosen.astype(np.float64)


def components(sweep: xr.Dataset, name: str) -> list[str]:
    """The names of the components of a variable; its own if it is a number per cell, or a component already."""
    if name not in sweep:
        return [name]
    inner = [n for d, n in sweep[name].sizes.items() if d not in (*sweep_axes(sweep), "replica")]
    return [f"{name}[{','.join(map(str, index))}]" for index in np.ndindex(*inner)] if inner else [name]


def is_numeric(variable: xr.DataArray) -> bool:
    """Whether a variable holds numbers, or truth values."""
    return variable.dtype.kind in "fiubc"


def fixed_texts(sweep: xr.Dataset, fixed: Mapping[str, int]) -> list[str]:
    """What is held fixed, as a caption or the title of a panel says it."""
    return [f"{name} = {value_text(np.asarray(sweep[name].values).tolist()[k])}" for name, k in fixed.items()]
