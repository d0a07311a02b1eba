"""A Matplotlib figure as inline SVG: its text stays text, and its colours follow the page's, light or dark."""

import io
import re

import matplotlib
from matplotlib.figure import Figure

from ganscope.figures import style
from ganscope.figures.diagnosis_look import BLUE, GREEN, ORANGE, SHADE, VIOLET

# Colours of the figure, and the page's names for them.
COLOURS = {
    style.INK: "ink",
    style.FAINT: "faint",
    SHADE: "shade",
    BLUE: "blue",
    ORANGE: "orange",
    GREEN: "green",
    VIOLET: "violet",
    "#ffffff": "paper",
}


def inline_svg(figure: Figure, name: str, title: str, description: str) -> str:
    """A figure as an SVG element as wide as its place in the page.

    Args:
        figure: Made within `style.drawing()`.
        name: Stands before every identifier: those of two figures on one page do not meet.
        title, description: Escaped text for those who do not see it.
    """
    buffer = io.StringIO()
    with style.drawing(), matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.S)
    text = re.sub(r"<style[^>]*>.*?</style>\s*", "", text, flags=re.S)  # it would hold for the whole page
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(href=")#', rf"\1#{name}-", text)
    text = text.replace("url(#", f"url(#{name}-")
    for colour, variable in COLOURS.items():
        text = re.sub(re.escape(colour), f"var(--{variable})", text, flags=re.I)
    head, rest = text.split(">", 1)
    box = re.search(r'viewBox="[^"]+"', head)
    labels = f'aria-labelledby="{name}-title {name}-description"'
    told = f'<title id="{name}-title">{title}</title><desc id="{name}-description">{description}</desc>'
    return f'<svg {box[0] if box else ""} role="img" {labels}>{told}{rest}'
