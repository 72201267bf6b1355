"""The commands as Python calls: layers of configuration and Python objects in, an experiment or files out.

Each does what the command of its name does, on the same engine: what one begins, the other goes on with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aigenbench.config.layer import Layer, key_layer, layer
from aigenbench.engine.assembly.request import Request, recorded, request
from aigenbench.engine.assembly.run import Command
from aigenbench.engine.calling import as_a_call, folder_of
from aigenbench.errors import InputError

if TYPE_CHECKING:
    from aigenbench.engine.experiment import Experiment
    from aigenbench.evaluation.robustness.score import Family
    from aigenbench.training.loop.predicting import Predicted

Config = str | Path | Mapping[str, Any]
"""A layer of configuration: a file, also a packaged one by its path, or a mapping of sections."""
Overrides = Mapping[str, Any] | None


def fit(
    *configs: Config,
    overrides: Overrides = None,
    detector: Callable[..., Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    callbacks: Sequence[Any] = (),
    allow_config_change: bool = False,
    allow_config_order: bool = False,
    extends: Path | str | Experiment | None = None,
) -> Experiment:
    """Train a detector window by window and evaluate it after each; called again, it goes on where it stopped.

    Args:
        configs: layers of configuration from left to right: files, packaged ones by their path, or mappings of
            sections. Values in mappings may be classes and functions.
        overrides: dotted keys to values, as the command line's arguments: ``{"trainer.max_epochs": 2}``. They win.
        detector: a subclass of ``BaseDeepfakeDetectionModel``, which gets the section ``model`` as its arguments; or a
            function that returns one, which gets those it names.
        metrics: metrics of your own by name, computed in every period of every evaluation and logged: functions of
            (labels int64 (n,), probabilities of being fake float64 (n,)), or torchmetrics classes or objects.
        callbacks: further Lightning callbacks: classes, functions that make one, or objects, which are copied for
            every window.
        allow_config_change: go on with another configuration than the experiment was begun with.
        allow_config_order: let a model's config stand before the pipeline's, which then overrides it.
        extends: a finished experiment, or its folder: with a longer timeline only the windows that this adds are
            trained, from where that one ended.

    Returns:
        The experiment. A start from the shell goes on with it where all that was given can be imported there.

    Raises:
        InputError: anything wrong with what was given, or with the data; one line that says what to do.
        KeyboardInterrupt: it was interrupted; what is done is kept, and the same call goes on.
    """
    from aigenbench.engine.experiment import Experiment

    asked = request_of(configs, overrides, detector, metrics, callbacks, allow_config_change, allow_config_order)
    if extends is not None:
        asked = asked.over(layer("extends", {"experiment_info": {"extends": str(folder_of(extends))}}))
    with as_a_call():
        run = asked.run_with_weights("fit")
        from aigenbench.engine.assembly.loggers import warn_of_missing_loggers
        from aigenbench.training.loop import commands
        from aigenbench.training.processes.collectives import is_first_process

        if is_first_process():
            warn_of_missing_loggers(run.config)
        return Experiment(commands.fit(run))


def validate(
    *configs: Config,
    overrides: Overrides = None,
    detector: Callable[..., Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    callbacks: Sequence[Any] = (),
) -> list[Path]:
    """Evaluate the finished windows of an experiment, or weights named as ``ckpt_path``, on the validation images.

    Args:
        configs: as of ``fit``.
        overrides: as of ``fit``.
        detector: as of ``fit``.
        metrics: as of ``fit``.
        callbacks: as of ``fit``.

    Returns:
        The predictions files that hold the results.

    Raises:
        InputError: bad input, or no window is finished.
    """
    return _evaluate("validate", request_of(configs, overrides, detector, metrics, callbacks))


def test(
    *configs: Config,
    overrides: Overrides = None,
    detector: Callable[..., Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    callbacks: Sequence[Any] = (),
) -> list[Path]:
    """``validate`` on the test images; arguments, result and errors are the same."""
    return _evaluate("test", request_of(configs, overrides, detector, metrics, callbacks))


def predict(*configs: Config, overrides: Overrides = None, detector: Callable[..., Any] | None = None) -> Predicted:
    """Score what ``data.predict_path`` names under a whole configuration; ``Detector.load`` needs none.

    Args:
        configs: as of ``fit``.
        overrides: as of ``fit``.
        detector: as of ``fit``.

    Returns:
        The table's ``path``, how many ``images`` it has, and how many ``failed`` to be read.

    Raises:
        InputError: bad input, or no weights to use.
    """
    asked = request_of(configs, overrides, detector)
    with as_a_call():
        run = asked.run_with_weights("predict")
        from aigenbench.training.loop.predicting import predict

        return predict(run)


def robustness(
    experiment: Path | str | Experiment,
    families: Sequence[str] | None = None,
    windows: Sequence[int] | None = None,
    overrides: Overrides = None,
    trust_imports: bool = False,
) -> tuple[Family, ...]:
    """Evaluate the finished windows of an experiment on perturbed images; what is done is kept and left out.

    Args:
        experiment: it, or its folder.
        families: of perturbations (``jpeg``, ``webp``, ``resize``, ``blur``, ``noise``, ``crop``, ``double_jpeg``,
            ``social_network``); None takes all.
        windows: which windows; None takes all that are finished.
        overrides: dotted keys over the recorded configuration, such as ``{"dataset_path": FOLDER}``.
        trust_imports: run the code that its configuration names though no run of yours has made it.

    Returns:
        All results that are there, by family.

    Raises:
        InputError: bad input, a window is not finished, or the data set is another than the experiment's.
        KeyboardInterrupt: it was interrupted; the same call goes on.
    """
    from aigenbench.augmentations.perturbations import perturbations
    from aigenbench.evaluation.predictions.experiment import load_experiment
    from aigenbench.evaluation.robustness.score import load_robustness

    folder = folder_of(experiment)
    chosen = perturbations(families)
    with as_a_call():
        run = recorded(folder, _layers(overrides), trust_imports).run("validate")
        from aigenbench.training.loop.robustness import evaluate_robustness

        evaluate_robustness(run, folder, chosen, windows)
    return load_robustness(folder, load_experiment(folder))


def request_of(
    configs: Sequence[Config],
    overrides: Overrides,
    detector: Callable[..., Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    callbacks: Sequence[Any] = (),
    allow_config_change: bool = False,
    allow_config_order: bool = False,
) -> Request:
    """The request of a call; its Python objects enter the configuration by name."""
    from aigenbench.engine.assembly.given import begin_call, plain

    begin_call()
    named = [
        plain(config, f"config {i}") if isinstance(config, Mapping) else config for i, config in enumerate(configs)
    ]
    for i, config in enumerate(named):
        if not isinstance(config, str | Path | dict):
            raise InputError(f"config {i}: expected a file or a mapping of sections, found {type(config).__name__}")
    layers = [*_given_layers(detector, metrics or {}, callbacks), *_layers(overrides)]
    return request(named, layers, allow_config_change, allow_config_order)


def _given_layers(detector: Any, metrics: Mapping[str, Any], callbacks: Sequence[Any]) -> list[Layer]:
    from aigenbench.engine.assembly.given import check_sequence, maker_of

    layers = []
    if detector is not None:
        from aigenbench.training import BaseDeepfakeDetectionModel

        with _told("detector"):
            path = maker_of(detector, BaseDeepfakeDetectionModel)
        layers.append(layer("detector", {"model": {"class_path": path}}))
    if metrics:
        named = {name: _metric(name, metric) for name, metric in metrics.items()}
        layers.append(layer("metrics", {"metrics": named}))
    nodes = [_callback(i, callback) for i, callback in enumerate(check_sequence(callbacks, "callbacks"))]
    if nodes:
        layers.append(layer("callbacks", {"trainer": {"callbacks+": nodes}}))
    return layers


def _metric(name: str, metric: Any) -> str:
    """The path of a function or class, or of what makes copies of a torchmetrics object."""
    from aigenbench.engine.assembly.given import copies_of, name_of

    if not callable(metric):
        raise InputError(f"metrics: {name}: expected a function or a torchmetrics metric, found {metric!r}")
    is_object = not isinstance(metric, type) and not hasattr(metric, "__qualname__")
    role = f"metrics.{name}"
    return copies_of(metric, object, role) if is_object else name_of(metric, role)


def _callback(i: int, callback: Any) -> Any:
    """What the configuration's list of callbacks holds for one."""
    from lightning.pytorch import Callback

    from aigenbench.engine.assembly.given import copies_of, maker_of, plain

    if isinstance(callback, str | Mapping):
        return plain(callback, f"callbacks {i}")
    with _told(f"callbacks {i}"):
        make = copies_of if isinstance(callback, Callback) else maker_of
        return make(callback, Callback, f"callbacks.{i}")


def _layers(overrides: Overrides) -> list[Layer]:
    """A layer for every dotted key."""
    from aigenbench.engine.assembly.given import plain

    if overrides is not None and not isinstance(overrides, Mapping):
        raise InputError(f"overrides: expected a mapping of dotted keys, found {type(overrides).__name__}")
    given = {str(key): value for key, value in (overrides or {}).items()}
    return [key_layer("overrides", key, plain(value, "overrides", key)) for key, value in given.items()]


def _evaluate(stage: Command, asked: Request) -> list[Path]:
    with as_a_call():
        run = asked.run_with_weights(stage)
        from aigenbench.training.loop import commands

        return commands.evaluate(run, stage)


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(f"{what}: {error}") from error
