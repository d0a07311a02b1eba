"""Compilation of our own kernels with numba, with a cache that notices every edit.

numba's own cache looks only at the file that holds a kernel, not at the modules it calls into, and can keep running an
old random generator for months. Here the cache is stamped with a digest of every module that holds compiled code, and
lives in the user's cache directory, so that a second command compiles nothing and an edit anywhere recompiles.
"""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import cgutils, types
from numba.core.caching import CompileResultCacheImpl, FunctionCache, UserWideCacheLocator
from numba.extending import intrinsic

from ganscope.core.caches import cache_root

F = TypeVar("F", bound=Callable[..., Any])

_PACKAGE = Path(__file__).resolve().parent.parent


@functools.cache
def cache_directory() -> Path:
    """Where compiled kernels of this copy of the package are kept; `GANSCOPE_CACHE_DIR` overrides it."""
    copy = hashlib.blake2b(str(_PACKAGE).encode(), digest_size=6).hexdigest()
    return cache_root() / f"kernels-{copy}"


@functools.cache
def source_digest() -> str:
    """Digest of every module of the package that holds compiled code."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(_PACKAGE.rglob("*.py")):
        source = path.read_bytes()
        if b"core.compiled" in source or path == Path(__file__).resolve():
            digest.update(source)
    return digest.hexdigest()


class _Locator(UserWideCacheLocator):
    def __init__(self, py_func: Callable[..., Any], py_file: str) -> None:
        super().__init__(py_func, py_file)
        self._cache_path = str(cache_directory())

    def get_source_stamp(self) -> str:
        return source_digest()

    def get_disambiguator(self) -> str:
        folder = Path(self._py_file).parent.name
        return f"{folder}-{self._lineno}"


class _CacheImpl(CompileResultCacheImpl):
    _locator_classes: Any = (_Locator, *CompileResultCacheImpl._locator_classes)


def _captured(function: Callable[..., Any]) -> str:
    """What a function closes over, as a text that is the same in every process; kernels are described by theirs."""
    values = [cell.cell_contents for cell in function.__closure__ or ()]
    kernels = [getattr(value, "py_func", None) for value in values]
    return repr([v if k is None else (k.__qualname__, _captured(k)) for v, k in zip(values, kernels, strict=True)])


class _KernelCache(FunctionCache):
    _impl_class = _CacheImpl

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return sig, codegen.magic_tuple(), _captured(self._py_func)


def compiled(
    function: F | None = None, *, cache: bool = True, fastmath: bool | set[str] = False, inline: bool = False
) -> Any:
    """Compile a function with numba: no bounds checks, IEEE division, the GIL released, cached between processes.

    Arithmetic is strict IEEE unless `fastmath` says otherwise, so that a vectorised and a scalar build of one source
    give the same bits. Kernels made by a factory may close over numbers, texts and other kernels; pass
    `cache=False` for anything whose `repr` differs between processes. `inline` puts the body into its callers
    whatever its size, which lets their loops vectorise.
    """
    if function is None:
        return functools.partial(compiled, cache=cache, fastmath=fastmath, inline=inline)
    dispatcher = numba.njit(function, error_model="numpy", nogil=True, fastmath=fastmath, forceinline=inline)
    if cache:
        dispatcher._cache = _KernelCache(dispatcher.py_func)
    return dispatcher


def writeable(array: Any) -> Any:
    """The array, or a copy of one that must not be written to: numba compiles a kernel once for each kind."""
    return array if array.flags.writeable else array.copy()


def _stack(element: Any) -> Any:
    @intrinsic(prefer_literal=True)
    def pointer(typing_context: Any, count: Any) -> Any:
        """Pointer to `count` elements on the stack, `count` a constant.

        LLVM keeps small arrays in registers, knows that they overlap with nothing, and can vectorise around them.
        """
        del typing_context
        if not isinstance(count, types.IntegerLiteral):
            return None
        size = max(1, count.literal_value)

        def allocate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            del signature, arguments
            return cgutils.alloca_once(builder, context.get_value_type(element), size=size)

        return types.CPointer(element)(count), allocate

    return pointer


stack_doubles = _stack(types.float64)
stack_floats = _stack(types.float32)
stack_words = _stack(types.uint64)


@intrinsic
def fused_multiply_add(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c with one rounding, for float32 or float64: the same bits in scalar and vector code."""
    del typing_context
    if a not in (types.float32, types.float64) or not a == b == c:
        return None

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        del context, signature
        return builder.fma(*arguments)

    return a(a, b, c), emit


def _reinterpret(source: Any, target: Any) -> Any:
    @intrinsic
    def cast(typing_context: Any, value: Any) -> Any:
        del typing_context
        if value != source:
            return None

        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            del signature
            return builder.bitcast(arguments[0], context.get_value_type(target))

        return target(source), emit

    return cast


bits_of_float32 = _reinterpret(types.float32, types.int32)
float32_of_bits = _reinterpret(types.int32, types.float32)
bits_of_float64 = _reinterpret(types.float64, types.int64)
float64_of_bits = _reinterpret(types.int64, types.float64)
