"""Model factories by name: users' own beside the built-in sources, and which of them answers a name."""

from __future__ import annotations

import importlib
import logging
import pkgutil
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from aigenbench.errors import InputError, nearest
from aigenbench.files import PACKAGE

if TYPE_CHECKING:
    from torch import nn

    from aigenbench.models.sources.base import ModelSource

logger = logging.getLogger(__name__)

ModelFactory = Callable[..., "nn.Module | None"]

#: The built-in sources in the order in which a bare name is offered to them: one line each.
BUILT_IN = {
    "small_cnn": "aigenbench.models.sources.small_cnn:SmallCNN",
    "classical": "aigenbench.models.sources.classical:Classical",
    "openai": "aigenbench.models.sources.openai_clip:OpenAIClip",
    "openclip": "aigenbench.models.sources.openclip:OpenClip",
    "dinov2": "aigenbench.models.sources.dinov2:DinoV2",
    "torchvision": "aigenbench.models.sources.torchvision_zoo:Torchvision",
    "timm": "aigenbench.models.sources.timm_zoo:Timm",
}

ENTRY_POINTS = "aigenbench.models"

_OURS = str(PACKAGE)

#: This room's own modules. Any other in its folder is a user's, and is imported so that it registers itself.
_OWN = frozenset(
    (
        *(
            "build",
            "catalogue",
            "composing",
            "finetune",
            "heads",
            "parts",
            "preprocessing",
            "probe",
            "reconstruction",
            "registry",
        ),
        *("shapes", "sizes", "sources", "speed", "tapping", "weights"),
    )
)


def built_in_source(name: str) -> ModelSource:
    """The built-in source of that name; its module is imported only now."""
    module_name, class_name = BUILT_IN[name].split(":")
    return getattr(importlib.import_module(module_name), class_name)()


class ModelFactoryRegistry:
    """The users' model factories. All instances share one registry.

    A factory is called as ``factory(model_name, pretrained=..., num_classes=..., **model_args)`` and returns a
    ``torch.nn.Module`` for a name it knows; None or an exception means "not mine".
    """

    _factories: ClassVar[dict[str, ModelFactory]] = {}
    _extensions_loaded: ClassVar[bool] = False

    def register_model_factory(self, name: str, factory: ModelFactory) -> None:
        """Add ``factory`` under ``name``, which users may then write as ``name/model``.

        Registering the same function again (a file imported twice) replaces it.

        Raises:
            InputError: The name is a built-in source's or another factory's, or cannot be one; or
                ``factory`` is not callable.
        """
        if not isinstance(name, str) or not name or "/" in name:
            raise InputError(f"a model factory's name must be text without '/', found {name!r}")
        if not callable(factory):
            raise InputError(f"model factory {name!r}: expected a function, found {factory!r}")
        if name in BUILT_IN:
            raise InputError(f"model factory {name!r}: the name is a built-in source's; register another name")
        earlier = self._factories.get(name)
        if earlier is not None and origin(earlier) != origin(factory):
            raise InputError(
                f"model factory {name!r} is claimed twice, by {origin(earlier)} and {origin(factory)}; "
                "register one of them under another name"
            )
        self._factories[name] = factory

    def factories(self) -> dict[str, ModelFactory]:
        """The users' factories by name, in order of registration, entry points and added files included."""
        self._load_extensions()
        return dict(self._factories)

    def source_names(self) -> tuple[str, ...]:
        """All registered names in the order in which a bare model name is offered to them."""
        return (*self.factories(), *BUILT_IN)

    @contextmanager
    def isolated(self) -> Iterator[None]:
        """Within the context, registrations are forgotten at its end (for tests)."""
        before = self.factories()
        try:
            yield
        finally:
            self._factories.clear()
            self._factories.update(before)

    def _load_extensions(self) -> None:
        """Import what is in this folder and register the installed packages' entry points, once."""
        if ModelFactoryRegistry._extensions_loaded:
            return
        ModelFactoryRegistry._extensions_loaded = True
        room = sys.modules[__package__]
        for module in pkgutil.iter_modules(room.__path__):
            if module.name not in _OWN:
                importlib.import_module(f"{room.__name__}.{module.name}")
        for entry in entry_points(group=ENTRY_POINTS):
            try:
                target = entry.load()
            except Exception as error:
                raise InputError(f"the entry point {entry.name} = {entry.value}: {describe_error(error)}") from error
            if callable(target):  # a module registers its factories itself when it is imported
                self.register_model_factory(entry.name, target)


def split_source(model_name: str) -> tuple[str | None, str]:
    """``("timm", "vit_tiny")`` of ``timm/vit_tiny``; only a registered source counts, so ``ViT-L/14`` is a name.

    Raises:
        InputError: The name is not text, or empty.
    """
    if not isinstance(model_name, str) or not model_name.strip():
        raise InputError(f"model_name: expected the name of a model, such as 'RN50_tune', found {model_name!r}")
    source, slash, name = model_name.partition("/")
    if slash and source in ModelFactoryRegistry().source_names():
        return source, name
    return None, model_name


def split_suffix(model_name: str) -> tuple[str, bool]:
    """``("RN50", True)`` of ``RN50_probe``: the name without its suffix, and whether the backbone is frozen."""
    if model_name.endswith("_probe"):
        return model_name.removesuffix("_probe"), True
    return model_name.removesuffix("_tune"), False


def unknown_name(model_name: str, source: str | None) -> InputError:
    """The error for a name that nothing answers, with the nearest names."""
    registry = ModelFactoryRegistry()
    searched = [s for s in BUILT_IN if source in (None, s)]
    known = [name for s in searched for name in built_in_source(s).names()]
    hint = nearest(split_suffix(model_name)[0], known)
    where = f"source {source!r}" if source else "any of " + ", ".join(registry.source_names())
    return InputError(f"model_name: no model {model_name!r} in {where}{hint} (`aigenbench models list` shows all)")


def origin(factory: ModelFactory) -> str:
    """The file of a factory and its name in it."""
    code = getattr(factory, "__code__", None)
    return f"{code.co_filename}:{getattr(factory, '__qualname__', code.co_name)}" if code else repr(factory)


def describe_error(error: BaseException) -> str:
    """``ValueError: text (file.py:12)``: the exception and the line that raised it, of users' code where it ran."""
    frames = traceback.extract_tb(error.__traceback__)
    own = users_frames(error) or frames
    where = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}{where}"


def users_frames(error: BaseException, skip: int = 0) -> list[traceback.FrameSummary]:
    """Where an exception passed through users' code that ours had called, and not through an installed package's.

    Args:
        error: as caught.
        skip: so many of the outermost frames do not count.
    """
    frames = traceback.extract_tb(error.__traceback__)[skip:]
    first = next((i for i, frame in enumerate(frames) if frame.filename.startswith(_OURS)), len(frames))
    return [frame for frame in frames[first:] if is_users_file(frame.filename)]


def is_users_file(name: str) -> bool:
    """Whether a source file is neither ours, nor Python's, nor an installed package's."""
    installed = {"site-packages", "dist-packages"} & set(Path(name).parts)
    return not installed and not name.startswith((_OURS, sysconfig.get_path("stdlib"), "<"))
