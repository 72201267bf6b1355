"""What a start asks for: layers of configuration, each read once, and the run that they come to.

Everything that needs no heavy import is checked first: config files, their YAML, sections, `experiment_info`, and
whether the model's weights are there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from aigenbench.config.folder import CONFIG_FILE
from aigenbench.config.imports import run_imports
from aigenbench.config.layer import Layer, config_text, file_layer, layer, text_layer
from aigenbench.config.layers import Merged, merge_layers
from aigenbench.config.names import DETECTOR
from aigenbench.config.resolved import ResolvedConfig
from aigenbench.config.trust import is_own, local_modules, refuse_code, without_extras
from aigenbench.engine.assembly.run import Command, Run, imports_told
from aigenbench.engine.assembly.spelling import arguments_of, is_spelt_right
from aigenbench.errors import InputError
from aigenbench.models import ensure_weights
from aigenbench.models.composing import further_arguments
from aigenbench.models.parts import Further
from aigenbench.models.weights.locate import use_weights_folder
from aigenbench.yaml_text import Typed

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """Layers that were read and not yet resolved.

    Attributes:
        layers: in order; the last one wins.
        allow_config_change: see `Run`.
        allow_config_order: let a model's config stand before the pipeline's, which then overrides it.
        unnamed_imports: see `Run`.
        foreign: the file that the layers come from, where somebody else may have made it; None where they are one's
            own.
        named_imports: of the imports, those that were typed.
    """

    layers: tuple[Layer, ...]
    allow_config_change: bool = False
    allow_config_order: bool = False
    unnamed_imports: tuple[str, ...] = ()
    foreign: str | None = None
    named_imports: tuple[str, ...] = ()

    def over(self, *layers: Layer) -> Request:
        """The same with further layers, which win."""
        return replace(self, layers=(*self.layers, *layers))

    @cached_property
    def merged(self) -> Merged:
        """The layers merged: once a start, for early checks and resolving alike.

        Raises:
            InputError: see ``merge_layers``.
        """
        return merge_layers(self.layers, self.allow_config_order)

    @property
    def imports(self) -> list[str]:
        """Python files and modules to import."""
        return self.merged.imports

    @property
    def model(self) -> tuple[str, dict[str, Any]] | None:
        """The model's name and ``model_args``, told without importing anything heavy.

        None where that cannot be said so early: files are to be imported that may register models, or the detector is
        given what it may not take.
        """
        if self.imports:
            return None
        use_weights_folder(_plain(self.merged.unsettled.get("weights_dir")))
        arguments = (self.merged.unsettled.get("model") or {}).get("init_args") or {}
        given = _plain(arguments.get("model_args")) or {}
        name = _plain(arguments.get("model_name"))
        if not isinstance(name, str) or not isinstance(given, dict) or not set(arguments) <= arguments_of(DETECTOR):
            return None
        return name, {key: _plain(value) for key, value in given.items()}

    @property
    def is_spelt_right(self) -> bool:
        """Whether every key is surely known; told without importing anything heavy."""
        return is_spelt_right(self.merged.unsettled)

    def resolved(self) -> ResolvedConfig:
        """The configuration: users' code imported, the layers checked against the classes they name.

        Raises:
            InputError: see ``run_imports`` and ``resolve``; or the layers are foreign and name code.
        """
        values = self.merged.unsettled
        if self.foreign is None:
            run_imports(self.imports, local_modules(values))
        else:
            with imports_told(self.unnamed_imports):
                refuse_code(values, self.foreign, self.named_imports)
            run_imports(self.imports)
        # torch and Lightning take seconds to import: only for layers whose sections are right
        from aigenbench.engine.assembly.resolution import resolve

        with imports_told(self.unnamed_imports):
            config = resolve(self.merged)
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


def recorded(folder: Path, more: Iterable[Layer] = (), trust_imports: bool = False) -> Request:
    """What the recorded configuration of an experiment asks for.

    Args:
        folder: the experiment's.
        more: further layers, which win.
        trust_imports: run the code that it names though no run of one's own has recorded it.

    Raises:
        InputError: there is no experiment.
    """
    config = folder / CONFIG_FILE
    if not config.is_file():
        raise InputError(f"no {config}: expected an experiment's folder, as fit makes it")
    text = config_text(config)
    read = text_layer(str(config), text, folder)
    if trust_imports or is_own(text, read.values):
        return Request((read, *more))
    logger.info("%s is not known to be of a run of yours: callbacks, loggers and caches are left out", config)
    return Request((read, layer("robustness", without_extras(read.values)), *more), foreign=str(config))


def _have_weights(config: ResolvedConfig, command: Command) -> None:
    """Tell at once where weights are missing and cannot be fetched, or a file that is named is none of weights."""
    from aigenbench.models.weights.kinds import kind_of

    arguments = config["model"].get("init_args") or {}
    if isinstance(name := arguments.get("model_name"), str):
        # a detector of the user's own may have no such argument
        given = {"weights_dir": config["weights_dir"], **(arguments.get("model_args") or {})}
        ensure_weights(name, **given)
        further: tuple[Further, ...] = ()
        with suppress(InputError):
            # a user's detector may mean something else by it; ours tells what is wrong
            further = Further.all_of(arguments.get("backbones"))
        for one, own in further_arguments(given, further):
            ensure_weights(one, **own)
    named = {"model.base_weights": arguments.get("base_weights"), "ckpt_path": config["ckpt_path"]}
    for key, path in named.items():
        # fit refuses a ckpt_path, be it there or not
        if path is not None and not (key == "ckpt_path" and command == "fit"):
            kind_of(Path(path).expanduser(), key, "checkpoint")


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Typed) else value
