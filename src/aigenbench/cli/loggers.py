"""Loggers of optional packages: people name them in every config, and not every machine has them."""

from __future__ import annotations

import importlib.metadata
import logging
from typing import Any

from aigenbench.cli.objects import EXTRAS
from aigenbench.cli.signatures import find_class
from aigenbench.config.merge import is_node
from aigenbench.config.resolved import ResolvedConfig

logger = logging.getLogger(__name__)

# class, by its name or that of one it is derived from: package
_PACKAGES = {"WandbLogger": "wandb"}


def without_missing_loggers(trainer: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The section ``trainer`` without loggers whose package is not installed, and (class path, package) of these."""
    given = trainer.get("logger")
    several = given if isinstance(given, list) else [given]
    missing = {i: package for i, node in enumerate(several) if (package := _missing_package(node)) is not None}
    if not missing:
        return trainer, []
    kept = [node for i, node in enumerate(several) if i not in missing]
    return {**trainer, "logger": kept}, [(several[i]["class_path"], package) for i, package in missing.items()]


def warn_of_missing_loggers(config: ResolvedConfig) -> None:
    """Say which loggers the run goes on without, and what to install for them."""
    for class_path, package in without_missing_loggers(config.to_dict().get("trainer") or {})[1]:
        name = class_path.rpartition(".")[2]
        wanted = f"'aigenbench[{package}]'" if package in EXTRAS else package
        logger.warning(
            "%s: the package %s is not installed, the run goes on without it; pip install %s", name, package, wanted
        )


def _missing_package(node: Any) -> str | None:
    cls = find_class(node["class_path"]) if is_node(node) else None
    packages = [_PACKAGES[base.__name__] for base in (cls.__mro__ if cls else ()) if base.__name__ in _PACKAGES]
    return next((package for package in packages if not _is_installed(package)), None)


def _is_installed(package: str) -> bool:
    # by what was installed: W&B itself makes folders called wandb, which Python would import
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
