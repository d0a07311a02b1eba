"""`ganscope claims` and `ganscope figure`: the numbered claims and the figures of the papers."""

from pathlib import Path

from ganscope.claims import select
from ganscope.cli.output import print_json, say, shown, wrapped
from ganscope.cli.progress import progress_bar
from ganscope.core.errors import unknown_name
from ganscope.core.version import package_version
from ganscope.figures import catalogue, rebuild


def check_claims(names: list[str], fast: bool, as_json: bool) -> int:
    """Run claims and show what became of each; the exit status is 1 if one failed."""
    chosen = select(names, fast)
    results = []
    for claim in chosen:
        with progress_bar(claim.id):
            result = claim.run()
        results.append(result)
        if not as_json:
            say(f"{'pass' if result.passed else 'FAIL'}  {result.id:<14}{shown(result.seconds, 3):>6} s")
            for label, value in (
                ("", result.statement),
                ("expected ", result.expected),
                ("tolerance ", result.tolerance),
                ("measured ", result.measured),
            ):
                say(wrapped(f"      {label}{shown(value)}", "        "))
    failed = [result.id for result in results if not result.passed]
    if as_json:
        counts = {"passed": len(results) - len(failed), "failed": len(failed)}
        print_json({"claims": [r.to_dict() for r in results], **counts, "version": package_version()})
    else:
        total = sum(result.seconds for result in results)
        say(f"{len(results) - len(failed)} of {len(results)} claims hold ({shown(total, 3)} s)")
        if failed:
            say(wrapped(f"FAILED: {', '.join(failed)}", "  "))
    return int(bool(failed))


def draw_figures(names: list[str], listed: bool, out: Path) -> int:
    """Rebuild figures by their names, or by their model's; returns the exit status."""
    known = catalogue()
    chosen = _chosen(names, list(known))
    for name in chosen:
        if listed:
            say(wrapped(f"{name:<14}{known[name]}", " " * 14))
            continue
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
        chosen += [one for one in known if one == name or one.split(":")[0] == name]
    return list(dict.fromkeys(chosen))
