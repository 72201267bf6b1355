"""Scoring pictures that need no labels, and the table of their scores."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import numpy.typing as npt
import torch

from aigenbench.config.folder import CONFIG_FILE
from aigenbench.config.resolved import ResolvedConfig
from aigenbench.data.pipeline import AIGenBenchPipeline
from aigenbench.data.plan import plan_of_generators
from aigenbench.data.predict import PredictSet, open_predict_sets
from aigenbench.errors import InputError, nearest
from aigenbench.evaluation.predictions.fusion import sigmoid
from aigenbench.files import whole_file
from aigenbench.protocol.timeline import PUBLISHED
from aigenbench.training.detector.base import BaseDeepfakeDetectionModel
from aigenbench.training.detector.outputs import Arrays, rows_of_outputs
from aigenbench.training.detector.tasks import MulticlassTask
from aigenbench.training.lightning.trainers import check_trainer_arguments, make_trainer
from aigenbench.training.processes.collectives import everyones
from aigenbench.training.processes.failures import failures_told
from aigenbench.training.resume.folder import ExperimentFolder, find_experiment
from aigenbench.training.resume.state import read_state
from aigenbench.training.window.collect import fused_rows
from aigenbench.training.window.evaluating import check_finite, named_image, stage_of_weights
from aigenbench.training.window.evaluations import asked_windows, experiment_named, named_weights
from aigenbench.training.window.extended import make_plan_of
from aigenbench.training.window.fusing import use_learned_fusion
from aigenbench.training.window.inputs import (
    RunInputs,
    description_of,
    make_detector,
    prepare_detector,
    seed_of,
)
from aigenbench.training.window.weights import (
    Weights,
    load_weights,
    own_weights,
    read_weights,
    trained_windows,
    use_trained,
)

logger = logging.getLogger(__name__)

COLUMNS = ("image", "logit", "score", "error", "data", "weights", "weights_sha256", "date")
NAME = "predictions_predict"


@dataclass(frozen=True)
class Predicted:
    """What a prediction left.

    Attributes:
        path: the table.
        images: how many pictures there were.
        failed: how many of them could not be read.
    """

    path: Path
    images: int
    failed: int


@failures_told()
def predict(inputs: RunInputs) -> Predicted:
    """Score what ``data.predict_path`` names, or the evaluation images, under a whole configuration.

    Raises:
        InputError: bad input, no weights to use, or a score that is not a finite number.
    """
    config = inputs.config
    check_trainer_arguments(config.get("trainer") or {})
    experiment, weights = _weights_of_config(inputs)
    pipeline: AIGenBenchPipeline = inputs.instantiate_data()
    detector = make_detector(inputs, seed_of(config))
    prepare_to_predict(inputs, pipeline, detector, weights)
    load_weights(detector, weights)
    use_learned_fusion(detector, weights)

    def plan() -> Any:
        return make_plan_of(pipeline, config.experiment_info, "validate")

    trained = weights.trained
    if trained is None and isinstance(detector.task, MulticlassTask):
        trained = use_trained(detector, weights, plan(), weights.window or 0)
    if trained is not None:
        detector.begin(stage_of_weights(trained, weights.window or 0))
    data = Path(pipeline.predict_path or config.get("dataset_path") or "")
    sets = [(data, pipeline.predict_set(plan))]
    return _scored(inputs, pipeline, detector, weights, sets, _folder(experiment, weights))


@failures_told()
def predict_pictures(
    inputs: RunInputs, weights: Weights, paths: Sequence[Path], output: Path | None = None, follow_links: bool = False
) -> Predicted:
    """Score pictures, folders and data sets with weights alone: no configuration, no data set of the benchmark's.

    Args:
        inputs: of a configuration that ``description_of_weights`` gives.
        weights: the checkpoint.
        paths: what to score.
        output: the table; None takes ``predictions_predict.csv`` here, or the next free name.
        follow_links: let data sets among them lead outside their folders.

    Raises:
        InputError: see ``predict``.
    """
    sets = open_predict_sets(paths, follow_links)
    pipeline, detector = ready_to_predict(inputs, weights)
    return _scored(inputs, pipeline, detector, weights, sets, Path(), output)


def ready_to_predict(inputs: RunInputs, weights: Weights) -> tuple[AIGenBenchPipeline, BaseDeepfakeDetectionModel]:
    """The pipeline and the detector of weights alone.

    Raises:
        InputError: they are of another model, or of a multiclass detector and do not say which classes it has.
    """
    pipeline: AIGenBenchPipeline = inputs.instantiate_data()
    detector = make_detector(inputs, seed_of(inputs.config))
    prepare_to_predict(inputs, pipeline, detector, weights)
    load_weights(detector, weights)
    use_learned_fusion(detector, weights)
    trained = weights.trained
    if trained is not None:
        detector.begin(stage_of_weights(trained, weights.window or 0))
    elif isinstance(detector.task, MulticlassTask):
        raise InputError(
            f"{weights.path} does not say which generators its classes are; give its configuration and data set: "
            "aigenbench predict --config FILE --dataset_path FOLDER --ckpt_path FILE --data.predict_path FOLDER"
        )
    return pipeline, detector


def prepare_to_predict(
    inputs: RunInputs, pipeline: AIGenBenchPipeline, detector: BaseDeepfakeDetectionModel, weights: Weights
) -> None:
    """Let a detector make its model where the benchmark's data are not there: by what the weights say of theirs."""
    if weights.trained is not None:
        plan = plan_of_generators(weights.trained.timeline, weights.trained.windows)
        prepare_detector(inputs, pipeline, plan, detector, seed_of(inputs.config), "predict")
    else:
        prepare_detector(
            inputs, pipeline, plan_of_generators(PUBLISHED, ()), detector, seed_of(inputs.config), "predict"
        )


