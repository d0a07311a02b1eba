"""`ganscope figure`: the papers' figures, rebuilt."""

from pathlib import Path

from ganscope.cli.folder import prepare
from ganscope.cli.output import say, wrapped
from ganscope.cli.progress import progress_bar
from ganscope.core.errors import unknown_name
from ganscope.figures import catalogue, rebuild


def draw_figures(names: list[str], listed: bool, out: Path) -> int:
    """Rebuild figures by their names or their model's, or list them; returns the exit status."""
    known = catalogue()
    chosen = _chosen(names, list(known))
    if listed:
        for name in chosen:
            say(wrapped(f"{name:<14}{known[name]}", " " * 14))
        return 0
    prepare(out)
    for name in chosen:
        with progress_bar(name):
            path = rebuild(name, out)
        say(f"{name:<14}{path}")
    return 0


def _chosen(names: list[str], known: list[str]) -> list[str]:
    models = list(dict.fromkeys(name.split(":")[0] for name in known))
    chosen: list[str] = []
    for name in names or models:
        if name not in known and name not in models:
            raise unknown_name("figure", name, [*models, *known])
        chosen += [one for one in known if name in (one, one.split(":")[0])]
    return list(dict.fromkeys(chosen))
