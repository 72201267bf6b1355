"""What a run is given: a resolved configuration, and from it models, data and trainers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from aigenbench.config.imports import reason
from aigenbench.config.resolved import ResolvedConfig
from aigenbench.errors import InputError
from aigenbench.models.weights.locate import use_weights_folder

if TYPE_CHECKING:
    from aigenbench.data import AIGenBenchPipeline
    from aigenbench.training import BaseDeepfakeDetectionModel

Command = Literal["fit", "validate", "test", "predict"]


@dataclass(frozen=True)
class Run:
    """A configuration after all layers, ready to make what a run needs: all that the training room is given.

    Attributes:
        command: `fit`, `validate`, `test` or `predict`.
        config: the frozen values.
        allow_config_change: let an experiment go on with another configuration than it was begun with.
        unnamed_imports: what the training of given weights had imported and this start was not told to.
    """

    command: Command
    config: ResolvedConfig
    allow_config_change: bool = False
    unnamed_imports: tuple[str, ...] = ()

    def with_config(self, config: ResolvedConfig) -> Run:
        """The same under another configuration."""
        return replace(self, config=config)

    def instantiate_model(self) -> BaseDeepfakeDetectionModel:
        """A new detector.

        Raises:
            InputError: its class refuses its arguments, or is not known.
        """
        use_weights_folder(self.config.get("weights_dir"))
        with imports_told(self.unnamed_imports):
            detector: BaseDeepfakeDetectionModel = self._made("model")
        for name, metric in metrics_of(self.config).items():
            if name in detector.extra_metrics:
                raise InputError(f"metrics.{name}: {type(detector).__name__} adds a metric of that name itself")
            detector.configured_metrics[name] = metric
        return detector

    def instantiate_data(self) -> AIGenBenchPipeline:
        """A new pipeline with its loader; nothing is read yet."""
        return self._made("data")

    def trainer_arguments(self, logger_defaults: Mapping[str, Mapping[str, Any]] = {}) -> dict[str, Any]:
        """The Trainer's arguments with new loggers and callbacks at every call, a ``checkpoint_callback`` among them.

        A logger that can be done without is left out where its package is not installed.

        Args:
            logger_defaults: arguments, by class name, that loggers get where the config has none of that name.

        Raises:
            InputError: a logger or callback refuses its arguments, or needs a package that is not installed.
        """
        values = self.config.to_dict()
        loggers = (values.get("trainer") or {}).get("logger")
        for node in [loggers] if isinstance(loggers, dict) else loggers if isinstance(loggers, list) else []:
            complete(node, logger_defaults)
        arguments: dict[str, Any] = vars(self.with_config(ResolvedConfig(values))._made("trainer"))
        arguments["logger"] = _as_list(arguments.get("logger"))
        arguments["callbacks"] = _as_list(arguments.get("callbacks"))
        if self.config.get("checkpoint_callback"):
            from lightning.pytorch.callbacks import ModelCheckpoint

            try:
                arguments["callbacks"].append(ModelCheckpoint(**vars(self._made("checkpoint_callback"))))
            except Exception as error:
                raise InputError(f"checkpoint_callback is refused: {reason(error)}") from error
        return arguments

    def _made(self, section: str) -> Any:
        from aigenbench.engine.assembly.loggers import without_missing_loggers
        from aigenbench.engine.assembly.objects import make

        values = self.config.to_dict()[section]
        return make(section, without_missing_loggers(values)[0] if section == "trainer" else values)


def metrics_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics that the section ``metrics`` names, by name: functions, and new objects of classes.

    Raises:
        InputError: one cannot be imported, or its class not made without arguments.
    """
    found: dict[str, Any] = {}
    for name, path in (config.get("metrics") or {}).items():
        # scikit-learn and the classes' signatures take long to import
        from aigenbench.engine.assembly.signatures import find_object
        from aigenbench.evaluation.metrics.definitions import check_own_name

        if not isinstance(path, str) or "." not in path:
            raise InputError(f"metrics.{name}: expected a function or class, such as my_metrics.brier, found {path!r}")
        check_own_name(name)
        given = find_object(path)
        try:
            found[name] = given() if isinstance(given, type) or hasattr(given, "makes") else given
        except Exception as error:
            raise InputError(f"metrics.{name}: {path} cannot be made: {reason(error)}") from error
    return found


def complete(node: dict[str, Any], defaults: Mapping[str, Mapping[str, Any]]) -> None:
    """Give a logger's node what the run knows of its class and the config does not say."""
    arguments = node.setdefault("init_args", {})
    of_class = node["class_path"].rpartition(".")[2]
    for key, value in defaults.get(of_class, {}).items():
        if key == "offline":
            # never online where the config says otherwise
            arguments[key] = bool(arguments.get(key)) or value
        elif arguments.get(key) in (None, "lightning_logs") or key == "default_hp_metric":
            arguments[key] = value


@contextmanager
def imports_told(unnamed: Sequence[str]) -> Iterator[None]:
    """Somebody's code runs only where it is named: say what the training had imported and this start has not."""
    try:
        yield
    except InputError as error:
        if not unnamed:
            raise
        options = " ".join(f"--import {item}" for item in unnamed)
        raise InputError(
            f"{error}; the detector's training imported Python that you may have to name: {options}"
        ) from error


def _as_list(value: Any) -> list[Any]:
    if value is None or isinstance(value, bool):
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]
