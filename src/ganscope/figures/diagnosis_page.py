"""The page of a diagnosis: one HTML file with everything in it, which asks nothing of any network.

It is written from the report alone. Every text of the report is escaped, every picture has its numbers below it.
"""

import os
from html import escape
from pathlib import Path
from typing import Any

from ganscope.core import store
from ganscope.core.errors import ParameterError
from ganscope.figures import diagnosis_advice as advised
from ganscope.figures import diagnosis_tables as tables
from ganscope.figures import diagnosis_words as words
from ganscope.figures import style
from ganscope.figures.diagnosis import draw_panel
from ganscope.figures.diagnosis_panels import Panel, panels_of
from ganscope.figures.diagnosis_reading import Report, entries, number, report_of, section
from ganscope.figures.diagnosis_sheet import SHEET
from ganscope.figures.diagnosis_svg import inline_svg

SUFFIXES = (".html", ".htm")
# Nothing may be loaded from anywhere, and nothing in the page runs.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
# Longer texts in a table are wrapped.
_LONG = 40
# Taller tables scroll within their box.
_TALL = 18
_NOISE = ((0.5, "nearly at rest"), (3.0, "drifting a little"), (float("inf"), "far from any equilibrium"))


def report(diagnosis: Any, path: str | os.PathLike[str]) -> Path:
    """Write the page of a diagnosis: one self-contained HTML file.

    The verdict stands first, then the advice, the pictures with their numbers, what other settings would do, what was
    checked, and what was assumed. The page fetches nothing and runs no script.

    Args:
        diagnosis: What `diagnose` returned, or the dictionary that it became in a file.
        path: File to write, `.html`; without a suffix it gets one. It appears complete or not at all.

    Returns:
        The file.

    Raises:
        ParameterError: If `diagnosis` is something else, or the suffix names another format.
        StoreError: If the file cannot be written.
    """
    target = page_path(path)
    return store.write_text(target, page(report_of(diagnosis)))


def page_path(path: str | os.PathLike[str]) -> Path:
    """The file of a page.

    Raises:
        ParameterError: If its suffix names another format.
    """
    target = Path(path)
    if not target.suffix:
        return target.with_suffix(".html")
    if target.suffix.lower() not in SUFFIXES:
        raise ParameterError("path", str(target), "a file that ends in .html")
    return target


def page(content: Report) -> str:
    """The page of a checked report."""
    title = escape(f"{content['verdict']['outcome']}: ganscope diagnosis")
    body = "\n".join(
        part
        for part in (
            _header(content),
            _verdict(content),
            _advice(content),
            _figures(content),
            _block("What if?", _table(tables.what_if(content)), _WHAT_IF),
            _verification(content),
            _block("Was the game fit to be measured?", _probes(content)),
            _block("What this rests on", _list(entries(content, "assumptions"))),
            _details(content),
            _footer(content),
        )
        if part
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{SHEET}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


_WHAT_IF = (
    "Computed from this one measurement, nothing was trained. Only what is marked predicted has been tested on other "
    "GANs; an estimate is a local linear one."
)


def _header(content: Report) -> str:
    lines = [words.game_line(content), words.rule_line(content)]
    told = "".join(f"<p>{escape(line)}</p>" for line in lines if line)
    return f'<header><p class="name">ganscope diagnosis</p>{told}</header>'


def _verdict(content: Report) -> str:
    verdict = section(content, "verdict")
    outcome = escape(str(verdict["outcome"]))
    detail = escape(words.words(str(verdict.get("detail") or "")))
    near = " · close to the limit" if verdict.get("near_critical") else ""
    tiles = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}{f'<small>{escape(more)}</small>' if more else ''}</dd></div>"
        for name, value, more in _tiles(content)
    )
    risk = [words.risk_line(content)] if verdict.get("risk") else []
    reasons = _list([*(verdict.get("reasons") or []), *risk])
    beyond = words.unvalidated(content)
    return (
        f'<section class="card verdict {outcome}" id="verdict"><span class="badge">{outcome}</span>'
        f'<span class="detail">{detail}{near}</span>'
        f'<h1>{escape(words.headline(content))}</h1><p class="lead">{escape(words.lead(content))}</p>'
        f"{f'<p>{escape(beyond)}</p>' if beyond else ''}"
        f'<dl class="tiles">{tiles}</dl>{f"""<div class="reasons">{reasons}</div>""" if reasons else ""}</section>'
    )


def _tiles(content: Report) -> list[tuple[str, str, str]]:
    """The few numbers that everybody asks for: name, value, remark."""
    verdict, prediction = section(content, "verdict"), section(content, "prediction")
    spread = section(prediction, "predicted_wander")
    found = []
    if spread:
        low, high = words.wander(spread.get("min")), words.wander(spread.get("max"))
        ends = f"{low} to {high} over batches, in data radii" if low != high else f"{low} in all batches"
        unstable = words.is_unstable(spread.get("median"))
        value = words.UNSTABLE if unstable else words.wander(spread.get("median"))
        found.append(("predicted wander", value, ends))
    if prediction.get("observed_wander") is not None:
        found.append(("observed wander", words.told(prediction["observed_wander"]), "of the run so far"))
    margin = number(verdict.get("margin"))
    if margin == margin:
        found.append(("margin", f"{margin:+.2f}", words.beside_limit(content)))
    found.append(("confidence", *words.confidence(content)))
    if verdict.get("leaning") and verdict["outcome"] == "undecided":
        found.append(("leaning", words.words(str(verdict["leaning"])), ""))
    period = number(section(content, "spectrum").get("period"))
    if 0 < period < 1e9:
        found.append(("period", f"{words.told(period)}", "iterations, of the leading rotation"))
    noise = number(prediction.get("signal_to_noise"))
    if noise == noise:
        meaning = next(text for limit, text in _NOISE if noise <= limit)
        found.append(("signal to noise", words.told(noise), meaning))
    return found


