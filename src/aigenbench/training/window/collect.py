"""From the batches of an evaluation to the predictions of a window."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import numpy as np
import numpy.typing as npt
import torch

from aigenbench.data.plan import Plan
from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.fusion import Fusion, sigmoid
from aigenbench.evaluation.predictions.record import Predictions
from aigenbench.files import canonical_json
from aigenbench.protocol.fingerprints import pairing_fingerprint
from aigenbench.protocol.identity import Keys, data_fingerprint
from aigenbench.protocol.pairing import EvaluationSet
from aigenbench.protocol.periods import period_generators
from aigenbench.protocol.trained import Trained
from aigenbench.training.detector.base import BaseDeepfakeDetectionModel, fusion_is_overridden
from aigenbench.training.detector.outputs import (
    FUSED,
    Arrays,
    binary_of,
    checked_probabilities,
    logits_of,
    probabilities_of,
    rows_of,
)
from aigenbench.training.processes.collectives import SharedError, everyones
from aigenbench.training.processes.signals import StopRequest


class OutputCollector(pl.Callback):
    """Keeps what ``evaluation_step`` returns, as NumPy arrays, a row for every crop.

    Args:
        common_batches: how many batches every process has; some may have one more.
        stop: a request to stop ends an evaluation at once, in all processes; it is then run again.
    """

    def __init__(self, common_batches: int, stop: StopRequest | None = None) -> None:
        self._batches: list[Arrays] = []
        self._common, self._stop = common_batches, stop

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any, **__: Any
    ) -> None:
        """Take a validation batch's output.

        Raises:
            StoppedError: a process was asked to stop.
        """
        assert isinstance(pl_module, BaseDeepfakeDetectionModel)
        self.add(pl_module, outputs)
        if self._stop is not None and len(self._batches) <= self._common:
            self._stop.check()

    def add(self, detector: BaseDeepfakeDetectionModel, outputs: Any) -> None:
        """Take what a detector's ``evaluation_step`` returned."""
        self._batches.append(rows_of(detector, outputs))

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any, **__: Any
    ) -> None:
        """Take a test batch's output; as for validation."""
        self.on_validation_batch_end(trainer, pl_module, outputs)

    def gathered(self) -> Arrays:
        """The rows of all processes; every process gets them."""
        mine = _concatenated(self._batches)
        self._batches = []
        return _concatenated([arrays for arrays in everyones([mine]) if arrays])


def _concatenated(batches: list[Arrays]) -> Arrays:
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]} if batches else {}


def make_predictions(
    detector: BaseDeepfakeDetectionModel,
    rows: Arrays,
    chosen: EvaluationSet,
    plan: Plan,
    window: int,
    protocol_fingerprint: str,
    trained: Trained | None = None,
    keys: Keys | None = None,
) -> Predictions:
    """Put gathered rows into evaluation order, fuse the crops of each image, and add the protocol's facts.

    Args:
        detector: says how scores are fused.
        rows: what ``OutputCollector.gathered`` returned.
        chosen: the images that were to be evaluated, in order.
        plan: windows, timeline and benchmark type.
        window: index of the window.
        protocol_fingerprint: of the run.
        trained: what the weights were trained on; the periods follow from it.
        keys: of the images that were to be evaluated, in order, uint64 (n,).

    Raises:
        InputError: the rows are of other images; or a rule of fusion has nothing to be fitted on, or no effect.
    """
    crops, positions = _ordered({k: v for k, v in rows.items() if not k.startswith(FUSED)}, chosen)
    first = np.flatnonzero(np.diff(positions, prepend=-1))
    multiclass = crops.get("multiclass")
    past = period_generators("growing", plan.windows, window) if trained is None else trained.generators
    fusion = _fitted(detector.fusion, crops, positions, chosen, [plan.timeline.ids.get(name, -1) for name in past])
    fused = {**fused_rows(detector, crops, positions, fusion), "losses": _mean(crops["losses"], first)}
    if of_images := {k.removeprefix(FUSED): v for k, v in rows.items() if k.startswith(FUSED)}:
        if fusion.kind != "mean":
            raise SharedError(f"model.fusion {fusion.kind}: {type(detector).__name__}.evaluation_step fuses by itself")
        # fused by the detector's own evaluation step
        fused = _ordered(of_images, chosen)[0]
    fused_multiclass = fused.get("multiclass")
    standing = None if trained is None else trained.standing(plan.timeline)
    return Predictions(
        fused_scores=sigmoid(fused["logits"]).astype(np.float32),
        fused_logits=fused["logits"].astype(np.float32),
        fused_labels=crops["labels"][first],
        fused_generator_ids=crops["generator_ids"][first],
        fused_identifiers=crops["identifiers"][first],
        fused_losses=fused["losses"].astype(np.float32),
        crop_scores=sigmoid(crops["logits"]).astype(np.float32),
        crop_logits=crops["logits"].astype(np.float32),
        crop_labels=crops["labels"],
        crop_generator_ids=crops["generator_ids"],
        crop_identifiers=crops["identifiers"],
        crop_losses=crops["losses"].astype(np.float32),
        crop_to_image_index=positions,
        identifier=chosen.ids,
        pairing=chosen.pairing,
        generator_id_to_name=plan.timeline.id_to_name,
        windows_timeline=plan.windows,
        fused_multiclass_predictions=None if fused_multiclass is None else fused_multiclass.astype(np.float32),
        crop_multiclass_predictions=multiclass,
        window=window,
        benchmark_type=plan.benchmark_type,
        protocol_fingerprint=protocol_fingerprint,
        pairing_fingerprint=pairing_fingerprint(chosen.ids, chosen.pairing),
        image_key=_distinct(keys),
        data_fingerprint=None if keys is None else data_fingerprint(keys, _names(plan, chosen)),
        training_fingerprint=None if trained is None else trained.images,
        trained_windows=None if trained is None else trained.windows,
        next_generators=None if standing is None else standing.coming,
        earlier_generators=None if standing is None else standing.earlier,
        timeline=plan.timeline.title or None,
        fusion=None if fusion.kind == "mean" else canonical_json(fusion.to_record()),
        off_protocol=None if trained is None else trained.off_protocol or None,
    )


