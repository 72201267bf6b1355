"""What a start asks for: layers of configuration, each read once, and the run that they come to.

Everything that needs no heavy import is checked first: config files, their YAML, sections, `experiment_info`, and
whether the model's weights are there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from aigenbench.config.folder import CONFIG_FILE
from aigenbench.config.imports import run_imports
from aigenbench.config.layer import Layer, file_layer, layer
from aigenbench.config.layers import merge_layers, merged_imports
from aigenbench.config.resolved import ResolvedConfig
from aigenbench.engine.assembly.run import Command, Run, imports_told
from aigenbench.errors import InputError
from aigenbench.models import ensure_weights
from aigenbench.models.weights.locate import use_weights_folder
from aigenbench.yaml_text import Typed

# the detector's arguments, known here without importing it: what else is given is perhaps meant to name the weights
DETECTOR_KEYS = (
    "model_name",
    "optimizer",
    "scheduler",
    "model_input_size",
    "classification_threshold",
    "base_weights",
    "training_cropping_strategy",
    "evaluation_cropping_strategy",
    "training_task",
    "evaluation_type",
    "model_args",
    "preprocessing",
    "n_classes",
)


@dataclass(frozen=True)
class Request:
    """Layers that were read and not yet resolved.

    Attributes:
        layers: in order; the last one wins.
        allow_config_change: see `Run`.
        allow_config_order: let a model's config stand before the pipeline's, which then overrides it.
        unnamed_imports: see `Run`.
    """

    layers: tuple[Layer, ...]
    allow_config_change: bool = False
    allow_config_order: bool = False
    unnamed_imports: tuple[str, ...] = ()

    def over(self, *layers: Layer) -> Request:
        """The same with further layers, which win."""
        return replace(self, layers=(*self.layers, *layers))

    @cached_property
    def imports(self) -> list[str]:
        """Python files and modules to import."""
        return merged_imports(self.layers)

    @cached_property
    def merged(self) -> dict[str, Any]:
        """The layers merged as far as no class need be looked up; what that has to tell is told by `resolved`."""
        logger = logging.getLogger("aigenbench.config")
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            return merge_layers(self.layers, lambda class_path: None, self.allow_config_order)
        finally:
            logger.setLevel(level)

    @property
    def model(self) -> tuple[str, dict[str, Any]] | None:
        """The model's name and ``model_args``, told without importing anything heavy.

        None where that cannot be said so early: files are to be imported that may register models, or the detector is
        given what it may not take.
        """
        if self.imports:
            return None
        use_weights_folder(_plain(self.merged.get("weights_dir")))
        arguments = (self.merged.get("model") or {}).get("init_args") or {}
        given = _plain(arguments.get("model_args")) or {}
        name = _plain(arguments.get("model_name"))
        if not isinstance(name, str) or not isinstance(given, dict) or not set(arguments) <= set(DETECTOR_KEYS):
            return None
        return name, {key: _plain(value) for key, value in given.items()}

    @property
    def is_spelt_right(self) -> bool:
        """Whether every key is surely known; told without importing anything heavy."""
        from aigenbench.engine.assembly.spelling import is_spelt_right

        return is_spelt_right(self.merged)

    def resolved(self) -> ResolvedConfig:
        """The configuration: users' code imported, the layers checked against the classes they name.

        Raises:
            InputError: see ``run_imports`` and ``resolve_layers``.
        """
        run_imports(self.imports)
        # torch and Lightning take seconds to import: only for layers whose sections are right
        from aigenbench.engine.assembly.resolution import resolve_layers

        with imports_told(self.unnamed_imports):
            config = resolve_layers(self.layers, self.allow_config_order)
        use_weights_folder(config.get("weights_dir"))
        return config

    def run(self, command: Command) -> Run:
        """The run that the layers come to, whatever weights it needs.

        Raises:
            InputError: see `resolved`.
        """
        return Run(command, self.resolved(), self.allow_config_change, self.unnamed_imports)

    def run_with_weights(self, command: Command) -> Run:
        """The same; missing weights of the model are told at once, before the imports that resolving takes.

        Raises:
            InputError: see `resolved`, or weights are missing and cannot be fetched.
        """
        early = self.model
        if early is not None:
            try:
                ensure_weights(early[0], **early[1])
            except InputError:
                if not self.is_spelt_right:
                    # a mistyped key is told first: it may be why the weights are looked for elsewhere
                    self.resolved()
                raise
        run = self.run(command)
        _have_weights(run.config, command)
        return run


def request(
    configs: Iterable[str | Path | Mapping[str, Any]],
    more: Iterable[Layer] = (),
    allow_config_change: bool = False,
    allow_config_order: bool = False,
) -> Request:
    """Read layers of configuration.

    Args:
        configs: config files, also packaged ones by their path, or mappings of sections; from left to right.
        more: further layers, which win over those.
        allow_config_change: see `Run`.
        allow_config_order: see `Request`.

    Raises:
        InputError: a file is missing or no YAML mapping, or a section is unknown or of the wrong kind.
    """
    read = [
        layer(f"config {i}", dict(config)) if isinstance(config, Mapping) else file_layer(str(config))
        for i, config in enumerate(configs)
    ]
    return Request((*read, *more), allow_config_change, allow_config_order)


def recorded(folder: Path, more: Iterable[Layer] = ()) -> Request:
    """What the recorded configuration of an experiment asks for.

    Args:
        folder: the experiment's.
        more: further layers, which win.

    Raises:
        InputError: there is no experiment.
    """
    config = folder / CONFIG_FILE
    if not config.is_file():
        raise InputError(f"no {config}: expected an experiment's folder, as fit makes it")
    return request([config], more)


def _have_weights(config: ResolvedConfig, command: Command) -> None:
    """Tell at once where weights are missing and cannot be fetched, or a file that is named is none of weights."""
    from aigenbench.models.weights.kinds import kind_of

    arguments = config["model"].get("init_args") or {}
    if isinstance(name := arguments.get("model_name"), str):
        # a detector of the user's own may have no such argument
        ensure_weights(name, **{"weights_dir": config["weights_dir"], **(arguments.get("model_args") or {})})
    named = {"model.base_weights": arguments.get("base_weights"), "ckpt_path": config["ckpt_path"]}
    for key, path in named.items():
        # fit refuses a ckpt_path, be it there or not
        if path is not None and not (key == "ckpt_path" and command == "fit"):
            kind_of(Path(path).expanduser(), key, "checkpoint")


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Typed) else value
