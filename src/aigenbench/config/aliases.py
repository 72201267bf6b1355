"""The original framework's module names, so that users' files with its imports run unchanged.

`from algorithms.model_factory_registry import ModelFactoryRegistry` then gives this package's class. Nothing of those
names is installed: a finder makes the modules when they are asked for, inside a process that called `install`.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from aigenbench.config.names import ORIGINAL_MODULES


def install() -> None:
    """Make the original's imports work in this process; a second call changes nothing."""
    if not any(isinstance(finder, AliasFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, AliasFinder())


class AliasFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the original's modules here, and leaves a user's own package of the same name alone.

    A package `algorithms` on the path that has no `model_factory_registry` is somebody's own, and wins. Beside the
    original framework itself our classes win, while its other modules are still found in its folder.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec of one of the original's modules; None for any other name."""
        if fullname not in ORIGINAL_MODULES or (path is None and _is_foreign(fullname)):
            return None
        spec = importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        spec.submodule_search_locations = _folders(fullname, path)
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """A module whose names are looked up when they are asked for."""
        return _Alias(spec.name, f"The names of the original framework's {spec.name}, from aigenbench.")

    def exec_module(self, module: ModuleType) -> None:
        """Nothing runs: the module's names come when they are asked for."""


class _Alias(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name == "__all__":
            return list(ORIGINAL_MODULES[self.__name__])
        ours = ORIGINAL_MODULES[self.__name__].get(name)
        if ours is None:
            raise AttributeError(
                f"{self.__name__} stands for the original framework's module in aigenbench and has no {name!r}; "
                f"it has {', '.join(ORIGINAL_MODULES[self.__name__]) or 'nothing (see docs/hooks.md)'}"
            )
        module, _, attribute = ours.rpartition(".")
        return getattr(importlib.import_module(module), attribute)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *ORIGINAL_MODULES[self.__name__]]


def _folders(fullname: str, path: Sequence[str] | None) -> list[str]:
    """Where a real package of that name lies, for the modules of it that we do not stand for."""
    found = importlib.machinery.PathFinder.find_spec(fullname, path)
    return list(found.submodule_search_locations or []) if found else []


def _is_foreign(name: str) -> bool:
    """Whether a package that is not the original framework's already has this top-level name."""
    found = importlib.machinery.PathFinder.find_spec(name)
    if found is None or found.loader is None or found.origin is None or name != "algorithms":
        return False
    folders = found.submodule_search_locations or []
    return importlib.machinery.PathFinder.find_spec(f"{name}.model_factory_registry", list(folders)) is None
