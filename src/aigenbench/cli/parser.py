"""From a training command's arguments to one resolved configuration, and from that to models, data and trainers.

Everything that needs no heavy import is checked first: config files, their YAML, sections, `experiment_info`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from aigenbench.cli.command_line import CommandLine, take_apart
from aigenbench.cli.training_help import training_help
from aigenbench.config.imports import run_imports
from aigenbench.config.layer import Layer, argument_layer, file_layer
from aigenbench.config.layers import merge_layers, merged_imports
from aigenbench.config.names import DETECTOR, PIPELINE
from aigenbench.config.resolved import ResolvedConfig
from aigenbench.config.yaml_text import Typed
from aigenbench.errors import InputError
from aigenbench.models.weights import use_weights_folder

if TYPE_CHECKING:
    from aigenbench.data import AIGenBenchPipeline
    from aigenbench.training import BaseDeepfakeDetectionModel

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
Subcommand = Literal["fit", "validate", "test", "predict"]


@dataclass(frozen=True)
class Resolved:
    """A configuration after all layers, ready to make what a run needs.

    Attributes:
        subcommand: `fit`, `validate`, `test` or `predict`.
        config: the frozen values.
        allow_config_change: let an experiment go on with another configuration than it was begun with.
    """

    subcommand: Subcommand
    config: ResolvedConfig
    allow_config_change: bool = False

    def instantiate_model(self) -> BaseDeepfakeDetectionModel:
        """A new detector."""
        from aigenbench.models.weights import use_weights_folder

        use_weights_folder(self.config["weights_dir"])
        return self._made("model")

    def instantiate_data(self) -> AIGenBenchPipeline:
        """A new pipeline with its loader; nothing is read yet."""
        return self._made("data")

    def trainer_arguments(self) -> dict[str, Any]:
        """The Trainer's arguments, with new loggers and callbacks at every call.

        A logger whose optional package is not installed is left out.

        Raises:
            InputError: a logger or callback needs a package that is not installed.
        """
        return vars(self._made("trainer"))

    def checkpoint_callback_arguments(self) -> dict[str, Any] | None:
        """Arguments for the user's own ModelCheckpoint; None where the config has no `checkpoint_callback`."""
        return vars(self._made("checkpoint_callback")) if self.config["checkpoint_callback"] else None

    def _made(self, section: str) -> Any:
        from aigenbench.cli.loggers import without_missing_loggers
        from aigenbench.cli.objects import make

        values = self.config.to_dict()[section]
        return make(section, without_missing_loggers(values)[0] if section == "trainer" else values)


def resolve(argv: Sequence[str], subcommand: Subcommand) -> Resolved:
    """The configuration that a training command's arguments give.

    With `--print_config` or `--help`, prints and raises SystemExit(0).

    Args:
        argv: what was typed after the command.
        subcommand: the command.

    Raises:
        InputError: anything wrong with the arguments or config files; no data has been read.
    """
    line = take_apart(argv)
    if line.help == "":
        print(training_help(subcommand))
        raise SystemExit(0)
    layers = _layers(line)
    run_imports(merged_imports(layers))
    if line.help is not None:
        print_section_help(line.help)
        raise SystemExit(0)
    # torch and Lightning take seconds to import: only for arguments whose files and sections are right
    from aigenbench.cli.resolution import resolve_layers

    config = resolve_layers(layers, line.allow_config_order)
    use_weights_folder(config.get("weights_dir"))
    if line.print_config:
        print(config.to_yaml(), end="")
        raise SystemExit(0)
    return Resolved(subcommand, config, line.allow_config_change)


def model_asked_for(argv: Sequence[str]) -> tuple[str, dict[str, Any]] | None:
    """The model's name and ``model_args``, told without importing anything heavy.

    None where that cannot be said so early: files are to be imported that may register models, the detector is given
    what it may not take, or the arguments ask for something else than a run.
    """
    line = take_apart(argv)
    if line.help is not None or line.print_config:
        return None
    layers = _layers(line)
    if merged_imports(layers):
        return None
    merged = _merged_quietly(layers, line.allow_config_order)
    use_weights_folder(_plain(merged.get("weights_dir")))
    arguments = (merged.get("model") or {}).get("init_args") or {}
    given = _plain(arguments.get("model_args")) or {}
    name = _plain(arguments.get("model_name"))
    if not isinstance(name, str) or not isinstance(given, dict) or not set(arguments) <= set(DETECTOR_KEYS):
        return None
    return name, {key: _plain(value) for key, value in given.items()}


def is_spelt_right(argv: Sequence[str]) -> bool:
    """Whether every key of the arguments is surely known; told without importing anything heavy."""
    from aigenbench.cli.spelling import is_spelt_right as of_config

    line = take_apart(argv)
    return of_config(_merged_quietly(_layers(line), line.allow_config_order))


def _merged_quietly(layers: Sequence[Layer], allow_order: bool) -> dict[str, Any]:
    """The layers merged; what that has to tell, it tells when the run's config is resolved."""
    logger = logging.getLogger("aigenbench.config")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        return merge_layers(layers, lambda class_path: None, allow_order)
    finally:
        logger.setLevel(level)


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Typed) else value


def _layers(line: CommandLine) -> list[Layer]:
    layers = [file_layer(name) for name in line.configs]
    layers += [argument_layer("imports+", item) for item in line.imports]
    return layers + [argument_layer(key, text) for key, text in line.arguments]


def print_section_help(topic: str) -> None:
    """Print what `--KEY.help` or `--KEY.help=CLASS` asks for: a section's arguments, or those of a class.

    Raises:
        InputError: there is nothing to tell of that key or class.
    """
    from aigenbench.cli.objects import NAMED, PLAIN
    from aigenbench.cli.signatures import class_help, find_class

    key, _, name = topic.removeprefix("--").partition(".help")
    name = name.removeprefix("=") or {"model": DETECTOR, "data": PIPELINE}.get(key, "")
    cls = find_class(name) if name else PLAIN.get(key)
    if cls is None:
        raise InputError(
            f"{topic}: name a class, as --{key}.help=CLASS; without one there is help for {', '.join((*PLAIN, *NAMED))}"
        )
    print(class_help(cls, key))
