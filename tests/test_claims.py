"""The fast claims hold, and the register of claims finds them by name."""

import json
import subprocess
import sys

import pytest

import ganscope as gs
from ganscope.claims import Claim, select
from ganscope.claims.claim import claims_of

EVERY = {
    "solvable": [*(f"S{k}" for k in range(1, 6)), "S5map", "S5one", *(f"S{k}" for k in range(6, 17)), "EA", "EB", "EC"],
    "kernel": [*(f"C{k}" for k in range(1, 23)), "E6", "E9", "DIGITS", "DIGITSfar"],
    "dualflow": [str(k) for k in range(1, 28)],
    "particle": [*(f"C{k}" for k in range(1, 19)), "TABLE", "MATCHED"],
    "diagnose": [*(f"D{k}" for k in range(1, 18)), "D17b", "D18"],
}


@pytest.mark.parametrize("claim", select(fast=True), ids=lambda claim: claim.id)
def test_a_fast_claim_holds(claim):
    result = claim.run()
    assert result.passed, f"{result.statement}: expected {result.expected}, measured {result.measured}"
    assert result.id == claim.id
    assert result.seconds > 0
    content = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert set(content) == {"id", "statement", "expected", "measured", "tolerance", "passed", "seconds"}
    assert content["passed"] is True


def test_every_number_is_there_once_and_in_order():
    assert [claim.id for claim in select()] == [f"{model}:{number}" for model in EVERY for number in EVERY[model]]


def test_every_claim_says_what_it_states():
    for claim in select():
        assert len(claim.statement) > 30, claim.id
        assert claim.source in ("paper", "derived", "extension")


def test_claims_are_found_by_model_and_by_number_in_any_case():
    assert select(["solvable", "KERNEL", "DualFlow", "particle", "diagnose"]) == select([]) == select()
    assert [claim.id for claim in select(["kernel"])] == [f"kernel:{number}" for number in EVERY["kernel"]]
    assert [claim.id for claim in select(["solvable:s10", "SOLVABLE:S2", "solvable:S2"])] == [
        "solvable:S2",
        "solvable:S10",
    ]


def test_fast_leaves_out_the_slow_ones():
    assert select(fast=True) == [claim for claim in select() if claim.fast]
    assert select(["solvable:S11"], fast=True) == []


@pytest.mark.parametrize(
    "name, message",
    [
        ("solvible", "Did you mean 'solvable'"),
        ("solvable:S55", "Did you mean 'solvable:S5'"),
        ("S1", "solvable:S1, solvable:S10"),
        ("", "one of"),
    ],
)
def test_an_unknown_name_lists_the_known_ones(name, message):
    with pytest.raises(gs.ParameterError, match=message):
        select([name])


def test_two_claims_cannot_share_a_number():
    with pytest.raises(ValueError, match="two claims are called solvable:S1"):
        claims_of("solvable")("S1", "again", source="derived", fast=True)(lambda: (0, 0, 0, True))


def test_a_claim_that_fails_says_so_and_hides_nothing():
    claim = Claim("solvable:X", "one is two", "derived", True, lambda: (2, float("nan"), 0.1, False))
    result = claim.run()
    assert not result.passed
    assert result.to_dict()["measured"] is None
    assert result.to_dict()["expected"] == 2


def test_importing_the_register_imports_nothing_heavy():
    code = "import sys, ganscope.claims; print([m for m in ('numpy', 'numba', 'xarray', 'scipy') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
