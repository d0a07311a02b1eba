"""A diagnosis in 80 columns."""

from collections.abc import Sequence

from ganscope.cli.output import WIDTH, say, table, wrapped
from ganscope.figures import diagnosis_advice as advised
from ganscope.figures import diagnosis_tables as tables
from ganscope.figures import diagnosis_words as words
from ganscope.figures.diagnosis_reading import Report, entries, section

# Rows of the tables of modes and of what-ifs.
_MODES, _WHAT_IFS = 5, 15


def tell_diagnosis(report: Report) -> None:
    """Print the verdict, why, the leading modes, what to change, what-ifs, what was checked and assumed."""
    verdict = section(report, "verdict")
    for line in (words.game_line(report), words.rule_line(report)):
        _say(line)
    say()
    detail = words.words(str(verdict.get("detail") or ""))
    near = ", close to the limit" if verdict.get("near_critical") else ""
    say(wrapped(f"VERDICT: {verdict['outcome']}{f' ({detail})' if detail else ''}{near}", "  "))
    say(wrapped(words.verdict_sentence(report), ""))
    share, source = words.confidence(report)
    _say(f"confidence {share}{f' ({source})' if source else ''}")
    _say(words.unvalidated(report))
    _points([*(verdict.get("reasons") or []), *([words.risk_line(report)] if verdict.get("risk") else [])])
    _modes(report)
    _advice(report)
    _what_ifs(report)
    _checks(report)
    if entries(report, "assumptions"):
        say()
        say("assumptions")
        _points(entries(report, "assumptions"))
    say()
    _say(words.cost_line(report))


def _say(text: str) -> None:
    if text:
        say(wrapped(text, "  "))


def _points(texts: Sequence[object]) -> None:
    for text in texts:
        say(wrapped(f"- {text}", "  "))


def _modes(report: Report) -> None:
    found = tables.modes(report, _MODES)
    if found.rows:
        say()
        say("leading modes")
        say(table(["mode", "rotation", "period", "friction", "damping", ""], [list(row) for row in found.rows]))
        _say(tables.driven_note(found))


def _advice(report: Report) -> None:
    advice = entries(report, "advice")
    if not advice:
        return
    say()
    say("what to change")
    first = words.full_first(report)
    for entry in advice:
        title = advised.advice_title(entry, full_first=first)
        state = f" ({entry.get('verification')})" if entry.get("value") is not None else ""
        _points([f"{title}: {entry.get('why') or ''}{state}"])
        for remark in advised.advice_remarks(report, entry):
            say(wrapped(f"  {remark}", "  "))


def _what_ifs(report: Report) -> None:
    found = tables.what_if(report)
    rows = [list(row) for row in found.rows]
    if not rows:
        return
    say()
    say("what if")
    header, shown = ["setting", "wander", "cost", "status"], [row[:4] for row in rows[:_WHAT_IFS]]
    taken = sum(2 + max(len(row[k]) for row in [header, *shown]) for k in range(1, len(header)))
    say(table(header, [[_cut(row[0], WIDTH - taken), *row[1:]] for row in shown]))
    if len(rows) > _WHAT_IFS:
        say(f"  and {len(rows) - _WHAT_IFS} more in the report")
    _say(tables.unstable_note(found))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _checks(report: Report) -> None:
    """Probes that found something, and what the forks said."""
    found = [probe for probe in entries(report, "probes") if probe.get("status") in ("warning", "error")]
    twin, forks = section(report, "verification", "twin"), section(report, "verification", "forks")
    say()
    say("checks")
    if entries(report, "probes"):
        quiet = len(entries(report, "probes")) - len(found)
        _points([f"{quiet} of {quiet + len(found)} probes for traps found nothing"])
    for probe in found:
        _points([f"{probe.get('status')} {probe.get('id')}: {probe.get('message') or probe.get('trap')}"])
    if twin:
        passed = "holds" if twin.get("passed") else "does not hold"
        _points([f"the linear theory {passed}. {advised.twin_line(twin)}"])
    if forks:
        _points([f"forks: {advised.forks_line(report)}"])
        rows = [list(row) for row in tables.forks(report).rows]
        say(table(["arm", "gradient penalty", "distance per seed", "outcome"], rows, left=4))
    if not twin and not forks:
        _points(["not verified: no forks of the run were trained"])
