"""Random sources of code that is not ours: the global ones, and those that a callable holds, set from our generator.

What a callable draws then is a function of the sample's name, whatever process reads it and in whatever order.
"""

from __future__ import annotations

import functools
import gc
import random
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from aigenbench.errors import InputError

MOST_LOOKED_AT = 20_000
"""Things looked at in search of generators."""

_LIBRARIES = frozenset({"aigenbench", "torch", "torchvision", "numpy", "PIL", "cv2", "scipy", "timm", "open_clip"})
"""Packages in whose functions no generator is sought; objects of their classes may hold one."""

_CLOSED = frozenset(
    {"lightning", "lightning_fabric", "pytorch_lightning", "torchmetrics", "jsonargparse", "tensorboard"}
)
"""Packages into whose objects nobody puts an augmentation."""

_LEAVES = (str, bytes, bytearray, int, float, complex, type(None), types.ModuleType, np.ndarray, np.generic)

_NOT_OF_A_STEP = frozenset({"_parameters", "_buffers", "_modules"})


@contextmanager
def seeded(rng: np.random.Generator, held: Sequence[Any] = ()) -> Iterator[None]:
    """Set ``random``, NumPy's and torch's global states, and the generators ``held``, from ``rng``; then put them back.

    Args:
        rng: says what they are set to.
        held: what ``generators_in`` found.
    """
    import torch

    seeds = rng.integers(0, 2**32, size=3, dtype=np.uint32)
    python_state, numpy_state, torch_state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    with ExitStack() as stack:
        try:
            random.seed(int(seeds[0]))
            np.random.seed(seeds[1])
            # only the CPU's generator: seeding an accelerator from a worker would start it there
            torch.default_generator.manual_seed(int(seeds[2]))
            for generator in held:
                stack.callback(_set(generator, int.from_bytes(rng.bytes(8), "little")))
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
            torch.set_rng_state(torch_state)


def _set(generator: Any, seed: int) -> Callable[[], Any]:
    """Set a generator's state; return what puts the old one back."""
    if isinstance(generator, random.Random):
        state = generator.getstate()
        generator.seed(seed)
        return functools.partial(generator.setstate, state)
    if isinstance(generator, np.random.RandomState):
        legacy = generator.get_state(legacy=False)
        fresh = np.random.RandomState(type(generator._bit_generator)(seed))
        generator.set_state(fresh.get_state(legacy=False))
        return functools.partial(generator.set_state, legacy)
    if isinstance(generator, np.random.Generator | np.random.BitGenerator):
        bits: Any = generator.bit_generator if isinstance(generator, np.random.Generator) else generator
        numpy_state = bits.state
        bits.state = type(bits)(seed).state
        return functools.partial(setattr, bits, "state", numpy_state)
    # torch's; its seeds are signed numbers
    torch_state = generator.get_state()
    generator.manual_seed(seed >> 1)
    return functools.partial(generator.set_state, torch_state)


def generators_in(thing: Any, where: str) -> list[Any]:
    """Generators that a callable holds: in attributes, closures, defaults, globals it names, and all that these hold.

    The global generators of Python, NumPy and torch are not among them.

    Args:
        thing: the callable.
        where: the hook it is of, for messages.

    Raises:
        InputError: it holds one that cannot be set, such as the operating system's.
    """
    found: list[Any] = []
    seen: dict[int, Any] = {}
    waiting = [thing]
    while waiting and len(seen) < MOST_LOOKED_AT:
        one = waiting.pop()
        if isinstance(one, _LEAVES) or id(one) in seen:
            continue
        # kept, so that no other thing gets its number
        seen[id(one)] = one
        if isinstance(one, random.SystemRandom):
            raise InputError(
                f"{where}: the augmentation draws from {type(one).__name__}, the operating system's randomness, which "
                "cannot be repeated; use random.Random or the functions of random, np.random or torch"
            )
        if _is_generator(one):
            if not _is_global(one):
                found.append(one)
            continue
        # reversed: the last is looked at first
        waiting.extend(reversed(list(_parts(one))))
    return found


def _is_generator(thing: Any) -> bool:
    kinds: tuple[type, ...] = (random.Random, np.random.RandomState, np.random.Generator, np.random.BitGenerator)
    torch = sys.modules.get("torch")
    return isinstance(thing, kinds if torch is None else (*kinds, torch.Generator))


def _is_global(generator: Any) -> bool:
    torch = sys.modules.get("torch")
    python, numpy = random.seed.__self__, np.random.mtrand._rand  # type: ignore[attr-defined]
    return any(generator is one for one in (python, numpy, torch and torch.default_generator))


def _parts(thing: Any) -> Iterable[Any]:
    """What a thing is made of, as far as a generator may be there."""
    if isinstance(thing, dict):
        return thing.values()
    if isinstance(thing, list | tuple | set | frozenset):
        return thing
    if isinstance(thing, functools.partial):
        return (thing.func, *thing.args, *thing.keywords.values(), *vars(thing).values())
    if isinstance(thing, types.MethodType):
        return (thing.__self__, thing.__func__)
    if isinstance(thing, types.BuiltinMethodType):
        return (thing.__self__,)
    if isinstance(thing, types.FunctionType):
        return _parts_of_function(thing)
    if isinstance(thing, staticmethod | classmethod):
        return (thing.__func__,)
    if isinstance(thing, property):
        return (thing.fget,)
    if isinstance(thing, types.CellType):
        return _content(thing)
    if isinstance(thing, type):
        return [value for cls in thing.__mro__ if not _is_library(cls) for value in vars(cls).values()]
    return _parts_of_object(thing)


def _parts_of_function(function: types.FunctionType) -> Iterator[Any]:
    yield from (part for cell in function.__closure__ or () for part in _content(cell))
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    yield from vars(function).values()
    if not _is_library(function):
        yield from _named_globals(function.__code__, function.__globals__)


def _named_globals(code: types.CodeType, scope: dict[str, Any]) -> Iterator[Any]:
    """Globals that code names, and of modules among them what it names of these."""
    for name in code.co_names:
        # what a function imports is no global of its module
        value = scope.get(name, sys.modules.get(name))
        if not isinstance(value, types.ModuleType):
            yield value
        elif value.__name__.partition(".")[0] not in _LIBRARIES | sys.stdlib_module_names:
            yield from (vars(value).get(inner) for inner in code.co_names)
    yield from (
        part for const in code.co_consts if isinstance(const, types.CodeType) for part in _named_globals(const, scope)
    )


def _parts_of_object(thing: Any) -> Iterator[Any]:
    package = type(thing).__module__.partition(".")[0]
    if package in _CLOSED or isinstance(thing, sys.modules["torch"].Tensor if "torch" in sys.modules else ()):
        return
    # a detector's own method: its network is no part of an augmentation
    passed_over = _NOT_OF_A_STEP if hasattr(type(thing), "training_step") else frozenset()
    yield from (value for name, value in getattr(thing, "__dict__", {}).items() if name not in passed_over)
    if package in sys.stdlib_module_names:
        # a queue, a cache, an iterator: what it refers to
        yield from gc.get_referents(thing)
    for cls in type(thing).__mro__:
        slots = vars(cls).get("__slots__", ())
        yield from (getattr(thing, name, None) for name in ((slots,) if isinstance(slots, str) else slots))
    yield type(thing)


def _content(cell: types.CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:
        # it is filled later
        return ()


def _is_library(thing: Any) -> bool:
    package = (getattr(thing, "__module__", None) or "builtins").partition(".")[0]
    return package in _LIBRARIES or package in _CLOSED or package in sys.stdlib_module_names