def find_weights(place: Path, window: int | None = None) -> Weights:
    """The weights that an experiment's folder, a window's folder or a checkpoint stands for.

    Args:
        place: what was named.
        window: of an experiment, which window's; None takes the last that is finished.

    Raises:
        InputError: there are none.
    """
    place = place.expanduser()
    if place.is_file():
        if window is not None:
            raise InputError(f"--window picks a window of an experiment, {place} is one checkpoint; leave it out")
        return read_weights(place)
    if not place.is_dir():
        meant = Path("experiments_data") / f"experiment_{place}"
        hint = f"; did you mean {meant}?" if meant.is_dir() else _sibling(place)
        raise InputError(f"no experiment or checkpoint at {place}{hint}")
    state = read_state(place)
    if state is not None and state.final is not None and window is None:
        return read_weights(place / state.final.file)
    config = place / CONFIG_FILE
    prefix = ResolvedConfig.from_file(config).experiment_info.window_name_prefix if config.is_file() else "window_"
    experiment = ExperimentFolder(place.name, place, prefix)
    finished = trained_windows(experiment)
    if not finished or window not in (None, *finished):
        which = "no finished window" if window is None else f"no finished window {window}"
        raise InputError(f"{place} has {which} (finished: {', '.join(map(str, finished)) or 'none'})")
    return own_weights(experiment, finished[-1] if window is None else window)


def description_of_weights(weights: Weights) -> dict[str, Any]:
    """The sections of a configuration that make the detector of these weights again.

    Raises:
        InputError: neither the checkpoint nor a configuration beside it says.
    """
    described = weights.record.get("description")
    if isinstance(described, Mapping) and isinstance(described.get("model"), Mapping):
        return dict(described)
    for folder in (weights.path.absolute().parent, weights.path.absolute().parent.parent):
        if (folder / CONFIG_FILE).is_file():
            return description_of(ResolvedConfig.from_file(folder / CONFIG_FILE))
    raise InputError(
        f"{weights.path} does not say which detector it is of, and no {CONFIG_FILE} lies beside it; give its "
        "configuration: aigenbench predict --config FILE --ckpt_path FILE --data.predict_path FOLDER"
    )


