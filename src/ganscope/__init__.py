"""ganscope: an oscilloscope for GAN training.

It predicts how an adversarial training run will behave, simulates it at every level of description, and compares the
two. Start with `gs.SolvableGAN`, `gs.predict`, `gs.simulate`, `gs.classify` and `gs.plot`.
"""

import importlib
import sys
import types
from typing import Any

from ganscope.core import registry

registry.declare(
    solvable="ganscope.games.solvable.model:SolvableGAN",
    kernel="ganscope.games.kernel.model:KernelGAN",
    dirac="ganscope.games.dualflow.dirac.model:DiracGAN",
    quadratic="ganscope.games.dualflow.quadratic.model:QuadraticGame",
    lq="ganscope.games.dualflow.lq.model:QuadraticGAN",
    feature="ganscope.games.dualflow.feature.model:FeatureGAN",
    clipped="ganscope.games.dualflow.clipped.model:ClippedGAN",
    particle="ganscope.games.particle.cloud.model:ParticleGAN",
    torus="ganscope.games.particle.torus.model:TorusGAN",
)
registry.declare_recorded(real="ganscope.diagnose.recorded_game:RecordedGame")

# Public names and their modules; nothing is imported before it is used.
_PUBLIC = {
    "SolvableGAN": "ganscope.games.solvable.model",
    "MacroState": "ganscope.games.solvable.state",
    "fluctuations": "ganscope.games.solvable.fluctuations",
    "replica_overlap": "ganscope.games.solvable.fluctuations",
    "KernelGAN": "ganscope.games.kernel.model",
    "IsolatedNeighbourhood": "ganscope.games.kernel.isolated",
    "RBF": "ganscope.games.kernel.kernels",
    "RationalQuadratic": "ganscope.games.kernel.kernels",
    "Matern32": "ganscope.games.kernel.kernels",
    "Matern52": "ganscope.games.kernel.kernels",
    "RBFSum": "ganscope.games.kernel.kernels",
    "Laplace": "ganscope.games.kernel.kernels",
    "propulsion_speed": "ganscope.games.kernel.end_states",
    "equilibrium": "ganscope.games.kernel.equilibria",
    "DiracGAN": "ganscope.games.dualflow.dirac.model",
    "QuadraticGame": "ganscope.games.dualflow.quadratic.model",
    "QuadraticGAN": "ganscope.games.dualflow.lq.model",
    "FeatureGAN": "ganscope.games.dualflow.feature.model",
    "ClippedGAN": "ganscope.games.dualflow.clipped.model",
    "comparison_matrix": "ganscope.games.dualflow.theory.rates",
    "comparison_rate": "ganscope.games.dualflow.theory.rates",
    "zero_sum_rate": "ganscope.games.dualflow.theory.rates",
    "scheme_error_bound": "ganscope.games.dualflow.theory.rates",
    "scheme_contraction": "ganscope.games.dualflow.theory.rates",
    "bilinear_modulus": "ganscope.games.dualflow.theory.steps",
    "largest_step": "ganscope.games.dualflow.theory.steps",
    "largest_stable_step": "ganscope.games.dualflow.theory.steps",
    "saddle_gap": "ganscope.games.dualflow.quadratic.model",
    "certificate": "ganscope.games.dualflow.variational",
    "defect": "ganscope.games.dualflow.variational",
    "entropic_gaussian_step": "ganscope.games.dualflow.lq.gaussian",
    "small_gain": "ganscope.games.dualflow.theory.rates",
    "bilinear_period": "ganscope.games.dualflow.theory.orbits",
    "saturating_period": "ganscope.games.dualflow.theory.orbits",
    "capture_time": "ganscope.games.dualflow.theory.orbits",
    "local_modes": "ganscope.games.dualflow.collapse.local_modes",
    "kernel_gradient_gram": "ganscope.games.dualflow.collapse.local_modes",
    "gaussian_constants": "ganscope.games.dualflow.collapse.local_modes",
    "smoothed_modes": "ganscope.games.dualflow.collapse.fate",
    "dirac_fate": "ganscope.games.dualflow.collapse.fate",
    "mode_mean_switch": "ganscope.games.dualflow.collapse.fate",
    "coverage_law": "ganscope.games.dualflow.collapse.energy_law",
    "collapse_distance": "ganscope.games.dualflow.lq.theory",
    "critical_speed_ratio": "ganscope.games.dualflow.lq.theory",
    "orbit_period": "ganscope.games.dualflow.lq.theory",
    "gaussian_w2": "ganscope.games.dualflow.lq.gaussian",
    "Mixture": "ganscope.games.dualflow.feature.laws",
    "nonsaturating_limit": "ganscope.games.dualflow.theory.orbits",
    "support_invariance": "ganscope.games.dualflow.collapse.fate",
    "fast_limit": "ganscope.games.dualflow.collapse.local_modes",
    "uniform_energy_quantiles": "ganscope.games.dualflow.collapse.energy_law",
    "turning_points": "ganscope.games.dualflow.lq.theory",
    "small_period": "ganscope.games.dualflow.lq.theory",
    "entropic_gaussian_flow": "ganscope.games.dualflow.lq.gaussian",
    "consistency": "ganscope.games.dualflow.variational",
    "StepTooLarge": "ganscope.games.dualflow.failures",
    "ProxNotConverged": "ganscope.games.dualflow.failures",
    "NashNotConverged": "ganscope.games.dualflow.failures",
    "DegenerateQuantiles": "ganscope.games.dualflow.failures",
    "CouplingNotOptimal": "ganscope.games.dualflow.failures",
    "NoUniqueEquilibrium": "ganscope.games.dualflow.failures",
    "DomainTooSmall": "ganscope.games.dualflow.failures",
    "ParticleGAN": "ganscope.games.particle.cloud.model",
    "ModeWidthWarning": "ganscope.games.particle.cloud.model",
    "PenaltyWarning": "ganscope.games.particle.cloud.model",
    "CouplingWarning": "ganscope.games.particle.cloud.network_level",
    "StepSizeWarning": "ganscope.games.particle.torus.simulation",
    "TorusGAN": "ganscope.games.particle.torus.model",
    "network_kernel": "ganscope.games.particle.generator.network_kernel",
    "NetworkKernel": "ganscope.games.particle.generator.network_kernel",
    "KernelSpreadWarning": "ganscope.games.particle.generator.network_kernel",
    "empirical_kernel": "ganscope.games.particle.generator.empirical",
    "EmpiricalKernel": "ganscope.games.particle.generator.empirical",
    "full_kernel": "ganscope.games.particle.generator.empirical",
    "kernel_product": "ganscope.games.particle.generator.empirical",
    "KernelMeasurementWarning": "ganscope.games.particle.generator.empirical",
    "WideGenerator": "ganscope.games.particle.generator.wide",
    "angular_spectrum": "ganscope.games.particle.cloud.angular",
    "network_angle_kernel": "ganscope.games.particle.cloud.angular",
    "distance_angle_kernel": "ganscope.games.particle.cloud.angular",
    "mobilities": "ganscope.games.particle.coupling",
    "ratio_from_coupling": "ganscope.games.particle.coupling",
    "apply_coupling": "ganscope.games.particle.coupling",
    "mode_spectrum": "ganscope.games.particle.damping",
    "best_gradient_penalty": "ganscope.games.particle.damping",
    "discrete_mode_radius": "ganscope.games.particle.discrete_modes",
    "mode_rates": "ganscope.games.particle.damping",
    "best_friction": "ganscope.games.particle.discrete_modes",
    "largest_stable_product": "ganscope.games.particle.discrete_modes",
    "matched_spectrum": "ganscope.games.particle.cloud.linearisation",
    "labelled_order_parameters": "ganscope.games.particle.labelled",
    "rigidity": "ganscope.games.particle.motion",
    "order_parameters": "ganscope.games.particle.order_parameters",
    "transverse_exponent": "ganscope.games.particle.collapse",
    "critical_mobility": "ganscope.games.particle.collapse",
    "simulate": "ganscope.core.simulate",
    "simulate_many": "ganscope.core.simulate",
    "predict": "ganscope.core.simulate",
    "classify": "ganscope.core.simulate",
    "spectrum": "ganscope.core.simulate",
    "fit": "ganscope.core.simulate",
    "classify_many": "ganscope.core.cells",
    "predict_many": "ganscope.core.cells",
    "compare": "ganscope.core.results",
    "save": "ganscope.core.store",
    "load": "ganscope.core.store",
    "export": "ganscope.core.export",
    "to_json": "ganscope.core.game",
    "from_json": "ganscope.core.game",
    "sweep": "ganscope.sweep.sweep",
    "SweepWarning": "ganscope.sweep.opening",
    "boundary": "ganscope.sweep.boundary.boundary",
    "continuation": "ganscope.sweep.boundary.branches",
    "linspace": "ganscope.core.grids",
    "logspace": "ganscope.core.grids",
    "RealGame": "ganscope.diagnose.real_game",
    "UpdateRule": "ganscope.diagnose.rule",
    "Player": "ganscope.diagnose.rule",
    "diagnose": "ganscope.diagnose.diagnose",
    "Diagnosis": "ganscope.diagnose.diagnosis",
    "probes": "ganscope.diagnose.probes",
    "Probe": "ganscope.diagnose.probes",
    "TrapError": "ganscope.diagnose.probes",
    "plot": "ganscope.figures.plot",
    "animate": "ganscope.figures.animation",
    "report": "ganscope.figures.diagnosis_page",
    "Outcome": "ganscope.core.outcome",
    "Verdict": "ganscope.core.outcome",
    "Prediction": "ganscope.core.outcome",
    "Equilibrium": "ganscope.core.outcome",
    "Spectrum": "ganscope.core.outcome",
    "Players": "ganscope.core.game",
    "Game": "ganscope.core.game",
    "update_map": "ganscope.diagnose.instruments.update_map",
    "is_collapsed": "ganscope.diagnose.samples.collapse",
    "Collapse": "ganscope.diagnose.samples.collapse",
    "Monitor": "ganscope.diagnose.monitoring.monitor",
    "Reading": "ganscope.diagnose.monitoring.reading",
    "ParameterError": "ganscope.core.errors",
    "StoreError": "ganscope.core.errors",
    "NotApplicable": "ganscope.core.errors",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from ganscope.core.version import package_version

        return package_version()
    if name not in _PUBLIC:
        raise AttributeError(f"module 'ganscope' has no attribute '{name}'")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(types.ModuleType):
    """This package. A name that is a folder and a verb at once, such as `sweep`, is the verb."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _PUBLIC and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
