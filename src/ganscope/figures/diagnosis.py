"""The picture of a diagnosis: the verdict above, its panels below, from the report alone."""

from matplotlib.figure import Figure

from ganscope.figures import style
from ganscope.figures.diagnosis_panels import Panel, panels_of
from ganscope.figures.diagnosis_reading import Report
from ganscope.figures.diagnosis_words import game_line, rule_line, verdict_sentence

# One panel among others, and alone, in inches: the smaller, the larger its lettering on a narrow screen.
_SIZE, _ALONE = (5.0, 3.4), (4.5, 2.5)


def draw_diagnosis(report: Report, title: str | None = None) -> Figure:
    """All panels of a checked report in one figure."""
    shown = panels_of(report)
    columns = min(2, max(1, len(shown)))
    rows = max(1, -(-len(shown) // columns))
    figure, axes = style.panels(rows, columns, size=_SIZE)
    flat = list(axes.flat)
    for panel, place in zip(shown, flat, strict=False):
        panel.draw(place, report)
        place.set_title(panel.title, loc="left", pad=22 if place.get_legend() else 8)
    for place in flat[len(shown) :]:
        place.set_axis_off()
    if not shown:
        flat[0].text(0.5, 0.5, "nothing could be measured", ha="center", transform=flat[0].transAxes)
    style.finish(figure, title or verdict_sentence(report), f"{game_line(report)}; {rule_line(report)}")
    return figure


def draw_panel(panel: Panel, report: Report) -> Figure:
    """One panel alone, without its title."""
    figure, axes = style.panels(1, 1, size=_ALONE)
    panel.draw(axes[0, 0], report)
    return figure
