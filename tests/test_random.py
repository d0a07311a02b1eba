"""The noise: known answers, the same bits in every engine, and no dependence on tiling."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganscope.core import random, random_jax
from ganscope.core.errors import ParameterError

WORD = st.integers(0, 2**32 - 1)

# Random123's known answers for Philox4x32-10: counter, key, output.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize("counter, key, answer", KNOWN)
def test_philox_gives_the_known_answers(counter, key, answer):
    assert tuple(int(v) for v in random.philox4x32(*counter, *key)) == answer
    assert tuple(int(v) for v in random_jax.philox4x32(*counter, *key)) == answer


@given(st.tuples(WORD, WORD, WORD, WORD), st.tuples(WORD, WORD))
def test_philox_has_the_same_bits_in_numba_and_jax(counter, key):
    ours = [int(v) for v in random.philox4x32(*counter, *key)]
    theirs = [int(v) for v in random_jax.philox4x32(*counter, *key)]
    assert ours == theirs


@pytest.mark.parametrize("step", [0, 7, 2**32 + 3])
def test_normals_agree_between_numba_and_jax(step):
    ours = random.normal_float32(10_000, seed=3, stream=2**63 + 11, step=step)
    theirs = np.asarray(random_jax.normal_float32(10_000, seed=3, stream=2**63 + 11, step=step))
    np.testing.assert_allclose(ours, theirs, atol=3e-6)


def test_the_first_normals_do_not_depend_on_how_many_are_drawn():
    long = random.normal_float32(1000, seed=1, stream=2, step=3)
    for size in (1, 63, 64, 65, 999):
        assert np.array_equal(random.normal_float32(size, seed=1, stream=2, step=3), long[:size])


def test_seed_stream_step_and_purpose_all_matter():
    base = {"seed": 1, "stream": 2, "step": 3, "purpose": 0}
    draws = [random.normal_float32(64, **base)]
    draws += [random.normal_float32(64, **{**base, name: value + 1}) for name, value in base.items()]
    draws.append(random.normal_float32(64, **{**base, "step": 3 + 2**32}))
    for i, first in enumerate(draws):
        for second in draws[:i]:
            assert not np.any(first == second)


def test_normals_are_standard():
    x = random.normal_float32(4_000_000, seed=5).astype(float)
    n = len(x)
    # Mean, variance, skewness and kurtosis in units of their standard errors, and neighbours uncorrelated.
    assert abs(x.mean()) * np.sqrt(n) < 4.5
    assert abs(x.var() - 1) / np.sqrt(2 / n) < 4.5
    assert abs((x**3).mean()) / np.sqrt(15 / n) < 4.5
    assert abs((x**4).mean() - 3) / np.sqrt(96 / n) < 4.5
    for lag in (1, 16, 32, 64):
        assert abs((x[lag:] * x[:-lag]).mean()) * np.sqrt(n) < 4.5


def test_tails_are_those_of_a_normal():
    x = np.abs(random.normal_float32(4_000_000, seed=6))
    for level, probability in ((1.0, 0.31731051), (3.0, 0.00269980), (4.5, 6.795e-6)):
        expected = probability * len(x)
        assert abs((x > level).sum() - expected) < 4.5 * np.sqrt(expected)


def test_streams_of_replicas_do_not_depend_on_their_number():
    assert np.array_equal(random.replica_streams(9, 3), random.replica_streams(9, 100)[:3])
    assert len(np.unique(random.replica_streams(9, 100_000))) == 100_000


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "a", True, None])
def test_a_bad_seed_is_refused(seed):
    with pytest.raises(ParameterError, match=r"seed = .*integer in 0"):
        random.normal_float32(4, seed=seed)