def _advice(content: Report) -> str:
    cards, first = [], words.full_first(content)
    for advice in entries(content, "advice"):
        state = str(advice.get("verification") or "not verified")
        tone = escape(state.replace(" ", "-"))
        remarks = advised.advice_remarks(content, advice)
        before = f'<p class="aside">{escape(" ".join(remarks))}</p>' if remarks else ""
        changes = advice.get("value") is not None
        badge = f'<span class="badge">{escape(state)}</span>' if changes else ""
        cards.append(
            f'<div class="card advice {tone}"><h3>{escape(advised.advice_title(advice, full_first=first))}</h3>'
            f"<p>{escape(str(advice.get('why') or ''))}</p>{before}"
            f"{badge}</div>"
        )
    if not cards:
        return ""
    return f'<section><h2>What to change</h2><div class="grid">{"".join(cards)}</div></section>'


def _figures(content: Report) -> str:
    shown = "".join(_figure(panel, content) for panel in panels_of(content))
    return f'<section><h2>What was measured</h2><div class="grid">{shown}</div></section>' if shown else ""


def _figure(panel: Panel, content: Report) -> str:
    title, caption = escape(panel.title), escape(panel.caption)
    with style.drawing():
        picture = inline_svg(draw_panel(panel, content), panel.name, title, caption)
    return (
        f'<figure class="card" id="figure-{panel.name}"><h3>{title}</h3>{picture}<figcaption>{caption}</figcaption>'
        f"<details><summary>The numbers</summary>{_table(panel.table(content))}</details></figure>"
    )


def _table(table: tables.Table) -> str:
    """A table in a box of its own, in which it scrolls; empty if it has no rows."""
    if not table.rows:
        return ""
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in table.header)
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows)
    note = f'<p class="aside">{escape(table.note)}</p>' if table.note else ""
    tall = " tall" if len(table.rows) > _TALL else ""
    inner = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<div class="scroll{tall}" tabindex="0">{inner}</div>{note}'


def _cell(text: str) -> str:
    return f'<td class="{"long" if len(text) > _LONG else "short"}">{escape(text)}</td>'


def _list(texts: list[Any]) -> str:
    items = "".join(f"<li>{escape(str(text))}</li>" for text in texts)
    return f"<ul>{items}</ul>" if items else ""


def _block(title: str, inner: str, lead: str = "") -> str:
    """A section with a heading; empty if there is nothing in it."""
    before = f'<p class="aside">{escape(lead)}</p>' if lead else ""
    return f'<section><h2>{escape(title)}</h2><div class="card">{before}{inner}</div></section>' if inner else ""


def _verification(content: Report) -> str:
    """Twin forks and forked races, or that there were none."""
    parts = []
    twin, forks = section(content, "verification", "twin"), section(content, "verification", "forks")
    if twin:
        state = "ok" if twin.get("passed") else "error"
        said = "the linear theory holds here" if twin.get("passed") else "the linear theory does not hold here"
        numbers = advised.twin_line(twin)
        parts.append(
            f'<h3>Two copies, a hair apart</h3><p><span class="badge {state}">{said}</span></p><p>{escape(numbers)}</p>'
        )
    if forks:
        lead = advised.forks_line(content)
        parts.append(f"<h3>Forks of this run, really trained</h3><p>{escape(lead)}</p>{_table(tables.forks(content))}")
    if not parts:
        parts.append("<p>Not verified: no forks of the run were trained.</p>")
    return _block("Was it checked?", "".join(parts))


def _probes(content: Report) -> str:
    """Probes that found something, and all of them, folded."""
    found = entries(content, "probes")
    if not found:
        return ""
    told = [probe for probe in found if probe.get("status") in ("warning", "error")]
    lead = f"<p>{len(found) - len(told)} of {len(found)} probes for traps found nothing.</p>"
    folded = f"<details><summary>All probes</summary>{_probe_table(found)}</details>"
    return lead + (_probe_table(told) if told else "") + folded


def _probe_table(probes: list[Any]) -> str:
    rows = ""
    for probe in probes:
        name, trap, status, message = (escape(str(probe.get(key) or "")) for key in ("id", "trap", "status", "message"))
        badge = f'<span class="badge {status}">{status}</span>'
        rows += f'<tr><td class="short">{name}</td><td class="short">{trap}</td><td class="short">{badge}</td>'
        rows += f'<td class="long">{message}</td></tr>'
    return f'<div class="scroll" tabindex="0"><table><tbody>{rows}</tbody></table></div>'


def _details(content: Report) -> str:
    """Further numbers, folded."""
    folded = [
        ("The generator's kernel", tables.kernel(content)),
        ("Rightmost eigenvalues of the full game (no verdict rests on them)", tables.rightmost(content)),
        ("Baselines and radii", tables.further(content)),
        ("Settings", tables.settings(content)),
    ]
    inner = "".join(
        f"<details><summary>{escape(title)}</summary>{_table(table)}</details>" for title, table in folded if table.rows
    )
    return _block("Further numbers", inner)


def _footer(content: Report) -> str:
    return f"<footer>{escape(words.cost_line(content))}<br>{escape(words.provenance_line(content))}</footer>"
