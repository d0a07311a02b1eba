"""What only JAX can hide: random numbers that become constants in compiled functions, and low precision inside them."""

import contextlib
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from ganscope.diagnose.host_random import lent_streams
from ganscope.diagnose.jax_functions.backend import JaxBackend
from ganscope.diagnose.jax_functions.precision import precision

# id, trap, status, message
Found = tuple[str, str, str, str]

_ROWS = 64
# Addresses in the text of a traced program, which differ for no reason.
_ADDRESS = re.compile(r"0x[0-9a-f]+")
_LOOP = re.compile(r"\b(scan|while)\[")


def jax_probes(backend: JaxBackend) -> list[Found]:
    """Probes of the user's functions that only JAX needs.

    Args:
        backend: The game's networks, losses and data; nothing of them is changed.

    Returns:
        T2, and T7 where the precision is low.
    """
    status, message = _randomness(backend)
    told: list[Found] = [("T2", "losses not deterministic", status, message)]
    lowest = loss_precision(backend)
    if backend.precision != np.float64:
        told.append(("T7", "low precision", "warning", "float32: margin below 1e-4 not resolvable"))
    elif lowest != np.float64:
        least = "1e-4" if lowest == np.float32 else "0.1"
        lost = f"a conversion to {lowest} inside the losses costs precision: margin below {least} not resolvable"
        told.append(("T7", "low precision", "warning", lost))
    return told


def loss_precision(backend: JaxBackend) -> Any:
    """The lowest precision that the losses narrow parameters to, or what follows from them; else the instruments'."""
    _, function, arguments = next(_functions(backend))
    with precision(backend.precision):
        program = _traced(function, arguments, 1, inner=True).jaxpr
    moving = set(program.invars[: len(jax.tree.leaves(arguments[:2]))])
    return min([backend.precision, *_narrowed(program, moving)], key=lambda dtype: dtype.itemsize)


def _narrowed(program: Any, moving: set[Any]) -> Iterator[Any]:
    """To which types numbers are narrowed that depend on some variables; noise may be drawn in any precision."""
    for equation in program.eqns:
        depends = [not isinstance(v, core.Literal) and v in moving for v in equation.invars]
        if not any(depends):
            continue
        moving.update(equation.outvars)
        if equation.primitive.name == "convert_element_type":
            before, after = equation.invars[0].aval.dtype, equation.outvars[0].aval.dtype
            if jnp.issubdtype(after, jnp.floating) and after.itemsize < before.itemsize:
                yield after
        for inner in core.jaxprs_in_params(equation.params):
            alike = len(inner.invars) == len(depends)
            yield from _narrowed(inner, set(itertools.compress(inner.invars, depends) if alike else inner.invars))


def _randomness(backend: JaxBackend) -> tuple[str, str]:
    """Status and message on randomness that does not come from `key`."""
    seeded = []
    for name in ("data", "latents"):
        key = jax.random.key(0, impl="threefry2x32")
        first, again, other = (_leaves(backend.called(name, key, _ROWS, seed)) for seed in (1, 1, 2))
        if not _equal(first, again):
            return "error", f"`{name}` returns something else whenever it is called with one key: draw from `key` alone"
        if not _equal(first, other):
            seeded.append(f"`{name}`")
    for name, function, arguments in _functions(backend):
        worst = _hidden(backend, function, arguments)
        if worst > 0:
            frozen = "draws random numbers of its own, which compilation makes constants"
            return "error", f"`{name}` {frozen} (differing by up to {worst:.3g}): take all noise from `key`"
    if seeded:
        told = f"{' and '.join(seeded)} draw from a global random state, not from `key`"
        return "warning", f"{told}: the diagnosis seeds it for every draw"
    return "ok", ""


def _functions(backend: JaxBackend) -> Iterator[tuple[str, Callable[..., Any], tuple[Any, ...]]]:
    """The user's functions that are compiled, with arguments."""
    program, draw = backend.program, backend.draw(0, _ROWS)
    theta, phi = program.trees(*(np.asarray(part, backend.precision) for part in backend.point))
    every = (theta, phi, draw.batch, draw.latents, draw.key)
    yield "losses", program.losses, every
    for name in ("penalty", "other_penalty"):
        if callable(getattr(program, name)):
            yield name, getattr(program, name), every
    yield "real", program.real, (draw.batch,)
    if program.generator is not None:
        yield "generator", program.generator, (theta, draw.latents)
    if program.discriminator is not None:
        with lent_streams(0):
            real = np.asarray(program.real(draw.batch))
        yield "discriminator", program.discriminator, (phi, real)


def _hidden(backend: JaxBackend, function: Callable[..., Any], arguments: tuple[Any, ...]) -> float:
    """By how much results differ between two tracings under other global random states; 0 if the programs are alike."""
    with precision(backend.precision):
        # loops would be unrolled without inner compilation
        inner = bool(_LOOP.search(_text(_traced(function, arguments, 1, inner=True))))
        one, two = (_traced(function, arguments, seed, inner=inner) for seed in (1, 2))
        if _text(one) == _text(two) and _equal(one.consts, two.consts):
            return 0.0
        made = [_leaves(core.jaxpr_as_fun(p)(*jax.tree.leaves(arguments))) for p in (one, two)]
    if [np.shape(leaf) for leaf in made[0]] != [np.shape(leaf) for leaf in made[1]]:
        return float("inf")
    with np.errstate(all="ignore"):
        apart = [np.max(np.abs(a - b), initial=0.0) for a, b in zip(*made, strict=True) if not np.array_equal(a, b)]
    return float(np.nan_to_num(max(apart, default=0.0), nan=np.inf))


def _traced(function: Callable[..., Any], arguments: tuple[Any, ...], seed: int, *, inner: bool) -> Any:
    """The function's program, traced anew; functions that it compiles inside are traced anew, too, unless `inner`."""
    with lent_streams(seed), contextlib.nullcontext() if inner else jax.disable_jit():
        return jax.make_jaxpr(lambda *given: function(*given))(*arguments)


def _text(program: Any) -> str:
    return _ADDRESS.sub("", str(program.jaxpr))


def _leaves(tree: Any) -> list[Any]:
    """Leaves as arrays that can be compared."""
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def _equal(first: Any, second: Any) -> bool:
    """Whether all leaves are, bit for bit."""
    pairs = zip(_leaves(first), _leaves(second), strict=False)
    return len(first) == len(second) and all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs)
