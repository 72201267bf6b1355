"""The callables a sample passes through, ours and those users bring.

Ours are ``Recipe`` objects: functions of (image, rng). A foreign callable (a torchvision v2 transform, or anything
that takes and returns a PIL image, an array or a tensor) knows nothing of our generator: torch, NumPy, ``random`` and
generators of its own are set from it around the call, and put back afterwards, so it too is a function of the sample's
name.
"""

from __future__ import annotations

import functools
import inspect
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from aigenbench.augmentations import Recipe
from aigenbench.data.samples.calls import RecipeCall
from aigenbench.data.samples.randomness import generators_in, seeded
from aigenbench.errors import InputError
from aigenbench.files import PACKAGE

Pixels = npt.NDArray[np.uint8]
"""uint8 (H, W, 3), RGB, C-contiguous."""

Augmentation = Callable[..., Any]

FORMS = ("PIL image", "array", "tensor")
"""Forms of an image that a foreign callable may take, in the order in which they are tried."""

TRIALS = 8
"""With so many draws a callable must take a form of an image: what it does may depend on what it draws."""

CHECKED_CALLS = 8
"""So many first calls of a foreign callable in each process are made twice, to see that they can be repeated."""


class Transform(Protocol):
    """One step of a sample: pixels in; pixels, or a finished float tensor (3, H, W), out."""

    def __call__(self, image: Any, rng: np.random.Generator) -> Any:
        """Apply the step, drawing from ``rng`` alone."""
        ...


def as_transform(augmentation: Augmentation | None, where: str, then: Augmentation | None = None) -> Transform:
    """Turn what an augmentation hook returned into a transform.

    Args:
        augmentation: a Recipe, a foreign callable, or None for no change.
        where: the hook's name, for messages.
        then: the step after it; a callable of a user's gets finished tensors of a step that finishes.

    Raises:
        InputError: it cannot be called.
    """
    of_ours = then is None or isinstance(then, RecipeCall | Recipe)
    if isinstance(augmentation, RecipeCall) and (of_ours or not augmentation.finishes):
        augmentation = augmentation.recipe
    if augmentation is None:
        return unchanged
    if isinstance(augmentation, Recipe):
        return augmentation
    if not callable(augmentation):
        raise InputError(f"{where} must return callables, found {type(augmentation).__name__}")
    return ForeignTransform(augmentation, where)


def unchanged(image: Any, rng: np.random.Generator) -> Any:
    """The image as it is."""
    return image


class Foreign:
    """A callable of a user's, tried on the first real image that comes to see which form of an image it takes.

    Args:
        function: the callable.
        where: the hook that returned it, for messages.
    """

    def __init__(self, function: Callable[[Any], Any], where: str) -> None:
        self.function = function
        self.where = where
        self._form: str | None = None
        self._checks_left = CHECKED_CALLS
        self._held: list[Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # in another process, generators are found anew: in what the callable became there
        return {**vars(self), "_held": None}

    def call(self, image: Any, rng: np.random.Generator, read: Callable[[Any, str], Any]) -> Any:
        """Apply the callable, all its random sources set from ``rng``.

        Args:
            image: pixels, or what a former callable made of them.
            rng: the sample's.
            read: makes what is wanted of what the callable returned.

        Raises:
            InputError: it fails, returns no image, or something else when called with the same again.
        """
        if self._held is None:
            self._held = generators_in(self.function, self.where)
        state = rng.bit_generator.state
        if self._form is None:
            self._form = self._accepted_form(image, rng)
            rng.bit_generator.state = state
        result = self._once(image, rng, read)
        if self._checks_left:
            self._checks_left -= 1
            rng.bit_generator.state = state
            result = self._checked(image, rng, read, result)
        return result

    def _once(self, image: Any, rng: np.random.Generator, read: Callable[[Any, str], Any]) -> Any:
        with seeded(rng, self._held or ()):
            try:
                returned = self.function(prepared(image, self._form or "PIL image"))
            except InputError:
                raise
            except Exception as error:
                raise InputError(
                    f"{self.where}: {described(self.function)} failed on {_size(image)}: {told(error)}"
                ) from error
            return read(returned, self.where)

    def _checked(self, image: Any, rng: np.random.Generator, read: Callable[[Any, str], Any], first: Any) -> Any:
        """The result of a second call, which must be that of the first."""
        state = rng.bit_generator.state
        if same_result(first, self._once(image, rng, read)):
            return first
        # it may have made its generator in the first call
        self._held = generators_in(self.function, self.where)
        results = []
        for _ in range(2):
            rng.bit_generator.state = state
            results.append(self._once(image, rng, read))
        if not same_result(*results):
            raise InputError(
                f"{self.where}: {described(self.function)} gives another result when called with the same image and "
                "random states again: it makes a generator in the call (such as np.random.default_rng() without a "
                "seed), reads the clock or counts its calls; use the functions of random, np.random or torch, or keep "
                "the generator in an attribute"
            )
        return results[0]

    def _accepted_form(self, image: Any, rng: np.random.Generator) -> str:
        """The first form of this image that the callable takes; a finished tensor is passed as it is."""
        if not isinstance(image, np.ndarray):
            return "tensor"
        state, refusals = rng.bit_generator.state, []
        for form in FORMS:
            rng.bit_generator.state = state
            try:
                untouched = [self._passes_on(image, form, rng) for _ in range(TRIALS)]
            except InputError:
                raise
            except Exception as error:  # noqa: BLE001 - anything may be wrong with an unsuitable form; all are told below
                refusals.append(f"{form}: {told(error)}")
                continue
            # torchvision's pass on what they do not know: after a form that they refused, that is another refusal
            if not refusals or not all(untouched):
                return form
            refusals.append(f"{form}: returned untouched")
        raise InputError(
            f"{self.where}: {described(self.function)} takes no image we can give it, tried on {_size(image)} "
            f"({'; '.join(refusals)})"
        )

    def _passes_on(self, image: Any, form: str, rng: np.random.Generator) -> bool:
        """Whether the callable returns the very thing that it was given."""
        given = prepared(image, form)
        with seeded(rng, self._held or ()):
            return self.function(given) is given


class ForeignTransform(Foreign):
    """A callable that takes one image and draws, if at all, from random sources that ``seeded`` sets."""

    def __call__(self, image: Any, rng: np.random.Generator) -> Any:
        """Apply the callable, its random sources set from ``rng``.

        Returns:
            uint8 (H, W, 3) for a PIL image, an array or a uint8 tensor; a float tensor (3, H, W) is passed on as it is.
        """
        return self.call(image, rng, from_foreign)


class ForeignCrops(Foreign):
    """An overridden crops hook: one image in; one image, or a sequence of them, out."""

    def __call__(self, image: Any, rng: np.random.Generator) -> list[Any]:
        """The crops of one image, in the forms of ``ForeignTransform``."""
        crops: list[Any] = self.call(image, rng, _crops_from_foreign)
        return crops


def _crops_from_foreign(returned: Any, where: str) -> list[Any]:
    one = isinstance(returned, Image.Image) or getattr(returned, "ndim", 4) == 3
    try:
        crops = [returned] if one else list(returned)
    except TypeError:
        crops = []
    if not crops:
        raise InputError(f"{where}: returned {type(returned).__name__} without an image; expected one image or several")
    return [from_foreign(crop, where) for crop in crops]


def same_result(first: Any, second: Any) -> bool:
    """Whether two results are equal, bit for bit."""
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same_result, first, second))
    if isinstance(first, np.ndarray):
        return isinstance(second, np.ndarray) and first.shape == second.shape and first.tobytes() == second.tobytes()
    if first.device.type != "cpu":
        # an accelerator adds up in another order each time
        return True
    if isinstance(second, np.ndarray) or first.shape != second.shape:
        return False
    return bool(first.detach().numpy().tobytes() == second.detach().numpy().tobytes())


