"""Repeated subexpressions, computed once.

A loss with a penalty evaluates the discriminator at the data twice, the two losses the generator twice. The compiler
finds that in straight code, but not between what a loop over directions is handed from outside; products with a
Jacobian would carry every copy along.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import jax
from jax.extend import core


def once(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function of trees of arrays, where equal operations on equal arguments are done a single time."""

    def slim(*arguments: Any) -> Any:
        traced, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        program = core.ClosedJaxpr(_without_repetition(traced.jaxpr), traced.consts)
        made = core.jaxpr_as_fun(program)(*jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shapes), made)

    return slim


def _without_repetition(program: Any) -> Any:
    known: dict[Any, Any] = {}
    first: dict[Any, Any] = {}
    kept = []
    for equation in program.eqns:
        equation = equation.replace(invars=[_first(first, v) for v in equation.invars])
        before = equation
        if not equation.effects:
            with contextlib.suppress(TypeError):  # a parameter of the operation that cannot be compared
                before = known.setdefault(_key(equation), equation)
        if before is equation:
            kept.append(equation)
        else:
            first.update(zip(equation.outvars, before.outvars, strict=True))
    return program.replace(eqns=kept, outvars=[_first(first, v) for v in program.outvars])


def _first(first: dict[Any, Any], variable: Any) -> Any:
    return variable if isinstance(variable, core.Literal) else first.get(variable, variable)


def _key(equation: Any) -> Any:
    """Operation, arguments and parameters; literals by value."""
    arguments = tuple((repr(v.val), v.aval) if isinstance(v, core.Literal) else v for v in equation.invars)
    return equation.primitive, arguments, tuple(sorted(equation.params.items(), key=lambda item: item[0]))
