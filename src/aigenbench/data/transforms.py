"""The callables a sample passes through, ours and those users bring.

Ours are ``Recipe`` objects: functions of (image, rng). A foreign callable (a torchvision v2 transform, or anything
that takes and returns a PIL image, an array or a tensor) knows nothing of our generator: torch, NumPy and ``random``
are seeded from it around the call, and their states put back afterwards, so it too is a function of the sample's name.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from aigenbench.augmentations import Recipe
from aigenbench.data.calls import RecipeCall
from aigenbench.errors import InputError

Pixels = npt.NDArray[np.uint8]
"""uint8 (H, W, 3), RGB, C-contiguous."""

Augmentation = Callable[..., Any]


class Transform(Protocol):
    """One step of a sample: pixels in; pixels, or a finished float tensor (3, H, W), out."""

    def __call__(self, image: Any, rng: np.random.Generator) -> Any:
        """Apply the step, drawing from ``rng`` alone."""
        ...


def as_transform(augmentation: Augmentation | None, where: str) -> Transform:
    """Turn what an augmentation hook returned into a transform.

    Args:
        augmentation: a Recipe, a foreign callable, or None for no change.
        where: the hook's name, for messages.

    Raises:
        InputError: it cannot be called, or accepts none of a PIL image, an array and a tensor.
    """
    if isinstance(augmentation, RecipeCall):
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


class ForeignTransform:
    """A callable that takes one image and draws, if at all, from global random states."""

    def __init__(self, function: Callable[[Any], Any], where: str) -> None:
        self.function = function
        self._where = where
        self._prepare = _accepted_form(function, where)

    def __call__(self, image: Any, rng: np.random.Generator) -> Any:
        """Apply the callable with the global random states seeded from ``rng``.

        Returns:
            uint8 (H, W, 3) for a PIL image, an array or a uint8 tensor; a float tensor (3, H, W) is passed on as it is.
        """
        with seeded_globals(rng):
            return from_foreign(self.function(self._prepare(image)), self._where)


class ForeignCrops:
    """An overridden crops hook: one image in, one image or a sequence of images out."""

    def __init__(self, function: Callable[[Any], Sequence[Any]], where: str) -> None:
        self._function = function
        self._where = where
        self._prepare = _accepted_form(function, where)

    def __call__(self, image: Any) -> list[Any]:
        """The crops of one image, in the forms of ``ForeignTransform``."""
        returned = self._function(self._prepare(image))
        crops = returned if isinstance(returned, (list, tuple)) else [returned]
        return [from_foreign(crop, self._where) for crop in crops]


@contextmanager
def seeded_globals(rng: np.random.Generator) -> Iterator[None]:
    """Seed ``random``, NumPy's and torch's global states from ``rng``; put the old states back afterwards."""
    import torch

    seeds = rng.integers(0, 2**32, size=3, dtype=np.uint32)
    python_state, numpy_state, torch_state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        random.seed(int(seeds[0]))
        np.random.seed(seeds[1])
        # only the CPU's generator: seeding an accelerator from a worker would start it there
        torch.default_generator.manual_seed(int(seeds[2]))
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        torch.set_rng_state(torch_state)


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


def _as_pil(image: Pixels) -> Image.Image:
    return Image.fromarray(image)


def _as_array(image: Pixels) -> Pixels:
    return image.copy()


def _as_tensor(image: Pixels) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def _accepted_form(function: Callable[[Any], Any], where: str) -> Callable[[Any], Any]:
    """Find out, once, on a small test image, which form of an image a foreign callable takes.

    A finished float tensor reaching a second callable is passed as it is.
    """
    probe = np.random.Generator(np.random.Philox(key=0)).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    refusals = []
    for name, prepare in (("PIL image", _as_pil), ("array", _as_array), ("tensor", _as_tensor)):
        try:
            with seeded_globals(np.random.Generator(np.random.Philox(key=1))):
                function(prepare(probe))
        except Exception as error:  # noqa: BLE001 - anything may be wrong with an unsuitable form; all are told below
            refusals.append(f"{name}: {type(error).__name__}: {' '.join(str(error).split())}")
        else:
            return lambda image: prepare(image) if isinstance(image, np.ndarray) else image
    raise InputError(f"{where}: the augmentation takes no image we can give it ({'; '.join(refusals)})")
