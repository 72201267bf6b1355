"""Callables of users' own, with random sources wherever people keep them: the same sample, the same pixels."""

from __future__ import annotations

import functools
import os
import pickle
import random
import sys
import threading
import time
from collections import deque
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from aigenbench.data.samples.hooks import evaluation_steps, training_steps
from aigenbench.data.samples.randomness import generators_in, seeded
from aigenbench.data.samples.transforms import CHECKED_CALLS, ForeignCrops, ForeignTransform
from aigenbench.errors import InputError

IMAGE = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
RNG = np.random.default_rng()
HELPERS = SimpleNamespace(deep={"list": [(np.random.default_rng(),)]})


def noisy(image: Any, draw: Any) -> np.ndarray:
    return np.asarray(image) ^ np.frombuffer(draw(image.width * image.height * 3), dtype=np.uint8).reshape(30, 40, 3)


class Held:
    """Draws from a generator in an attribute."""

    def __init__(self, generator: Any) -> None:
        self.generator = generator

    def __call__(self, image: Any) -> Any:
        return noisy(image, lambda n: draw_from(self.generator, n))


def draw_from(generator: Any, n: int) -> bytes:
    if isinstance(generator, torch.Generator):
        return torch.randint(0, 256, (n,), generator=generator, dtype=torch.uint8).numpy().tobytes()
    if isinstance(generator, np.random.BitGenerator):
        return generator.random_raw((n + 7) // 8).tobytes()[:n]
    return generator.randbytes(n) if isinstance(generator, random.Random) else generator.bytes(n)


class Slotted:
    __slots__ = ("rng",)

    def __init__(self) -> None:
        self.rng = np.random.default_rng()

    def __call__(self, image: Any) -> Any:
        return noisy(image, self.rng.bytes)


class OfTheClass:
    rng = np.random.default_rng()

    def __call__(self, image: Any) -> Any:
        return noisy(image, self.rng.bytes)


class Lazy:
    """Makes its generator when it is first called."""

    rng = None

    def __call__(self, image: Any) -> Any:
        if self.rng is None:
            self.rng = np.random.default_rng()
        return noisy(image, self.rng.bytes)


class Module(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Sequential(torch.nn.Identity())
        self.inner.generator = torch.Generator()
        self.inner.generator.seed()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image ^ torch.randint(0, 256, image.shape, generator=self.inner.generator, dtype=torch.uint8)


class Normal(np.random.RandomState):
    """A generator of a class of one's own, with a number kept back."""

    def bytes(self, length: int) -> bytes:
        self.standard_normal()
        return super().bytes(length)


def closure() -> Any:
    rng = np.random.default_rng()

    def outer() -> Any:
        return lambda image: noisy(image, rng.bytes)

    return outer()


def default(image: Any, rng: Any = np.random.default_rng()) -> Any:  # noqa: B008
    return noisy(image, rng.bytes)


def with_a_global(image: Any) -> Any:
    return noisy(image, RNG.bytes)


def through_a_function(image: Any) -> Any:
    return with_a_global(image)


def deep_in_a_global(image: Any) -> Any:
    return noisy(image, HELPERS.deep["list"][0][0].bytes)


def keyword(image: Any, *, rng: Any) -> Any:
    return noisy(image, rng.bytes)


@functools.cache
def cached() -> Any:
    return np.random.default_rng()


def from_a_cache(image: Any) -> Any:
    return noisy(image, cached().bytes)


def imported_within(image: Any) -> Any:
    import randomness_of_a_helper

    return noisy(image, randomness_of_a_helper.GENERATOR.bytes)


def local_to_a_thread() -> Any:
    local = threading.local()
    local.rng = np.random.default_rng()
    return lambda image: noisy(image, local.rng.bytes)


def in_a_queue() -> Any:
    queue = deque([np.random.default_rng()])
    return lambda image: noisy(image, queue[0].bytes)


def drawn_by_an_iterator() -> Any:
    def draws() -> Any:
        rng = np.random.default_rng()
        while True:
            yield rng.bytes

    iterator = draws()
    return lambda image: noisy(image, next(iterator))


def generator_of_torch() -> torch.Generator:
    generator = torch.Generator()
    generator.seed()
    return generator


HOLDERS = {
    "NumPy's generator": lambda: Held(np.random.default_rng()),
    "another algorithm": lambda: Held(np.random.Generator(np.random.SFC64())),
    "a bit generator": lambda: Held(np.random.PCG64DXSM()),
    "RandomState": lambda: Held(np.random.RandomState()),
    "RandomState on another algorithm": lambda: Held(np.random.RandomState(np.random.PCG64())),
    "a kind of RandomState": lambda: Held(Normal()),
    "Python's": lambda: Held(random.Random()),
    "torch's": lambda: Held(generator_of_torch()),
    "slots": Slotted,
    "the class": OfTheClass,
    "a closure": closure,
    "a default": lambda: default,
    "a global": lambda: with_a_global,
    "a global's depths": lambda: deep_in_a_global,
    "a function's global": lambda: through_a_function,
    "partial": lambda: functools.partial(keyword, rng=np.random.default_rng()),
    "a method": lambda: Held(np.random.default_rng()).__call__,
    "a method of a generator": lambda: functools.partial(noisy, draw=np.random.default_rng().bytes),
    "a module": Module,
    "torchvision's Lambda": lambda: v2.Lambda(Held(np.random.default_rng())),
    "torchvision's Compose": lambda: v2.Compose([v2.RandomHorizontalFlip(), Held(random.Random()), v2.ToImage()]),
    "made when first called": Lazy,
    "a cache": lambda: from_a_cache,
    "a module imported when called": lambda: imported_within,
    "a thread's own": local_to_a_thread,
    "a queue": in_a_queue,
    "an iterator": drawn_by_an_iterator,
    "the global ones": lambda: lambda image: noisy(image, lambda n: np.random.bytes(n - 1) + random.randbytes(1)),
}


@pytest.fixture(autouse=True)
def helper(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("randomness_of_a_helper")
    module.GENERATOR = np.random.default_rng()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.mark.parametrize("name", HOLDERS)
def test_generators_are_set_wherever_they_are_kept(name: str) -> None:
    step = ForeignTransform(HOLDERS[name](), "train_augmentation")
    other = ForeignTransform(HOLDERS[name](), "train_augmentation")
    wanted = [step(IMAGE, np.random.default_rng(i)) for i in range(CHECKED_CALLS + 2)]
    backwards = [other(IMAGE, np.random.default_rng(i)) for i in reversed(range(CHECKED_CALLS + 2))]
    assert all(np.array_equal(a, b) for a, b in zip(wanted, backwards[::-1], strict=True))
    assert not np.array_equal(wanted[0], wanted[1])


@pytest.mark.parametrize("name", ["NumPy's generator", "Python's", "torch's", "RandomState", "slots"])
def test_it_goes_on_in_another_process(name: str) -> None:
    step = ForeignTransform(HOLDERS[name](), "train_augmentation")
    wanted = step(IMAGE, np.random.default_rng(1))
    again = pickle.loads(pickle.dumps(step))
    assert np.array_equal(again(IMAGE, np.random.default_rng(1)), wanted)


def test_states_are_put_back() -> None:
    names = ["NumPy's generator", "another algorithm", "a bit generator", "RandomState", "Python's"]
    held = generators_in([HOLDERS[name]() for name in names], "here")
    held.append(np.random.RandomState(np.random.PCG64()))
    held[-1].standard_normal()  # one number is kept back
    ahead = [pickle.loads(pickle.dumps(generator)) for generator in held]
    with seeded(np.random.default_rng(0), held):
        for generator in held:
            draw_from(generator, 9)
    assert len(held) == 6
    assert held[-1].standard_normal() == ahead[-1].standard_normal()
    assert [draw_from(generator, 9) for generator in held] == [draw_from(generator, 9) for generator in ahead]


def test_a_detectors_network_is_not_searched() -> None:
    class Detector(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = Module()
            self.rng = np.random.default_rng()

        def training_step(self) -> None: ...

        def augment(self, image: Any) -> Any:
            return noisy(image, self.rng.bytes)

    detector = Detector()
    assert generators_in(detector.augment, "here") == [detector.rng]


def made_in_the_call(image: Any) -> Any:
    return noisy(image, np.random.default_rng().bytes)


def now_and_then(image: Any) -> Any:
    return noisy(image, np.random.default_rng().bytes) if np.random.default_rng().random() < 0.5 else image


def from_the_clock(image: Any) -> Any:
    return noisy(image, lambda n: np.random.default_rng(time.perf_counter_ns()).bytes(n))


class Counting:
    calls = 0

    def __call__(self, image: Any) -> Any:
        self.calls += 1
        return np.asarray(image) ^ np.uint8(self.calls % 256)


REFUSED = {
    "made in the call": lambda: made_in_the_call,
    "now and then": lambda: now_and_then,
    "the operating system's bytes": lambda: lambda image: noisy(image, os.urandom),
    "the clock": lambda: from_the_clock,
    "a count": Counting,
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_repeated_is_refused(name: str) -> None:
    step = ForeignTransform(REFUSED[name](), "val_augmentation")
    with pytest.raises(InputError) as told:  # noqa: PT012
        for i in range(CHECKED_CALLS):
            step(IMAGE, np.random.default_rng(i))
    assert str(told.value).startswith("val_augmentation: ")
    assert "(test_data_randomness.py, line " in str(told.value)
    assert "gives another result when called with the same image" in str(told.value)


def test_the_operating_systems_generator_is_refused() -> None:
    with pytest.raises(InputError, match="draws from SystemRandom"):
        ForeignTransform(Held(random.SystemRandom()), "here")(IMAGE, np.random.default_rng(0))


def test_a_crop_larger_than_some_pictures() -> None:
    big = np.zeros((400, 400, 3), dtype=np.uint8)
    assert ForeignTransform(v2.RandomCrop(300), "here")(big, np.random.default_rng(0)).shape == (300, 300, 3)
    with pytest.raises(InputError, match=r"here: RandomCrop takes no image .*tried on an image of 30 x 40 pixels"):
        ForeignTransform(v2.RandomCrop(300), "here")(IMAGE, np.random.default_rng(0))


def passes_on(image: Any) -> Any:
    return image if isinstance(image, np.ndarray) else image.no_such_thing()


def test_what_is_passed_on_untouched_is_not_taken() -> None:
    with pytest.raises(InputError, match="array: returned untouched"):
        ForeignTransform(passes_on, "here")(IMAGE, np.random.default_rng(0))


def fails_later(image: Image.Image) -> Image.Image:
    if image.width != 40:
        raise KeyError("width")
    return image


def test_a_failure_names_hook_file_and_line() -> None:
    step = ForeignTransform(fails_later, "train_augmentation")
    step(IMAGE, np.random.default_rng(0))
    line = fails_later.__code__.co_firstlineno + 2
    with pytest.raises(InputError) as told:
        step(IMAGE[:, :20], np.random.default_rng(0))
    assert str(told.value) == (
        f"train_augmentation: fails_later (test_data_randomness.py, line {line - 2}) failed on an image of 30 x 20 "
        f"pixels: KeyError: 'width' (test_data_randomness.py, line {line})"
    )


def test_crops_hooks_are_repeatable_too() -> None:
    class Random:
        def __init__(self) -> None:
            self.rng = random.Random()

        def __call__(self, image: Image.Image) -> Any:
            at = self.rng.randrange(10), np.random.randint(10)
            return [image.crop((*at, at[0] + 8, at[1] + 8))] * 2

    wanted, again = (ForeignCrops(Random(), "make_val_crops")(IMAGE, np.random.default_rng(3)) for _ in range(2))
    assert len(wanted) == 2
    assert np.array_equal(wanted, again)
    (one,) = ForeignCrops(lambda image: image.crop((0, 0, 8, 8)), "make_val_crops")(IMAGE, np.random.default_rng(3))
    assert one.shape == (8, 8, 3)
    for nothing in ([], None):
        with pytest.raises(InputError, match="without an image; expected one image or several"):
            ForeignCrops(lambda image: nothing, "make_val_crops")(IMAGE, np.random.default_rng(3))  # noqa: B023


class Hooks:
    def __init__(self, returned: Any) -> None:
        self.returned = returned

    def train_augmentation(self) -> Any:
        return self.returned

    def evaluation_augmentation(self, stage: str) -> Any:
        return self.returned

    def evaluation_crops(self, stage: str) -> Any:
        return lambda image: image


TWO = [v2.RandomHorizontalFlip(), v2.ToImage()]


@pytest.mark.parametrize(
    ("returned", "steps"),
    [
        (v2.Compose(TWO), 1),
        (torch.nn.Sequential(*TWO), 1),
        (lambda image: image, 1),
        ((v2.Compose(TWO),), 1),
        (TWO, 2),
        (tuple(TWO), 2),
        (iter(TWO), 2),
        (torch.nn.ModuleList(TWO), 2),
    ],
)
def test_one_callable_or_two(returned: Any, steps: int) -> None:
    transforms = training_steps(Hooks(returned), None)
    assert sum(isinstance(step, ForeignTransform) for step in (transforms.first, transforms.second)) == steps


def test_other_numbers_are_refused_by_the_hooks_name() -> None:
    for returned in ([], TWO * 2, 3):
        with pytest.raises(InputError, match=r"train_augmentation \(test_data_randomness.py, line \d+\) must return"):
            training_steps(Hooks(returned), None)
    for returned in (v2.Compose(TWO), 3):
        with pytest.raises(InputError, match="val_augmentation must return"):
            evaluation_steps(Hooks(returned), "validate", None)
