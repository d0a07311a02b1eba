"""From a JAX user's functions and trees of arrays to what the instruments work on."""

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ganscope.core.caches import prepare_jax

prepare_jax()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

from ganscope.core.checks import integer  # noqa: E402
from ganscope.core.errors import ParameterError  # noqa: E402
from ganscope.core.game import Players  # noqa: E402
from ganscope.diagnose.backend import Draw  # noqa: E402
from ganscope.diagnose.jax_functions.backend import JaxBackend  # noqa: E402
from ganscope.diagnose.jax_functions.precision import precision  # noqa: E402
from ganscope.diagnose.jax_functions.programs import Program, flatten, own_samples, structure_of  # noqa: E402
from ganscope.diagnose.rule import Player, UpdateRule  # noqa: E402

# Rows with which the user's functions are tried out.
_CHECKED_ROWS = 4


def jax_parts(
    losses: Callable[..., Any],
    generator_parameters: Any,
    discriminator_parameters: Any,
    rule: UpdateRule,
    data: Any,
    latents: Any,
    generator: Callable[..., Any] | None,
    discriminator: Callable[..., Any] | None,
    penalty: Callable[..., Any] | str | None,
    other_penalty: Callable[..., Any] | None,
    real: Callable[[Any], Any] | None,
) -> tuple[JaxBackend, UpdateRule]:
    """A backend, and the rule with second moments as flat arrays; arguments as in `RealGame`."""
    for name, function in (("losses", losses), ("generator", generator), ("discriminator", discriminator),
                           ("other_penalty", other_penalty), ("real", real)):  # fmt: skip
        if not (callable(function) or (function is None and name != "losses")):
            raise ParameterError(name, function, "a function")
    if not (penalty is None or penalty == "r1" or callable(penalty)):
        raise ParameterError("penalty", penalty, "'r1', a function (theta, phi, batch, z, key) -> scalar, or None")
    if not isinstance(rule, UpdateRule):
        raise ParameterError("rule", rule, "a gs.UpdateRule(generator=gs.Player(...), discriminator=gs.Player(...))")
    _refuse_shared(generator_parameters, discriminator_parameters)
    structures = (
        structure_of("generator_parameters", generator_parameters),
        structure_of("discriminator_parameters", discriminator_parameters),
    )
    if penalty == "r1" and discriminator is None:
        penalty = None  # nothing to take R1 of: gamma cannot be varied
    program = Program(
        losses, generator, discriminator, penalty, other_penalty, real or own_samples, structures[0], structures[1]
    )
    point = Players(flatten(generator_parameters), flatten(discriminator_parameters))
    dtypes = {np.dtype(leaf.dtype) for leaf in jax.tree.leaves((generator_parameters, discriminator_parameters))}
    backend = JaxBackend(
        program,
        point,
        _data_source(data),
        _latent_source(latents),
        np.float64 if np.dtype(np.float64) in dtypes else np.float32,
    )
    settled = rule.replace(
        generator=_flat_moments(rule.generator, structures[0].size),
        discriminator=_flat_moments(rule.discriminator, structures[1].size),
    )
    _check_functions(backend)
    return backend, settled


def _check_functions(backend: JaxBackend) -> None:
    """Trace the user's functions once, without computing anything, and look at the shapes of what they return."""
    program = backend.program
    draw = _drawn(backend)
    theta, phi = program.trees(*(np.asarray(part, backend.precision) for part in backend.point))
    with precision(backend.precision):
        made = _traced("losses", "(theta, phi, batch, z, key) -> (L_G, L_D)", program.losses, theta, phi, draw.batch,
                       draw.latents, draw.key)  # fmt: skip
        shapes = [getattr(part, "shape", None) for part in made] if isinstance(made, tuple | list) else [None]
        if shapes != [(), ()]:
            raise ParameterError("losses", f"returned shapes {shapes}", "two scalars (L_G, L_D)")
        if program.generator is not None:
            samples = _traced("generator", "(theta, z) -> samples", program.generator, theta, draw.latents)
            _check_rows("generator", samples, "samples [n, ...], one for each latent")
        if program.discriminator is not None:
            real = _traced("real", "batch -> real samples", program.real, draw.batch)
            _check_floating(real)
            scores = _traced("discriminator", "(phi, x) -> scores", program.discriminator, phi, real)
            _check_rows("discriminator", scores, "scores [n], one for each sample")
        for name in ("penalty", "other_penalty"):
            function = getattr(program, name)
            if callable(function):
                term = _traced(name, "(theta, phi, batch, z, key) -> scalar", function, theta, phi, draw.batch,
                               draw.latents, draw.key)  # fmt: skip
                if getattr(term, "shape", None) != ():
                    raise ParameterError(name, f"returned {term}", "a scalar")


def _drawn(backend: JaxBackend) -> Draw:
    try:
        return backend.draw(0, _CHECKED_ROWS)
    except ParameterError:
        raise
    except Exception as error:  # whatever the user's own code raises
        raise ParameterError(
            "data", "a function that failed", f"(key, n) -> batch, latents likewise ({error})"
        ) from error