def _sibling(place: Path) -> str:
    return nearest(place.name, [p.name for p in place.parent.iterdir()]) if place.parent.is_dir() else ""


def _weights_of_config(inputs: RunInputs) -> tuple[ExperimentFolder | None, Weights]:
    named = named_weights(inputs)
    if named is not None:
        return experiment_named(inputs.config.experiment_info), read_weights(named)
    experiment = find_experiment(inputs.config.experiment_info)
    window = asked_windows(inputs.config.experiment_info, experiment)[-1]
    return experiment, own_weights(experiment, window)


def _folder(experiment: ExperimentFolder | None, weights: Weights) -> Path:
    """Beside the weights where they are the experiment's own, else in its folder, else here."""
    if experiment is None or not experiment.folder.is_dir():
        return Path()
    own = weights.path.resolve().is_relative_to(experiment.folder.resolve())
    return weights.path.parent if own else experiment.folder


def _scored(
    inputs: RunInputs,
    pipeline: AIGenBenchPipeline,
    detector: BaseDeepfakeDetectionModel,
    weights: Weights,
    sets: Sequence[tuple[Path, PredictSet]],
    folder: Path,
    output: Path | None = None,
) -> Predicted:
    rows: list[dict[str, str]] = []
    facts = {
        "weights": str(weights.path),
        "weights_sha256": weights.sha256[:16],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    for data, chosen in sets:
        trainer = make_trainer(inputs.trainer_arguments({}), folder, 1, [], "predict", [])
        positions, logits, reasons = predicted_logits(trainer, pipeline, detector, chosen)
        read = np.array([position not in reasons for position in positions.tolist()], dtype=bool)
        check_finite(logits[read], _names(chosen, positions[read]))
        scores = sigmoid(logits)
        for position, logit, score in zip(positions.tolist(), logits, scores, strict=True):
            reason = reasons.get(position, "")
            numbers = {"logit": "", "score": ""} if reason else {"logit": f"{logit:.7g}", "score": f"{score:.7g}"}
            rows.append({"image": chosen.name(position), **numbers, "error": reason, "data": str(data), **facts})
    failed = sum(bool(row["error"]) for row in rows)
    path = folder / f"{NAME}.csv" if output is None else output
    if trainer.is_global_zero:
        path = _kept(rows, path) if output is None else _written(rows, path)
        for row in [row for row in rows if row["error"]][:3]:
            logger.warning("%s cannot be read: %s", row["image"], row["error"])
    return Predicted(path, len(rows), failed)


def predicted_logits(
    trainer: pl.Trainer, pipeline: AIGenBenchPipeline, detector: BaseDeepfakeDetectionModel, chosen: PredictSet
) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any], dict[int, str]]:
    """Positions (n,) in order, fused logits (n,), and why an image at a position could not be read; of all processes.

    Args:
        trainer: a fresh one.
        pipeline: gives the samples.
        detector: as it is.
        chosen: the images.
    """
    loader = pipeline.predict_loader(chosen, detector, trainer.global_rank, trainer.world_size)
    collector = _FusedLogits()
    trainer.callbacks.append(collector)  # type: ignore[attr-defined]
    # what a detector's own code may ask
    trainer.datamodule = pipeline  # type: ignore[attr-defined]
    trainer.predict(detector, dataloaders=loader, return_predictions=False)
    failures: list[Any] = [tuple(failure) for failure in loader.failures]
    if trainer.world_size == 1:
        # processes that trained together may still be a group when one of them predicts alone
        return *collector.alone(), dict(failures)
    return *collector.gathered(), dict(everyones(failures))


def _names(chosen: PredictSet, positions: npt.NDArray[np.int64]) -> Callable[[int], str]:
    return lambda row: named_image(chosen.table, int(chosen.rows[positions[row]]))


