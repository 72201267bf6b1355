"""``aigenbench fit | validate | test``."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

from aigenbench.cli.parser import Resolved, is_spelt_right, model_asked_for, resolve
from aigenbench.config.imports import reason
from aigenbench.config.resolved import ResolvedConfig
from aigenbench.errors import InputError
from aigenbench.models import ensure_weights
from aigenbench.training.processes import SharedError, is_first_process
from aigenbench.training.slurm import after_stop, stops_before_the_run

logger = logging.getLogger(__name__)


class Inputs(Resolved):
    """A resolved configuration in the form the training room takes it."""

    def with_config(self, config: ResolvedConfig) -> Inputs:
        """The same under another configuration."""
        return replace(self, config=config)

    def trainer_arguments(self, logger_defaults: Mapping[str, Mapping[str, Any]] = {}) -> dict[str, Any]:
        """The Trainer's arguments with new loggers and callbacks, a ``checkpoint_callback`` among them.

        ``logger_defaults`` gives arguments, by class name, where the config has none of that name.
        """
        values = self.config.to_dict()
        trainer = values.get("trainer") or {}
        loggers = trainer.get("logger")
        for node in [loggers] if isinstance(loggers, dict) else loggers if isinstance(loggers, list) else []:
            _complete(node, logger_defaults)
        completed = Resolved(self.subcommand, ResolvedConfig(values))
        arguments = completed.trainer_arguments()
        arguments["logger"] = _as_list(arguments.get("logger"))
        arguments["callbacks"] = _as_list(arguments.get("callbacks"))
        own = self.checkpoint_callback_arguments()
        if own is not None:
            from lightning.pytorch.callbacks import ModelCheckpoint

            try:
                arguments["callbacks"].append(ModelCheckpoint(**own))
            except Exception as error:
                raise InputError(f"checkpoint_callback is refused: {reason(error)}") from error
        return arguments


def _complete(node: dict[str, Any], defaults: Mapping[str, Mapping[str, Any]]) -> None:
    arguments = node.setdefault("init_args", {})
    of_class = node["class_path"].rpartition(".")[2]
    for key, value in defaults.get(of_class, {}).items():
        if key == "offline":
            # never online where the config says otherwise
            arguments[key] = bool(arguments.get(key)) or value
        elif arguments.get(key) in (None, "lightning_logs") or key == "default_hp_metric":
            arguments[key] = value


def _as_list(value: Any) -> list[Any]:
    if value is None or isinstance(value, bool):
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def run(argv: list[str], subcommand: str) -> int:
    """Run a training command; returns the exit code."""
    if not is_first_process():
        # the first says it all; what goes wrong in another is told by it
        logging.getLogger("aigenbench").setLevel(logging.ERROR)
    with stops_before_the_run() if subcommand == "fit" else nullcontext():
        return _run(argv, subcommand)


def _run(argv: list[str], subcommand: str) -> int:
    inputs = inputs_of(argv, subcommand)
    # torch and Lightning take seconds to import: only once the arguments are right
    from aigenbench.cli.loggers import warn_of_missing_loggers
    from aigenbench.training import commands
    from aigenbench.training.experiment import ID_VARIABLE
    from aigenbench.training.signals import StoppedError, exit_code

    if subcommand == "fit" and is_first_process():
        warn_of_missing_loggers(inputs.config)
    try:
        if subcommand == "fit":
            folder = commands.fit(inputs)
            if is_first_process():
                _show(folder)
        else:
            for path in commands.evaluate(inputs, subcommand):
                print(path)
    except SharedError:
        if is_first_process():
            raise
    except StoppedError as stopped:
        experiment_id = os.environ.get(ID_VARIABLE)
        which = f" with --experiment_info.experiment_id {experiment_id}" if experiment_id else ""
        logger.warning("%s; everything done so far is kept, the same command%s goes on", stopped, which)
        if subcommand == "fit":
            after_stop(stopped.number)
        return exit_code(stopped.number)
    return 0


def inputs_of(argv: list[str], subcommand: str) -> Inputs:
    """What the arguments of a training command come to; missing weights of the model are told at once.

    Raises:
        InputError: see `resolve`, or weights are missing and cannot be fetched.
    """
    named = cast('Literal["fit", "validate", "test", "predict"]', subcommand)
    early = model_asked_for(argv)
    if early is not None:
        try:
            # before the imports that resolving takes
            ensure_weights(early[0], **early[1])
        except InputError:
            if not is_spelt_right(argv):
                # a mistyped key is told first: it may be why the weights are looked for elsewhere
                resolve(argv, named)
            raise
    resolved = resolve(argv, named)
    _have_weights(resolved.config, subcommand)
    return Inputs(resolved.subcommand, resolved.config, resolved.allow_config_change)


def _have_weights(config: ResolvedConfig, subcommand: str) -> None:
    """Tell at once where weights are missing and cannot be fetched, or a file that is named is none of weights."""
    from aigenbench.models.weight_files import kind_of

    arguments = config["model"]["init_args"]
    ensure_weights(
        arguments["model_name"], **{"weights_dir": config["weights_dir"], **(arguments.get("model_args") or {})}
    )
    named = {"model.base_weights": arguments.get("base_weights"), "ckpt_path": config["ckpt_path"]}
    for key, path in named.items():
        # fit refuses a ckpt_path, be it there or not
        if path is not None and not (key == "ckpt_path" and subcommand == "fit"):
            kind_of(Path(path).expanduser(), key, "checkpoint")


def _show(folder: Path) -> None:
    from aigenbench.evaluation.score import score_experiment
    from aigenbench.evaluation.table import score_table

    print(score_table(score_experiment(folder)))
    print(f"{folder}")