def _traced(name: str, called: str, function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return jax.eval_shape(function, *arguments)
    except Exception as error:  # whatever the user's own code raises
        told = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise ParameterError(name, "a function that failed", f"{called}; calling it raised {told}") from error


def _check_rows(name: str, made: Any, expected: str) -> None:
    shape = getattr(made, "shape", None)
    if not shape or shape[0] != _CHECKED_ROWS:
        raise ParameterError(name, f"returned {made} for {_CHECKED_ROWS} rows", expected)


def _check_floating(real: Any) -> None:
    """R1 and the discriminator's slopes are derivatives by the samples."""
    narrow = [str(leaf.dtype) for leaf in jax.tree.leaves(real) if not jnp.issubdtype(leaf.dtype, jnp.floating)]
    if narrow:
        expected = "samples as the discriminator sees them, floating-point: real=lambda batch: ..."
        raise ParameterError("real", f"samples of type {narrow[0]}", expected)


def _refuse_shared(generator_parameters: Any, discriminator_parameters: Any) -> None:
    mine = {id(leaf) for leaf in jax.tree.leaves(generator_parameters)}
    for path, leaf in jax.tree_util.tree_flatten_with_path(discriminator_parameters)[0]:
        if id(leaf) in mine:
            raise ParameterError(
                "discriminator_parameters",
                jax.tree_util.keystr(path),
                "leaves of its own: shared parameters: not a two-player game",
            )


def _data_source(data: Any) -> Callable[[Any, int], Any]:
    """(key, n) -> batch; of an array or a tuple of arrays, rows drawn with replacement."""
    if callable(data):
        return data  # type: ignore[no-any-return]
    rows = jax.tree.map(np.asarray, data)
    leaves = jax.tree.leaves(rows)
    lengths = {len(leaf) if leaf.ndim else 0 for leaf in leaves}
    if len(lengths) != 1 or 0 in lengths or not all(map(_numeric, leaves)):
        raise ParameterError("data", data, "a function (key, n) -> batch, or arrays with one row per sample")
    count = lengths.pop()

    def resample(key: Any, n: int) -> Any:
        chosen = np.asarray(jax.random.randint(key, (n,), 0, count))
        return jax.tree.map(lambda a: a[chosen], rows)

    return resample


def _numeric(leaf: Any) -> bool:
    return leaf.dtype.kind in "fiub" or bool(jnp.issubdtype(leaf.dtype, jnp.floating))  # bfloat16, too


def _latent_source(latents: Any) -> Callable[[Any, int], Any]:
    """(key, n) -> latents; of an integer, that many standard normals per sample."""
    if callable(latents):
        return latents  # type: ignore[no-any-return]
    size = integer("latents", latents, at_least=1)
    return lambda key, n: jax.random.normal(key, (n, size))


def _flat_moments(player: Player, size: int) -> Player:
    """Second and first moments as flat arrays of the right length."""
    changes = {}
    for name in ("second_moment", "first_moment"):
        given = getattr(player, name)
        if given is None:
            continue
        flat = flatten(given)
        if len(flat) != size:
            raise ParameterError(name, f"{len(flat)} numbers", f"one number per parameter, {size}")
        changes[name] = flat
    rate = np.asarray(player.learning_rate, np.float64)
    if rate.ndim and len(rate) != size:
        raise ParameterError("learning_rate", f"{len(rate)} numbers", f"one number per parameter, {size}")
    return player.replace(**changes) if changes else player


def checkpoint_of(
    backend: Any, generator_parameters: Any, discriminator_parameters: Any, rule: UpdateRule
) -> tuple[JaxBackend, UpdateRule]:
    """A game's backend and rule at other parameters: trees or flat arrays of the right size."""
    flat = []
    for name, given, size in zip(
        ("generator_parameters", "discriminator_parameters"),
        (generator_parameters, discriminator_parameters),
        backend.sizes,
        strict=True,
    ):
        values = flatten(given)
        if len(values) != size:
            raise ParameterError(name, f"{len(values)} numbers", f"{size} numbers, like the game's own parameters")
        flat.append(values)
    settled = rule.replace(
        generator=_flat_moments(rule.generator, backend.sizes.generator),
        discriminator=_flat_moments(rule.discriminator, backend.sizes.discriminator),
    )
    return backend.at(Players(*flat)), settled


def read_checkpoint(path: Path, sizes: Players) -> tuple[Any, Any]:
    """The flat arrays `generator` and `discriminator` of an `.npz` file; nothing is unpickled."""
    try:
        stored = np.load(path, allow_pickle=False)
        if not isinstance(stored, np.lib.npyio.NpzFile):
            raise ParameterError("checkpoint", str(path), "an .npz file of arrays, not a single array")
        with stored:
            arrays = {name: np.asarray(stored[name]) for name in stored.files}
    except ParameterError:
        raise
    except FileNotFoundError:
        raise ParameterError("checkpoint", str(path), "a file that exists") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ParameterError("checkpoint", str(path), f"an .npz file of arrays ({error})") from None
    for name, size in zip(("generator", "discriminator"), sizes, strict=True):
        if name not in arrays or arrays[name].size != size:
            found = {key: value.shape for key, value in arrays.items()}
            raise ParameterError("checkpoint", found, f"arrays generator and discriminator with {list(sizes)} numbers")
        if arrays[name].dtype.kind not in "fiu":
            raise ParameterError("checkpoint", f"{name} of type {arrays[name].dtype}", "arrays of real numbers")
    return arrays["generator"], arrays["discriminator"]