class _FusedLogits(pl.Callback):
    """Keeps positions and fused logits of the images of every batch."""

    def __init__(self) -> None:
        self._batches: list[tuple[npt.NDArray[np.int64], npt.NDArray[Any]]] = []

    def on_predict_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any, **__: Any
    ) -> None:
        """Take what ``predict_step`` returned of a batch."""
        assert isinstance(pl_module, BaseDeepfakeDetectionModel)
        positions, logits, crop_to_image = pl_module.predicted(batch, outputs)
        rows = logits if isinstance(logits, dict) else self._rows(pl_module, logits.float())
        fused = fused_rows(pl_module, rows, crop_to_image.cpu().numpy(), pl_module.fusion)["logits"]
        self._batches.append((positions.cpu().numpy(), fused))

    @staticmethod
    def _rows(detector: BaseDeepfakeDetectionModel, values: torch.Tensor) -> Arrays:
        """Of fake logits (m,), or of the outputs of a detector of classes."""
        return rows_of_outputs(detector, values) if values.ndim == 2 else {"logits": values.cpu().numpy()}

    def gathered(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
        """Positions and fused logits of all images, in order, of all processes."""
        pairs = everyones(self._batches)
        positions = np.concatenate([p for p, _ in pairs])
        order = np.argsort(positions)
        return positions[order], np.concatenate([f for _, f in pairs])[order]

    def alone(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
        """The same of this process, which was given all images; a loader keeps their order."""
        return np.concatenate([p for p, _ in self._batches]), np.concatenate([f for _, f in self._batches])


def _kept(rows: Sequence[Mapping[str, str]], path: Path) -> Path:
    """Write a table beside earlier ones, never over another; the same scores are not written twice."""
    for number in count(1):
        candidate = path if number == 1 else path.with_name(f"{path.stem}_{number}{path.suffix}")
        if not candidate.exists():
            return _written(rows, candidate)
        if _same(rows, candidate):
            logger.info("%s: reproduced", candidate)
            return candidate
    raise AssertionError("there is always a next number")


def _written(rows: Sequence[Mapping[str, str]], path: Path) -> Path:
    # a file's name may hold bytes that are no text
    with (
        whole_file(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as lines,
    ):
        writer = csv.DictWriter(lines, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return path


def _same(rows: Sequence[Mapping[str, str]], path: Path) -> bool:
    """Whether a table holds these rows: all but the date, logits but for what rounding changes."""
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            earlier = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error):
        return False
    return len(earlier) == len(rows) and all(map(_same_row, earlier, rows))


def _same_row(a: Mapping[str, str], b: Mapping[str, str]) -> bool:
    for key in ("image", "error", "data", "weights_sha256"):
        mine = b[key].encode(errors="backslashreplace").decode()
        if a.get(key) != mine:
            return False
    x, y = a.get("logit") or "", b["logit"]
    return x == y or (bool(x and y) and bool(np.isclose(float(x), float(y), rtol=1e-6, atol=1e-6)))


def has_cuda() -> bool:
    """Whether there is a CUDA device."""
    return torch.cuda.is_available()


def sections_for(weights: Weights, described: Mapping[str, Any], trainer: Mapping[str, Any]) -> dict[str, Any]:
    """The sections of a configuration under which these weights predict.

    Args:
        weights: the checkpoint.
        described: see ``description_of_weights``.
        trainer: accelerator and devices.
    """
    model = dict(described["model"])
    arguments = dict(model.get("init_args") or {})
    if not weights.record.get("backbone"):
        # the checkpoint holds every weight: a backbone's own would be fetched only to be replaced
        given = arguments.get("model_args") or {}
        arguments["model_args"] = {k: v for k, v in given.items() if k != "weights"} | {"pretrained": False}
    on_cpu = trainer["accelerator"] == "cpu" or (trainer["accelerator"] == "auto" and not has_cuda())
    precision = (described.get("trainer") or {}).get("precision")
    if on_cpu and str(precision) in ("16-mixed", "16", "16-true"):
        precision = None
    return {
        "model": {**model, "init_args": arguments},
        "data": dict(described.get("data") or {}),
        "trainer": {**trainer, "logger": False, **({} if precision is None else {"precision": precision})},
    }
