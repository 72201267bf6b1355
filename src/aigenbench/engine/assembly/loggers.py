"""Loggers of optional packages: people name them in every config, and not every machine has them."""

from __future__ import annotations

import importlib.util
import logging
from typing import Any

from aigenbench.config.merge import is_node
from aigenbench.config.resolved import ResolvedConfig
from aigenbench.engine.assembly.objects import EXTRAS
from aigenbench.engine.assembly.signatures import find_class
from aigenbench.errors import InputError

logger = logging.getLogger(__name__)

# class, by its name or that of one it is derived from: package
_PACKAGES = {
    "CometLogger": "comet_ml",
    "LitLogger": "litlogger",
    "MLFlowLogger": "mlflow",
    "NeptuneLogger": "neptune",
    "WandbLogger": "wandb",
}


def without_missing_loggers(trainer: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The section ``trainer`` without loggers that can be done without, and (class path, package) of these.

    Only those that every config for the original framework names (the packages of our extras) can be done without.

    Raises:
        InputError: the package of another logger is not installed.
    """
    given = trainer.get("logger")
    several: list[Any] = given if isinstance(given, list) else [given]
    missing = {i: package for i, node in enumerate(several) if (package := _missing_package(node)) is not None}
    if not missing:
        return trainer, []
    for i, package in missing.items():
        if package not in EXTRAS:
            raise InputError(
                f"trainer.logger.{i}: the package {package} is not installed: pip install {package}, or take it out of "
                "the config"
            )
    kept = [node for i, node in enumerate(several) if i not in missing]
    return {**trainer, "logger": kept}, [(several[i]["class_path"], package) for i, package in missing.items()]


def warn_of_missing_loggers(config: ResolvedConfig) -> None:
    """Say which loggers the run goes on without, and what to install for them.

    Raises:
        InputError: see ``without_missing_loggers``.
    """
    for class_path, package in without_missing_loggers(config.to_dict().get("trainer") or {})[1]:
        logger.warning(
            "%s: the package %s is not installed, the run goes on without it; pip install 'aigenbench[%s]'",
            class_path.rpartition(".")[2],
            package,
            package,
        )


def _missing_package(node: Any) -> str | None:
    cls = find_class(node["class_path"]) if is_node(node) else None
    packages = [_PACKAGES[base.__name__] for base in (cls.__mro__ if cls else ()) if base.__name__ in _PACKAGES]
    return next((package for package in packages if not _is_installed(package)), None)


def _is_installed(package: str) -> bool:
    spec = importlib.util.find_spec(package)
    # W&B makes folders called wandb, which Python takes for packages without files
    return spec is not None and spec.origin is not None