def _fitted(
    fusion: Fusion, crops: Arrays, positions: npt.NDArray[np.int64], chosen: EvaluationSet, past: list[int]
) -> Fusion:
    """A rule of fusion that is ready: a learned one is fitted on Past, the fakes of ``past`` and their paired reals."""
    if fusion.is_ready:
        return fusion
    of_past = np.isin(np.where(chosen.pairing < 0, chosen.generator_ids, chosen.pairing), past)
    if not of_past.any():
        raise SharedError(
            "model.fusion learned: no evaluated image is of a generator that the weights were trained on, so there is "
            "no Past period to fit the rule on; use mean or max"
        )
    return fusion.fitted(crops["logits"], positions, chosen.generator_ids > 0, of_past)


def _distinct(keys: Keys | None) -> Keys | None:
    """The keys, where they tell all images apart."""
    return keys if keys is not None and len(np.unique(keys)) == len(keys) else None


def _names(plan: Plan, chosen: EvaluationSet) -> list[str]:
    return [plan.timeline.id_to_name[i] for i in chosen.generator_ids.tolist()]


def _mean(values: npt.NDArray[Any], first: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Mean of each image's rows, in float64; rows of an image stand together from ``first`` on."""
    counts = np.diff(first, append=len(values)).reshape(-1, *[1] * (values.ndim - 1))
    return np.add.reduceat(values.astype(np.float64), first, axis=0) / counts


def _ordered(rows: Arrays, chosen: EvaluationSet) -> tuple[Arrays, npt.NDArray[np.int64]]:
    """Rows in evaluation order, and the position there of each one's image."""
    position_of = np.full(int(chosen.ids.max()) + 1, -1, dtype=np.int64)
    position_of[chosen.ids] = np.arange(len(chosen.ids))
    identifiers = rows["identifiers"]
    known = (identifiers >= 0) & (identifiers < len(position_of))
    positions = np.where(known, position_of[np.where(known, identifiers, 0)], -1)
    missing = np.setdiff1d(np.arange(len(chosen.ids)), positions)
    if (positions < 0).any() or len(missing):
        raise InputError(
            f"evaluation_step must return rows for the images of its batch: {int((positions < 0).sum())} rows are of "
            f"other images, {len(missing)} images have none; image_identifiers must be the batch's own"
        )
    order = np.argsort(positions, kind="stable")
    return {name: column[order] for name, column in rows.items()}, positions[order]


def fused_rows(
    detector: BaseDeepfakeDetectionModel, crops: Arrays, positions: npt.NDArray[np.int64], fusion: Fusion
) -> dict[str, npt.NDArray[np.float64]]:
    """Logits and class probabilities of whole images, from those of their crops.

    Args:
        detector: its ``scores_fusion`` counts where that is a user's.
        crops: ``logits`` (m,), and ``multiclass`` (m, n_classes) where there are classes; those of an image together.
        positions: rising number of every crop's image (m,).
        fusion: the rule where it is not.
    """
    if "multiclass" not in crops:
        return {"logits": _fused_logits(detector, crops["logits"], positions, fusion)}
    first = np.flatnonzero(np.diff(positions, prepend=-1))
    if detector.evaluation_type == "multiclass" and fusion_is_overridden(detector):
        given = _by_hook(detector, torch.from_numpy(crops["multiclass"].astype(np.float64)), first)
        if given.shape != (len(first), crops["multiclass"].shape[1]):
            raise InputError(
                f"{type(detector).__name__}.scores_fusion returned an array of shape {given.shape[1:]} for the scores "
                f"of an image's crops, (crops, {crops['multiclass'].shape[1]}); expected a number for each class"
            )
        return {"multiclass": given, "logits": logits_of(binary_of(detector, given))}
    fused = _fused_logits(detector, crops["logits"], positions, fusion)
    return {"multiclass": _mean(crops["multiclass"], first), "logits": fused}


def _fused_logits(
    detector: BaseDeepfakeDetectionModel, logits: npt.NDArray[Any], positions: npt.NDArray[np.int64], fusion: Fusion
) -> npt.NDArray[np.float64]:
    if not fusion_is_overridden(detector):
        return fusion(logits, positions)
    first = np.flatnonzero(np.diff(positions, prepend=-1))
    scores = _by_hook(detector, probabilities_of(logits), first)
    return logits_of(checked_probabilities(detector, scores, len(first), "scores_fusion"))


def _by_hook(
    detector: BaseDeepfakeDetectionModel, scores: torch.Tensor, first: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """What ``scores_fusion`` makes of each image's scores."""
    parts = torch.tensor_split(scores, torch.from_numpy(first[1:].copy()))
    return np.array([np.asarray(detector.scores_fusion(part), dtype=np.float64) for part in parts])
