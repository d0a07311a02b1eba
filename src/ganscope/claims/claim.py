"""What a claim is, the register of all of them, and how to pick some by name.

A claim is a plain function without arguments that returns what was expected, what was measured, the tolerance, and
whether the claim holds; a decorator gives it its number:

    claim = claims_of("solvable")

    @claim("S13", "The point where the discriminator wins is a saddle", source="derived", fast=True)
    def discriminator_wins() -> Evidence: ...

The modules with the claims, and with them all numerical code, are imported by `select` and no earlier.
"""

import importlib
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any, Literal

from ganscope.core.errors import unknown_name

# Expected, measured, tolerance (numbers, texts, or small dictionaries and lists of them), and whether the claim holds.
Evidence = tuple[Any, Any, Any, bool]
Check = Callable[[], Evidence]
# From the paper that introduced the model, derived for this project, or an extension of the model.
Source = Literal["paper", "derived", "extension"]

_MODULES: dict[str, tuple[str, ...]] = {
    "solvable": (
        "ganscope.claims.solvable",
        "ganscope.claims.solvable_points",
        "ganscope.claims.solvable_finite",
        "ganscope.claims.solvable_data",
    ),
    "kernel": (
        "ganscope.claims.kernel",
        "ganscope.claims.kernel_phases",
        "ganscope.claims.kernel_end_states",
        "ganscope.claims.kernel_points",
        "ganscope.claims.kernel_representations",
        "ganscope.claims.kernel_data",
    ),
    "dualflow": (
        "ganscope.claims.dualflow",
        "ganscope.claims.dualflow_comparison",
        "ganscope.claims.dualflow_variational",
        "ganscope.claims.dualflow_laws",
        "ganscope.claims.dualflow_proximal",
        "ganscope.claims.dualflow_moments",
        "ganscope.claims.dualflow_collapse",
        "ganscope.claims.dualflow_recovery",
    ),
    "particle": (
        "ganscope.claims.particle",
        "ganscope.claims.particle_friction",
        "ganscope.claims.particle_collapse",
        "ganscope.claims.particle_ring",
        "ganscope.claims.particle_discriminators",
        "ganscope.claims.particle_networks",
    ),
    "diagnose": ("ganscope.claims.diagnose", "ganscope.claims.diagnose_suite"),
}
_CLAIMS: dict[str, "Claim"] = {}


@dataclass(frozen=True)
class ClaimResult:
    """What came of running a claim.

    Attributes:
        id: Model and number, for example `solvable:S1`.
        statement: What is claimed, in words.
        expected, measured, tolerance: Numbers or texts, by name where there are several.
        passed: Whether the claim holds within the tolerance.
        seconds: How long it took.
    """

    id: str
    statement: str
    expected: Any
    measured: Any
    tolerance: Any
    passed: bool
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, non-finite numbers as null."""
        from ganscope.core.plain import json_ready

        return {field.name: json_ready(getattr(self, field.name)) for field in fields(self)}


@dataclass(frozen=True)
class Claim:
    """A numbered statement with the check that confronts it with a computation.

    Attributes:
        id: Model and number, for example `solvable:S1`.
        statement: What is claimed, in words.
        source: `paper`, `derived` or `extension`.
        fast: Takes under three seconds once the compiled code is in the cache.
        check: The function behind it.
    """

    id: str
    statement: str
    source: Source
    fast: bool
    check: Check

    def run(self) -> ClaimResult:
        """Run the check; its random seeds are fixed.

        Raises:
            NotApplicable: If an optional package or data set that it needs is missing.
        """
        start = time.perf_counter()
        expected, measured, tolerance, passed = self.check()
        seconds = time.perf_counter() - start
        return ClaimResult(self.id, self.statement, expected, measured, tolerance, bool(passed), seconds)


def claims_of(model: str) -> Callable[..., Callable[[Check], Check]]:
    """The decorator `claim(number, statement, source=..., fast=...)` that registers a model's claims."""

    def claim(number: str, statement: str, *, source: Source, fast: bool) -> Callable[[Check], Check]:
        def register(check: Check) -> Check:
            name = f"{model}:{number}"
            if name in _CLAIMS:
                raise ValueError(f"two claims are called {name}")
            _CLAIMS[name] = Claim(name, statement, source, fast, check)
            return check

        return register

    return claim


def select(names: Iterable[str] = (), fast: bool = False) -> list[Claim]:
    """Claims by name, in the order of their numbers.

    Args:
        names: Models (`solvable`) or single claims (`solvable:S1`), in any case; none means all.
        fast: Leave out the slow ones.

    Raises:
        ParameterError: For a name that is neither; it lists the known ones and the nearest match.
    """
    chosen: list[Claim] = []
    for name in names or _MODULES:
        model, _, number = name.strip().casefold().partition(":")
        claims = _claims(model)
        found = [c for c in claims if not number or c.id.casefold() == f"{model}:{number}"]
        if not found:
            known = [*_MODULES, *(c.id for every in _MODULES for c in _claims(every))]
            raise unknown_name("claim", name, known)
        chosen += [c for c in found if c not in chosen]
    return [c for c in sorted(chosen, key=_place) if c.fast or not fast]


def _claims(model: str) -> list[Claim]:
    """All claims of a model; none for an unknown one."""
    for module in _MODULES.get(model, ()):
        importlib.import_module(module)
    return [c for name, c in _CLAIMS.items() if name.startswith(f"{model}:")]


def _place(claim: Claim) -> tuple[int, int, str, int, str]:
    """Sorting key: models in their order, then S1, S2, S10, and longer prefixes such as EA last."""
    model, number = claim.id.split(":")
    match = re.fullmatch(r"(\D*)(\d*)(.*)", number)
    assert match is not None
    prefix, digits, rest = match.groups()
    return list(_MODULES).index(model), len(prefix), prefix, int(digits or 0), rest
