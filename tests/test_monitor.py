"""The monitor on a clock of its own: when it looks, what it tells, what it writes down and goes on with."""

import json
import math

import numpy as np
import pytest
from formula_backend import FormulaBackend, FormulaGame

import ganscope as gs
from ganscope.diagnose.monitoring.gradient_trail import GradientTrail
from ganscope.diagnose.monitoring.log import MonitorLog, plain, restored, table
from ganscope.diagnose.monitoring.output_trail import OutputTrail
from ganscope.diagnose.monitoring.reading import Reading, judged


class Clock:
    """Time passes where a test says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Slow(FormulaBackend):
    """Outputs that take time, much the first time."""

    clock, output_seconds, compiling = None, 0.0, 0.0

    def outputs(self, generator, latents):
        if self.clock is not None:
            self.clock.now += self.output_seconds + self.compiling
            type(self).compiling = 0.0
        return super().outputs(generator, latents)


class Training:
    """A run that moves a little in every iteration, watched by a monitor."""

    def __init__(
        self, iteration_seconds=1e-3, output_seconds=1e-4, measure_seconds=0.01, compile_seconds=5.0, wander=0.05,
        clock=None, **options,
    ):  # fmt: skip
        self.clock = clock or Clock()
        Slow.clock = None
        backend = Slow(np.zeros((4, 4)), 2)
        rule = gs.UpdateRule(generator=gs.Player("sgd", 0.1), discriminator=gs.Player("sgd", 0.1))
        self.iteration_seconds, self.measure_seconds = iteration_seconds, measure_seconds
        self.compile_seconds, self.wander, self.calls = compile_seconds, wander, []
        self.theta, self.phi = np.zeros(2), np.zeros(2)
        self.monitor = gs.Monitor(FormulaGame(backend, rule), clock=self.clock, measure=self.measure, **options)
        Slow.clock, Slow.output_seconds, Slow.compiling = self.clock, output_seconds, compile_seconds

    def measure(self, game, seed, **setting):
        self.calls.append(setting)
        self.clock.now += self.measure_seconds + (self.compile_seconds if len(self.calls) == 1 else 0.0)
        wander = self.wander(len(self.calls)) if callable(self.wander) else self.wander
        return {"predicted_wander": wander, "growth_virtual": 0.99, "sigma_1": 0.3, "zeta_1": 0.5, "other": 1}

    def run(self, iterations, frozen=False, **step):
        readings = []
        for _ in range(iterations):
            self.clock.now += self.iteration_seconds
            if not frozen:
                self.theta, self.phi = self.theta + 1e-3, self.phi - 1e-3
            reading = self.monitor.step((self.theta, self.phi), **step)
            if reading is not None:
                readings.append(reading)
        return readings


def measured(readings):
    return [reading.iteration for reading in readings if reading.predicted_wander is not None]


def test_dear_readings_come_at_20_and_100_and_then_at_doublings():
    training = Training(measure_seconds=1e-3)
    readings = training.run(2000)
    assert measured(readings) == [20, 100, 200, 400, 800, 1600]
    assert training.monitor.warm_up_seconds > 10  # both kinds of readings compiled
    assert set(training.calls[0]) == {"modes", "batch_size", "noise_batches"}
    assert training.calls[0]["modes"] == 2  # as many as this game has


@pytest.mark.parametrize("iteration_seconds", [2e-4, 1e-3, 0.1])
@pytest.mark.parametrize("measure_seconds", [1e-3, 0.02, 0.2, 5.0])
@pytest.mark.parametrize("output_seconds", [5e-5, 2e-3])
def test_the_budget_holds_from_iteration_4000_on(iteration_seconds, measure_seconds, output_seconds):
    training = Training(iteration_seconds, output_seconds, measure_seconds)
    training.run(4000)
    assert training.monitor.overhead <= 0.05
    for _ in range(40):
        training.run(200)
        assert training.monitor.overhead <= 0.05
    total = training.clock.now - iteration_seconds - training.monitor.warm_up_seconds
    own = total - 12000 * iteration_seconds + iteration_seconds
    assert training.monitor.overhead == pytest.approx(own / total, abs=1e-6)


def test_a_slow_stretch_does_not_raise_the_advance():
    """What else the machine does while an early reading is due says nothing about the iterations to come."""
    training = Training(iteration_seconds=1e-3, measure_seconds=0.085, compile_seconds=0.0)
    training.run(350)
    training.iteration_seconds = 1e-2
    training.run(60)
    training.iteration_seconds = 1e-3
    training.run(3590)
    assert training.monitor.overhead <= 0.05


def test_early_readings_are_an_advance():
    training = Training(iteration_seconds=1e-3, measure_seconds=0.02, compile_seconds=0.0)
    readings = training.run(110)
    assert 100 in measured(readings)
    assert readings[-1].overhead > 0.05  # 0.02 s of 0.1 s


def test_a_reading_that_the_advance_does_not_cover_waits():
    training = Training(iteration_seconds=1e-4, measure_seconds=0.1)
    readings = training.run(50_000)
    assert measured(readings)[0] == 20
    assert measured(readings)[1] > 4000
    assert training.monitor.overhead <= 0.05


def test_a_planned_end_is_where_the_advance_ends():
    training = Training(iteration_seconds=1e-3, measure_seconds=0.02, planned_iterations=1000)
    training.run(1000)
    assert training.monitor.overhead <= 0.05


def test_outputs_are_read_every_so_often():
    training = Training(every=50, output_seconds=1e-5, measure_seconds=1e-4)
    assert [r.iteration for r in training.run(500) if r.speed is not None or r.spread is not None] == [
        20, 50, 100, 150, 200, 250, 300, 350, 400, 450, 500,
    ]  # fmt: skip
    slow = Training(output_seconds=5e-3)  # more than 20 iterations' budget: further apart by itself
    apart = np.diff([r.iteration for r in slow.run(3000) if r.predicted_wander is None])
    assert np.all(apart >= 100)


def test_readings_say_what_the_samples_do():
    training = Training(every=10, output_seconds=0.0, measure_seconds=0.0, budget=1.0)
    last = training.run(400)[-1]
    # all samples move by 1e-3 on both axes per iteration; the data radius is about sqrt(2)
    radius = training.monitor._radius
    assert last.speed == pytest.approx(10 * 1e-3 * math.sqrt(2) / radius, rel=1e-9)
    steps = np.arange(20) * 10 * 1e-3
    assert last.observed_wander == pytest.approx(math.sqrt(2 * steps.var()) / radius, rel=1e-9)
    assert last.wander_growth == pytest.approx(1.0, rel=1e-9)
    assert last.spread == pytest.approx(1.0, abs=0.25)  # 256 samples against 512
    assert last.score == pytest.approx(math.sqrt(0.05 * last.observed_wander))  # from 40 records on
    assert last.margin == pytest.approx(math.log(0.1 / last.score))
    assert 0.5 < last.knn_coverage < 1.5
    assert training.monitor.history[-1] == last


def test_warnings():
    falling = Training(wander=lambda call: 0.02 * 2.0**call, measure_seconds=0.0, compile_seconds=0.0)
    warned = [r for r in falling.run(900) if any("early warning: two" in w for w in r.warnings)]
    assert [r.iteration for r in warned] == [400, 800]  # 0.16 at 200, 0.32 at 400
    sudden = Training(wander=lambda call: 0.02 if call < 3 else 0.09, measure_seconds=0.0, compile_seconds=0.0)
    assert [r.iteration for r in sudden.run(300) if any("margin fell" in w for w in r.warnings)] == [200]
    stuck = Training(measure_seconds=0.0).run(60, frozen=True)
    assert "generator not updated" in stuck[-1].warnings
    assert "discriminator not updated" in stuck[-1].warnings
    assert not any("not updated" in w for r in Training().run(60) for w in r.warnings)
    dead = Training(wander=0.0, measure_seconds=0.0).run(20)[-1]
    assert dead.margin is None
    assert "saturated" in dead.warnings[0]


def test_a_run_that_breaks_down_or_cannot_be_measured_goes_on():
    training = Training(measure_seconds=0.0)
    training.theta = np.full(2, math.nan)
    reading = training.run(20)[-1]
    assert "diverged" in reading.warnings[-1]
    assert reading.spread is None


@pytest.mark.parametrize("error", [MemoryError("too large"), gs.ParameterError("second_moment", "inf", "too large")])
def test_a_measurement_that_fails_does_not_stop_training(error):
    def fails(game, seed, **setting):
        raise error

    training = Training(measure_seconds=0.0)
    training.monitor._measure = fails
    assert any("too large" in w for r in training.run(100) for w in r.warnings)


def test_scores():
    assert judged({"predicted_wander": 0.1}, [], 0)[0]["margin"] == pytest.approx(0.0)
    assert judged({"predicted_wander": 0.2, "observed_wander": 0.05}, [], 39)[0]["score"] == 0.2
    assert judged({"predicted_wander": 0.2, "observed_wander": 0.05}, [], 40)[0]["score"] == pytest.approx(0.1)
    assert judged({"predicted_wander": 1e9, "observed_wander": 0.0}, [], 40)[0]["score"] == pytest.approx(
        math.sqrt(10 * 1e-4)
    )
    assert judged({}, [], 40) == ({}, [])


def test_a_log_is_continued(tmp_path):
    path = tmp_path / "run.jsonl"
    first = Training(log=path, measure_seconds=0.0)
    told = first.run(400)
    lines = path.read_text().splitlines()
    assert len(lines) == 1 + len(told)
    assert json.loads(lines[0])["log"] == "ganscope monitor"
    again = Training(log=path, measure_seconds=0.0)
    assert again.monitor.history == told
    more = again.run(500)
    assert more[0].iteration == 420
    assert measured(more) == [800]
    assert again.monitor.history == told + more
    # the window of records goes on, too
    assert more[0].observed_wander is not None
    assert again.monitor.table().split()[:2] == ["iter", "margin"]


def test_a_torn_line_is_cut_off(tmp_path):
    path = tmp_path / "run.jsonl"
    told = Training(log=path, measure_seconds=0.0).run(200)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"iteration": 220, "sco')
    again = Training(log=path, measure_seconds=0.0)
    assert again.monitor.history == told
    assert path.read_bytes() == whole
    again.run(20)
    assert len(path.read_text().splitlines()) == len(told) + 2


def test_an_earlier_checkpoint_supersedes_what_came_after_it(tmp_path):
    path = tmp_path / "run.jsonl"
    training = Training(log=path, measure_seconds=0.0)
    training.run(400)
    training.clock.now += 1
    training.monitor.step((np.ones(2), np.ones(2)), iteration=110)
    assert training.monitor.history[-1].iteration == 100
    assert [r.iteration for r in training.run(10)] == [120]
    assert Training(log=path).monitor.history == training.monitor.history
    assert max(r.iteration for r in training.monitor.history) == 120


def test_logs_of_others_are_refused(tmp_path):
    path = tmp_path / "other.txt"
    for text in ("hello\n", "hello", "{}\n", '{"log": "ganscope monitor", "version": 99, "game": {}}\n'):
        path.write_text(text)
        with pytest.raises(gs.StoreError):
            Training(log=path)
        assert path.read_text() == text
    log = MonitorLog(tmp_path / "x.jsonl", {"sizes": [1, 2]})
    log.write({"iteration": 3, "value": math.inf, "other": math.nan})
    entry = MonitorLog(tmp_path / "x.jsonl", {"sizes": [1, 2]}).entries[0]
    assert entry["value"] == math.inf
    assert math.isnan(entry["other"])
    with pytest.raises(gs.StoreError, match="another game"):
        MonitorLog(tmp_path / "x.jsonl", {"sizes": [1, 3]})
    with pytest.raises(gs.StoreError, match="opened"):
        MonitorLog(tmp_path, {})


def test_a_full_disk_does_not_stop_training(tmp_path):
    training = Training(log=tmp_path / "run.jsonl", measure_seconds=0.0)
    training.run(20)
    training.monitor._log.path = tmp_path  # a folder: nothing can be appended
    with pytest.warns(UserWarning, match="goes on without it"):
        training.run(20)
    assert training.run(20)


def test_values_survive_the_log():
    value = {"a": [1.0, math.inf, -math.inf], "b": None, "c": "text", "d": np.float64(2.5), "e": ()}
    assert restored(json.loads(json.dumps(plain(value)))) == {**value, "e": []}
    assert len(table([]).splitlines()) == 1
    reading = Reading(
        100000, margin=-12.34, predicted_wander=5.64e5, observed_wander=1.2e-5, spread=1.02, speed=1.6e-5,
        sigma_1=0.0134, zeta_1=-2.434, knn_coverage=0.17, overhead=1.001, warnings=("a long warning, " * 8, "x"),
    )  # fmt: skip
    heading, row, *warnings = table([reading.to_dict()]).splitlines()
    assert row.split()[:3] == ["100000", "-12.34", "5.6e+05"]
    assert len(heading) == len(row) <= 80
    assert warnings[0].startswith("  ! a long warning")
    assert warnings[-1] == "  ! x"
    assert max(map(len, warnings)) <= 80


def test_gradients_tell_norms_and_signal():
    trail = GradientTrail()
    rng = np.random.default_rng(0)
    mean = np.full(50, 2.0)
    for _ in range(20):
        found = trail.add(({"w": mean[:30] + rng.standard_normal(30)}, [mean[30:] + rng.standard_normal(20)]))
    # signal 50 * 4, noise 50; 20 gradients know the mean to 5 %
    assert found["signal_to_noise"] == pytest.approx(4.0, rel=0.15)
    assert found["generator_gradient"] == pytest.approx(math.sqrt(30 * 5), rel=0.2)
    noise = GradientTrail()
    for _ in range(20):
        found = noise.add((rng.standard_normal(9000), np.zeros(1)))
    assert found["signal_to_noise"] < 0.02
    with pytest.raises(gs.ParameterError, match="gradients"):
        noise.add(np.zeros(3))


def test_centres_of_mass_are_written_down_for_small_samples():
    trail = OutputTrail(np.random.default_rng(0).standard_normal((50, 2)), 1.0)
    assert trail.add(np.ones((8, 2))) == {"centre_of_mass": [1.0, 1.0]}
    assert OutputTrail(np.eye(100), 1.0).add(np.zeros((4, 100))) == {}


def test_states_of_all_kinds():
    training = Training(measure_seconds=0.0, every=1, budget=1.0)
    monitor = training.monitor
    training.clock.now = 1.0
    assert monitor.step((np.ones(2), np.zeros(2))) is not None
    training.clock.now = 2.0
    state = {"generator": np.ones(2), "discriminator": np.ones(2), "generator_step": 7}
    assert monitor._current(state).rule.generator.step == 7
    assert monitor._current(None) is monitor._game
    for bad in (np.ones(3), (1, 2, 3), {"generator": np.ones(2)}, {"generatr": 1}):
        with pytest.raises(gs.ParameterError, match="state"):
            monitor._current(bad)


@pytest.mark.parametrize(
    "options, name",
    [
        ({"every": 0}, "every"),
        ({"budget": 0.0}, "budget"),
        ({"budget": 1.5}, "budget"),
        ({"planned_iterations": 0}, "planned_iterations"),
        ({"seed": -1}, "seed"),
        ({"fixed_latents": 3}, "fixed_latents"),
        ({"modes": 0}, "modes"),
        ({"modes": 3}, "modes"),
        ({"noise_batches": 2}, "noise_batches"),
        ({"mode": 3}, "monitor_setting"),
        ({"monitor_setting": 3}, "monitor_setting"),
    ],
)
def test_bad_settings_are_named(options, name):
    with pytest.raises(gs.ParameterError) as error:
        Training(**options)
    assert error.value.name == name


def test_only_a_game_can_be_watched():
    with pytest.raises(gs.ParameterError, match="RealGame"):
        gs.Monitor(3)


def test_a_run_that_has_diverged_is_read_as_seldom_as_any_other_and_says_so_once():
    training = Training(measure_seconds=0.0, output_seconds=0.0, every=50)
    training.run(60)
    before = len(training.calls)
    training.theta = np.full(2, np.nan)
    readings = training.run(440)
    assert [r.iteration for r in readings] == [100, 150, 200, 250, 300, 350, 400, 450, 500]
    told = [warning for r in readings for warning in r.warnings]
    assert told == ["parameters are not finite: the run has diverged"]
    assert len(training.calls) == before
    training.theta = np.zeros(2)  # back from a checkpoint
    assert measured(training.run(300)) == [800]


def test_step_counts_of_jax_are_arrays():
    jnp = pytest.importorskip("jax.numpy")
    training = Training(measure_seconds=0.0, every=1, budget=1.0)
    training.clock.now = 1.0
    state = {"generator": np.ones(2), "discriminator": np.ones(2), "generator_step": jnp.asarray(7, jnp.int32)}
    assert training.monitor._current(state).rule.generator.step == 7
    assert training.monitor.step(state, iteration=jnp.asarray(20)).iteration == 20
    with pytest.raises(gs.ParameterError, match="iteration"):
        training.monitor.step(state, iteration=jnp.asarray(20.5))
