"""From a training command's arguments to one resolved configuration, and from that to models, data and trainers.

Everything that needs no heavy import is checked first: config files, their YAML, sections, `experiment_info`.
"""

from __future__ import annotations

import json
import logging
from argparse import ArgumentError
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from aigenbench.cli.command_line import take_apart
from aigenbench.config import aliases
from aigenbench.config.experiment import ExperimentInfo, experiment_info
from aigenbench.config.imports import run_imports
from aigenbench.config.layer import OPTIMIZER, SECTIONS, Layer, argument_layer, file_layer, get
from aigenbench.config.layers import merge_layers, merged_imports, source_of
from aigenbench.config.names import Path
from aigenbench.config.resolved import ResolvedConfig
from aigenbench.config.yaml_text import Typed
from aigenbench.errors import InputError

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

    from aigenbench.data import AIGenBenchPipeline
    from aigenbench.training import BaseDeepfakeDetectionModel

logger = logging.getLogger(__name__)

Subcommand = Literal["fit", "validate", "test", "predict"]
# the sections that jsonargparse checks and makes objects of
PARSED = ("trainer", "model", "data", "checkpoint_callback")
PLAIN_SECTIONS = ("trainer", "checkpoint_callback")
REFUSALS = (ArgumentError, TypeError, ValueError)


@dataclass(frozen=True)
class Resolved:
    """A configuration after all layers, ready to make what a run needs.

    Attributes:
        subcommand: `fit`, `validate`, `test` or `predict`.
        config: the frozen values.
    """

    subcommand: Subcommand
    config: ResolvedConfig

    def instantiate_model(self) -> BaseDeepfakeDetectionModel:
        """A new detector."""
        return self._made("model")

    def instantiate_data(self) -> AIGenBenchPipeline:
        """A new pipeline with its loader; nothing is read yet."""
        return self._made("data")

    def trainer_arguments(self) -> dict[str, Any]:
        """The Trainer's arguments, with new loggers and callbacks at every call.

        Raises:
            InputError: a logger or callback needs a package that is not installed.
        """
        return vars(self._made("trainer"))

    def checkpoint_callback_arguments(self) -> dict[str, Any] | None:
        """Arguments for the user's own ModelCheckpoint; None where the config has no `checkpoint_callback`."""
        return vars(self._made("checkpoint_callback")) if self.config["checkpoint_callback"] else None

    def _made(self, section: str) -> Any:
        parser = build_parser([section])
        parsed = parser.parse_object({section: self.config.to_dict()[section]})
        try:
            return parser.instantiate(parsed)[section]
        except ModuleNotFoundError as error:
            extra = "wandb" if "wandb" in str(error) else None
            install = f"pip install 'aigenbench[{extra}]'" if extra else "install it, or take it out of the config"
            raise InputError(f"{section}: {' '.join(str(error).split())}: {install}") from error


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
    layers = [file_layer(name) for name in line.configs]
    layers += [argument_layer("imports+", item) for item in line.imports]
    layers += [argument_layer(key, text) for key, text in line.arguments]
    aliases.install()
    run_imports(merged_imports(layers))
    if line.help is not None:
        _print_help(line.help, subcommand)
        raise SystemExit(0)
    config = resolve_layers(layers)
    if line.print_config:
        print(config.to_yaml(), end="")
        raise SystemExit(0)
    return Resolved(subcommand, config)


def resolve_layers(layers: Sequence[Layer]) -> ResolvedConfig:
    """The layers merged, checked against the classes they name, completed with defaults, and frozen.

    Raises:
        InputError: an unknown key, a class that cannot be imported, a missing or wrong value.
    """
    from aigenbench.cli.signatures import check_empty, check_keys, parameters_of, wrong_value

    def source(place: Path) -> str:
        return source_of(layers, place)

    merged = merge_layers(layers, parameters_of)
    _complete_optimizer(merged)
    info = experiment_info(merged.get("experiment_info") or {})
    check_keys(merged, source)
    plain = _read_typed(merged, as_text=False)
    check_empty(plain, source)
    try:
        try:
            parsed = parse(plain)
        except REFUSALS:
            # a number, or true, typed for an argument that takes text
            parsed = parse(_read_typed(merged, as_text=True))
    except REFUSALS as error:
        raise wrong_value(plain, source, error) from error
    values = {section: plain.get(section) for section in SECTIONS}
    return ResolvedConfig(values | parsed | {"experiment_info": asdict(info)})


def parse(values: dict[str, Any]) -> dict[str, Any]:
    """The sections that hold classes' arguments, checked by type and completed with the classes' defaults."""
    sections = [section for section in PARSED if values.get(section) is not None]
    parser = build_parser(sections)
    parsed = parser.parse_object({section: values[section] for section in sections})
    return json.loads(parser.dump(parsed, format="json", skip_unset=False, skip_validation=True))


def build_parser(sections: Iterable[str], prog: str | None = None) -> ArgumentParser:
    """A jsonargparse parser of some of the sections in `PARSED`."""
    from jsonargparse import ArgumentParser
    from lightning.pytorch import Trainer
    from lightning.pytorch.callbacks import ModelCheckpoint

    from aigenbench.data import AIGenBenchPipeline
    from aigenbench.training import BaseDeepfakeDetectionModel

    parser = ArgumentParser(prog=prog, exit_on_error=False, allow_abbrev=False)
    for section, cls in (("trainer", Trainer), ("checkpoint_callback", ModelCheckpoint)):
        if section in sections:
            parser.add_class_arguments(cls, section, instantiate=False)
    for section, cls in (("model", BaseDeepfakeDetectionModel), ("data", AIGenBenchPipeline)):
        if section in sections:
            parser.add_subclass_arguments(cls, section, fail_untyped=False, required=True)
    return parser


def _complete_optimizer(config: dict[str, Any]) -> None:
    """Arguments for an optimizer that no layer names are for the benchmark's own (protocol section 6)."""
    given = get(config, OPTIMIZER)
    if isinstance(given, dict) and "class_path" not in given:
        benchmark = {"lr": 1e-3, "momentum": 0.9, "weight_decay": 1e-4}
        arguments = {**benchmark, **(given.get("init_args") or {})}
        config["model"]["init_args"]["optimizer"] = {"class_path": "torch.optim.SGD", "init_args": arguments}


def _read_typed(value: Any, as_text: bool, at: Path = ()) -> Any:
    """A copy of `value` where what was typed on the command line is read as YAML, or a class's argument as text."""
    if isinstance(value, dict):
        return {key: _read_typed(item, as_text, (*at, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_read_typed(item, as_text, (*at, index)) for index, item in enumerate(value)]
    if not isinstance(value, Typed):
        return value
    # inside a free mapping, such as model_args, nothing but YAML can say what the text means
    is_argument = len(at) > 1 and at[-2] in ("init_args", *PLAIN_SECTIONS)
    return str(value) if as_text and is_argument else value.value


def _print_help(topic: str, subcommand: Subcommand) -> None:
    """Print what the command takes, or with `--KEY.help[=CLASS]` what a class there takes."""
    parser = build_parser(PARSED, prog=f"aigenbench {subcommand}")
    if topic:
        parser.parse_args([topic])
    parser.add_class_arguments(ExperimentInfo, "experiment_info")
    print(
        f"usage: aigenbench {subcommand} [--config FILE ...] [--import FILE.py ...] [--print_config] [--KEY=VALUE ...]"
    )
    print(parser.format_help().partition("\n\n")[2])
