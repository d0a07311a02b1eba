"""`ganscope claims`: what the theory states, confronted with computations."""

from collections.abc import Mapping

from ganscope.claims import ClaimResult, select
from ganscope.cli.output import print_json, say, shown, wrapped
from ganscope.cli.progress import progress_bar
from ganscope.core.errors import NotApplicable
from ganscope.core.version import package_version


def check_claims(names: list[str], fast: bool, as_json: bool) -> int:
    """Run claims and show what became of each; the exit status is 1 if one failed.

    A claim that needs an optional package which is not installed is left out, with a word about it.
    """
    results: list[ClaimResult] = []
    skipped: dict[str, str] = {}
    for claim in select(names, fast):
        try:
            with progress_bar(claim.id):
                results.append(claim.run())
        except NotApplicable as reason:
            skipped[claim.id] = str(reason)
            if not as_json:
                say(wrapped(f"skip  {claim.id}: {reason}", "      "))
            continue
        if not as_json:
            _tell(results[-1])
    failed = [result.id for result in results if not result.passed]
    if as_json:
        counts = {"passed": len(results) - len(failed), "failed": len(failed), "skipped": skipped}
        print_json({"claims": [result.to_dict() for result in results], **counts, "version": package_version()})
    else:
        seconds = sum(result.seconds for result in results)
        left_out = f", {len(skipped)} skipped" if skipped else ""
        say(f"{len(results) - len(failed)} of {len(results)} claims hold{left_out} ({seconds:.0f} s)")
        if failed:
            say(wrapped(f"FAILED: {', '.join(failed)}", "  "))
    return int(bool(failed))


def _tell(result: ClaimResult) -> None:
    verdict = "pass" if result.passed else "FAIL"
    say(wrapped(f"{verdict}  {result.id} ({shown(result.seconds, 2)} s)  {result.statement}", "      "))
    sides = {"expected": result.expected, "measured": result.measured, "tolerance": result.tolerance}
    for name in dict.fromkeys(key for side in sides.values() if isinstance(side, Mapping) for key in side):
        values = {k: side[name] for k, side in sides.items() if isinstance(side, Mapping) and name in side}
        say(wrapped(f"      {name}: {_listed(values)}", "        "))
    whole = {k: side for k, side in sides.items() if not isinstance(side, Mapping)}
    if whole:
        say(wrapped(f"      {_listed(whole)}", "        "))


def _listed(values: Mapping[str, object]) -> str:
    return "; ".join(f"{key} {shown(value)}" for key, value in values.items())
