"""Every parameter of a diagnosis is checked before work starts."""

import dataclasses
import json
import math

import pytest

import ganscope as gs
from ganscope.diagnose.settings import DiagnoseSettings

BAD = [
    ("modes", 0, "modes"),
    ("modes", 129, "128"),
    ("modes", 2.5, "integer"),
    ("oversample", -1, "oversample"),
    ("power_rounds", 0, "power_rounds"),
    ("batch_size", 7, ">= 8"),
    ("batches", 0, "batches"),
    ("noise_batches", 3, "noise_batches must be at least 4"),
    ("noise_batches", "many", "noise_batches must be at least 4"),
    ("train_batch_size", 0, "train_batch_size"),
    ("horizon", 1000, "horizon must be a power of two"),
    ("horizon", 8, "horizon must be a power of two"),
    ("horizon", 131072, "horizon must be a power of two"),
    ("horizon", -1024, "horizon must be a power of two"),
    ("advice_horizon", 255, "advice_horizon must be a power of two"),
    ("threshold", 0.0, "threshold"),
    ("threshold", math.nan, "threshold"),
    ("gammas", (1.0, 0.1), "increasing"),
    ("gammas", (-1.0, 0.1), "gammas"),
    ("gammas", (), "gammas"),
    ("gammas", 1.0, "gammas"),
    ("gammas", (0.0, math.inf), "gammas"),
    ("convention", "double", "full, half"),
    ("dtype", "float16", "float32, float64"),
    ("full_spectrum", "yes", "full_spectrum"),
    ("eigenvalues", 0, "eigenvalues"),
    ("krylov", 17, "krylov"),
    ("tol", 0.0, "tol"),
    ("fixed_latents", 15, ">= 16"),
    ("fork_iterations", -1, "fork_iterations"),
    ("fork_seeds", -1, "fork_seeds"),
    ("every", 0, "every"),
    ("budget", 0.0, "budget"),
    ("budget", 1.1, "budget"),
    ("monitor_setting", 3, "monitor_setting"),
    ("monitor_setting", {"mode": 3}, "modes"),
    ("monitor_setting", {"modes": 0}, "modes"),
    ("monitor_setting", {"noise_batches": 3}, "noise_batches must be at least 4"),
    ("seed", -1, "seed"),
    ("seed", True, "seed"),
]


@pytest.mark.parametrize("name, value, text", BAD)
def test_bad_values(name, value, text):
    with pytest.raises(gs.ParameterError, match=text):
        DiagnoseSettings(**{name: value})


def test_every_parameter_has_a_bad_value_tested():
    assert {name for name, _, _ in BAD} == {field.name for field in dataclasses.fields(DiagnoseSettings)}


def test_defaults_and_extreme_admissible_values():
    settings = DiagnoseSettings()
    assert (settings.modes, settings.batch_size, settings.batches, settings.noise_batches) == (24, 512, 3, 24)
    assert (settings.horizon, settings.advice_horizon, settings.threshold) == (1024, 256, 0.1)
    DiagnoseSettings(horizon=16, advice_horizon=65536, krylov=18, budget=1, fork_iterations=0, modes=128, gammas=[0])


def test_modes_are_bounded_by_the_players():
    with pytest.raises(gs.ParameterError, match="from 1 to 10"):
        DiagnoseSettings().checked_for((50, 10))
    assert DiagnoseSettings(modes=10).checked_for((50, 10)).modes == 10
    # Only a number that was asked for is refused.
    assert DiagnoseSettings.from_options({}, sizes=(50, 10)).modes == 10
    assert DiagnoseSettings.from_options({}, sizes=(50, 3), quick=True).modes == 3
    with pytest.raises(gs.ParameterError, match="from 1 to 10"):
        DiagnoseSettings.from_options({"modes": 24}, sizes=(50, 10))


def test_train_batch_size_is_required():
    with pytest.raises(gs.ParameterError, match="required"):
        _ = DiagnoseSettings().required_train_batch_size
    assert DiagnoseSettings().checked_for((99, 99), train_batch_size=64).required_train_batch_size == 64
    assert DiagnoseSettings(train_batch_size=32).checked_for((99, 99), 64).required_train_batch_size == 32


def test_quick():
    quick = DiagnoseSettings.from_options({"batches": 2}, quick=True)
    assert (quick.modes, quick.batch_size, quick.noise_batches, quick.batches) == (8, 128, 8, 2)
    assert quick.fork_iterations == 0


def test_unknown_names():
    with pytest.raises(gs.ParameterError, match="Did you mean 'horizon'"):
        DiagnoseSettings.from_options({"horzon": 16})


def test_warnings():
    assert DiagnoseSettings().warnings == ()
    told = DiagnoseSettings(dtype="float32", batch_size=63).warnings
    assert "1e-4 is not resolvable" in told[0]
    assert "batch_size" in told[1]


def test_to_dict_is_plain():
    settings = DiagnoseSettings(monitor_setting={"modes": 4})
    assert json.loads(json.dumps(settings.to_dict())) == settings.to_dict()
    assert settings.to_dict()["monitor_setting"] == {"modes": 4, "batch_size": 128, "noise_batches": 8}
