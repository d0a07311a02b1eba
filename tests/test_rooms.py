"""Imports go one way, and the public names are the promised ones."""

import ast
from pathlib import Path

import pytest

import ganscope as gs

PACKAGE = Path(gs.__file__).parent
BELOW = {
    "core": set(),
    "dynamics": {"core"},
    "analysis": {"core"},
    "games": {"core", "dynamics", "analysis"},
    "sweep": {"core", "dynamics", "analysis", "games"},
    "diagnose": {"core", "dynamics", "analysis", "games"},
    "claims": {"core", "dynamics", "analysis", "games", "diagnose"},
    "figures": {"core", "dynamics", "analysis", "games", "diagnose", "claims"},
    "explorer": {"core", "dynamics", "analysis", "games", "sweep", "diagnose", "claims", "figures"},
    "cli": {"core", "dynamics", "analysis", "games", "sweep", "diagnose", "claims", "figures", "explorer"},
}
OPTIONAL = {"torch": "diagnose/torch_", "dask": "sweep/", "distributed": "sweep/"}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def rooms():
    return sorted(p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name != "__pycache__")


@pytest.mark.parametrize("room", rooms())
def test_a_room_imports_only_what_lies_below(room):
    for path in (PACKAGE / room).rglob("*.py"):
        used = {name.split(".")[1] for name in imported(path) if name.startswith("ganscope.")}
        reached = used - BELOW[room] - {room}
        assert not reached, f"{path.relative_to(PACKAGE)} reaches up into {sorted(reached)}"
        assert "ganscope" not in set(imported(path)), f"{path.relative_to(PACKAGE)} imports the whole package"


def test_optional_packages_enter_in_one_place():
    for path in PACKAGE.rglob("*.py"):
        for name in imported(path):
            home = OPTIONAL.get(name.split(".")[0])
            assert home is None or str(path.relative_to(PACKAGE)).startswith(home)


def test_every_public_name_exists_and_is_documented():
    for name in gs.__all__:
        value = getattr(gs, name)
        assert name == "__version__" or (value.__doc__ and len(value.__doc__) > 20), name


def test_the_promised_names_are_there():
    promised = {
        "SolvableGAN", "MacroState", "fluctuations", "replica_overlap", "simulate", "simulate_many", "predict",
        "classify", "spectrum", "compare", "plot", "fit", "linspace", "logspace", "save", "load", "to_json",
        "from_json", "KernelGAN", "IsolatedNeighbourhood", "RBF", "RationalQuadratic", "Matern32", "Matern52", "RBFSum",
        "Laplace", "propulsion_speed", "equilibrium", "ParameterError", "StoreError", "NotApplicable", "Equilibrium",
        "Prediction", "Verdict", "DiracGAN", "QuadraticGame", "QuadraticGAN", "FeatureGAN", "ClippedGAN",
        "comparison_rate", "scheme_error_bound", "largest_step", "certificate", "defect", "entropic_gaussian_step",
        "StepTooLarge", "ProxNotConverged", "NashNotConverged", "DegenerateQuantiles", "CouplingNotOptimal",
        "NoUniqueEquilibrium", "DomainTooSmall", "ParticleGAN", "TorusGAN", "network_kernel", "empirical_kernel",
        "mobilities", "ratio_from_coupling", "mode_spectrum", "best_gradient_penalty", "discrete_mode_radius",
        "critical_mobility", "transverse_exponent", "order_parameters",
    }  # fmt: skip
    assert promised <= set(gs.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'solve'"):
        _ = gs.solve