def described(function: Any) -> str:
    """What a callable is called, and where a user's own is defined: ``Noise (noise.py, line 4)``."""
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    named = inner if inspect.isroutine(inner) or inspect.isclass(inner) else type(inner)
    name = str(getattr(named, "__qualname__", type(named).__name__))
    place = defined_at(named)
    return f"{name} ({place})" if place else name


def defined_at(thing: Any) -> str:
    """File and line where a user's function or class does what it does; "" of a library's or ours."""
    thing = inspect.unwrap(getattr(thing, "__func__", thing))
    if inspect.isclass(thing):
        thing = vars(thing).get("__call__") or vars(thing).get("forward") or vars(thing).get("__init__")
    code = getattr(thing, "__code__", None)
    if code is None or not _is_users(code.co_filename):
        return ""
    return f"{Path(code.co_filename).name}, line {code.co_firstlineno}"


def _is_users(filename: str) -> bool:
    """Whether a file of code is neither ours nor a library's."""
    path = Path(filename)
    libraries = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return (
        path.is_file()
        and not path.is_relative_to(PACKAGE)
        and not any(path.is_relative_to(library) for library in libraries if library)
        and {"site-packages", "dist-packages"}.isdisjoint(path.parts)
    )


def told(error: Exception) -> str:
    """What failed, and the last place in a user's own code, or else in a library: in a line."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if not Path(frame.filename).is_relative_to(PACKAGE)]
    users = [frame for frame in inside if _is_users(frame.filename)]
    at = (users or inside)[-1:]
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{text} ({Path(at[0].filename).name}, line {at[0].lineno})" if at else text


def _size(image: Any) -> str:
    if isinstance(image, np.ndarray):
        return f"an image of {image.shape[0]} x {image.shape[1]} pixels"
    return f"a tensor {tuple(image.shape)}"


def from_foreign(result: Any, where: str) -> Any:
    """What a foreign callable returned, as uint8 (H, W, 3), or the float tensor (3, H, W) it made.

    Raises:
        InputError: it is not an image.
    """
    if isinstance(result, Image.Image):
        return np.ascontiguousarray(np.asarray(result.convert("RGB")))
    if isinstance(result, np.ndarray):
        if result.ndim == 3 and result.shape[2] == 3:
            if result.dtype == np.uint8:
                return np.ascontiguousarray(result)
            if np.issubdtype(result.dtype, np.floating):
                return _tensor(np.ascontiguousarray(result.transpose(2, 0, 1), dtype=np.float32))
    elif hasattr(result, "is_floating_point") and result.ndim == 3 and result.shape[0] == 3:
        if result.is_floating_point():
            return result.as_subclass(_tensor_class()).float()
        return np.ascontiguousarray(result.clamp(0, 255).byte().permute(1, 2, 0).numpy())
    shape = getattr(result, "shape", "")
    raise InputError(
        f"{where}: the augmentation returned {type(result).__name__} {tuple(shape) if shape != '' else ''}; expected a "
        "PIL image, an array (H, W, 3) or a tensor (3, H, W)"
    )


def _tensor(array: npt.NDArray[np.float32]) -> Any:
    import torch

    return torch.from_numpy(array)


def _tensor_class() -> Any:
    import torch

    return torch.Tensor


def prepared(image: Any, form: str) -> Any:
    """A copy of pixels in a form that a foreign callable takes; of a finished tensor, a copy."""
    if not isinstance(image, np.ndarray):
        return image.clone()
    if form == "PIL image":
        return Image.fromarray(image)
    if form == "array":
        return image.copy()
    import torch

    return torch.from_numpy(image.transpose(2, 0, 1).copy())
