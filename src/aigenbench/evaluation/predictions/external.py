"""Predictions made by other code: a CSV file and the generators of the data set's rows are enough."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aigenbench.config.folder import predictions_file
from aigenbench.csv_files import read_csv
from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.fusion import log_sigmoid, sigmoid
from aigenbench.evaluation.predictions.record import Predictions, save_predictions
from aigenbench.files import user_path
from aigenbench.protocol.fingerprints import pairing_fingerprint
from aigenbench.protocol.identity import Keys, data_fingerprint
from aigenbench.protocol.pairing import EvaluationSet, evaluation_set
from aigenbench.protocol.published import GENERATORS_PER_WINDOW
from aigenbench.protocol.timeline import PUBLISHED, Timeline
from aigenbench.protocol.windows import check_benchmark_type, generator_windows

COLUMNS = ("image_id", "window", "score")
OPTIONAL = "logit"

logger = logging.getLogger(__name__)


def import_csv(
    path: Path | str,
    generators: Sequence[str],
    folder: Path | str,
    present: Sequence[str] = (),
    n_generators_per_window: int = GENERATORS_PER_WINDOW,
    timeline: Timeline = PUBLISHED,
    benchmark_type: str = "cumulative",
    keys: Keys | None = None,
) -> list[int]:
    """Turn a CSV file of predictions into an experiment's folder.

    Args:
        path: CSV with the columns ``image_id`` (row number in the evaluation split), ``window`` (the window
            trained last, from 0), ``score`` (probability of being fake, 0..1) and, where wanted, ``logit``.
        generators: generator name of every row of the evaluation split, "" for a real.
        folder: where ``window_<k>/predictions_validate_all.npz`` are written.
        present: generator names that other splits hold; the windows are cut from all that are there.
        n_generators_per_window: as of the protocol.
        timeline: the generators and their dates.
        benchmark_type: how the detector was trained, ``cumulative`` or ``continual_learning``.
        keys: of every row of the evaluation split, uint64, where the data set names its images.

    Returns:
        The windows written. Rows of images that the balanced evaluation set leaves out are ignored.

    Raises:
        InputError: a column is missing, a value is none, an image is missing, doubled or foreign.
    """
    check_benchmark_type(benchmark_type)
    used = timeline.restricted_to({*generators, *present})
    if not used.generators:
        raise InputError(f"{path}: none of the data set's generators is on the timeline")
    windows = generator_windows(used, n_generators_per_window)
    evaluation = evaluation_set(np.array([used.ids.get(name, -1) for name in generators], dtype=np.int64))
    rows = _read(user_path(path), len(generators), len(windows))
    # a window that lacks an image is told before any is written
    chosen = {k: _chosen(rows[k], evaluation, f"{path}: window {k}") for k in sorted(rows)}
    identity: dict[str, Any] = {}
    if keys is not None:
        identity["image_key"] = keys[evaluation.ids]
        identity["data_fingerprint"] = data_fingerprint(keys[evaluation.ids], [generators[i] for i in evaluation.ids])
    for k, scores in chosen.items():
        save_predictions(
            user_path(folder) / f"window_{k}" / predictions_file("validate"),
            replace(_predictions(scores, evaluation, used, windows, k), benchmark_type=benchmark_type, **identity),
        )
    return list(chosen)


def predictions_of_logits(
    logits: NDArray[np.float64],
    crop_logits: NDArray[np.float64],
    crops: NDArray[np.int64],
    evaluation: EvaluationSet,
    timeline: Timeline,
    windows: tuple[tuple[str, ...], ...],
) -> Predictions:
    """The predictions that one detector makes, whatever the window.

    Args:
        logits: one an image, in evaluation order, (n,).
        crop_logits: one a crop, those of an image together, (m,).
        crops: how many crops each image has, (n,).
        evaluation: the images.
        timeline: the generators of the data set.
        windows: generator names of every window.
    """
    made = _predictions(np.stack([sigmoid(logits), logits], axis=1), evaluation, timeline, windows, 0)
    index, first = np.repeat(np.arange(len(logits)), crops), np.cumsum(crops) - crops
    losses = -log_sigmoid(np.where(made.fused_labels[index] == 1, 1.0, -1.0) * crop_logits)
    return replace(
        made,
        window=None,
        fused_losses=(np.add.reduceat(losses, first) / crops).astype(np.float32),
        crop_scores=sigmoid(crop_logits).astype(np.float32),
        crop_logits=crop_logits.astype(np.float32),
        crop_losses=losses.astype(np.float32),
        crop_labels=made.fused_labels[index],
        crop_generator_ids=made.fused_generator_ids[index],
        crop_identifiers=made.fused_identifiers[index],
        crop_to_image_index=index,
    )


Scores = dict[int, tuple[float, float]]


def _read(path: Path, n_images: int, n_windows: int) -> dict[int, Scores]:
    windows: dict[int, Scores] = {}
    with_logits: set[bool] = set()
    for line, image_id, window, score, logit in _lines(path):
        where = f"{path}, line {line}"
        if not 0 <= image_id < n_images:
            raise InputError(f"{where}: no image {image_id}; the evaluation split has rows 0..{n_images - 1}")
        if not 0 <= window < n_windows:
            raise InputError(f"{where}: no window {window}; there are 0..{n_windows - 1}")
        if not 0 <= score <= 1:
            raise InputError(f"{where}: score must be in 0..1, found {score}")
        if logit is not None and not np.isfinite(logit):
            raise InputError(f"{where}: logit must be finite, found {logit}")
        known = windows.setdefault(window, {})
        if image_id in known:
            raise InputError(f"{where}: image {image_id} stands twice in window {window}")
        with_logits.add(logit is not None)
        known[image_id] = (score, np.nan if logit is None else logit)
    if not windows:
        raise InputError(f"{path}: no predictions; expected one line an image and window")
    if len(with_logits) > 1:
        raise InputError(f"{path}: some lines have a logit and some have none; give all or none")
    return windows


def _lines(path: Path) -> Iterator[tuple[int, int, int, float, float | None]]:
    for line, row in read_csv(path, COLUMNS).rows:
        try:
            logit = float(row[OPTIONAL]) if row.get(OPTIONAL) else None
            yield line, int(row["image_id"]), int(row["window"]), float(row["score"]), logit
        except ValueError:
            raise InputError(f"{path}, line {line}: not numbers: {list(row.values())}") from None


def _chosen(known: Scores, evaluation: EvaluationSet, where: str) -> NDArray[np.float64]:
    ids = evaluation.ids.tolist()
    missing = [i for i in ids if i not in known]
    if missing:
        raise InputError(f"{where}: {len(missing)} images of the evaluation set have no score, such as {missing[0]}")
    if len(known) > len(ids):
        logger.info("%s: %d images outside the balanced evaluation set are ignored", where, len(known) - len(ids))
    return np.array([known[i] for i in ids], dtype=np.float64)


def _predictions(
    chosen: NDArray[np.float64],
    evaluation: EvaluationSet,
    timeline: Timeline,
    windows: tuple[tuple[str, ...], ...],
    window: int,
) -> Predictions:
    scores, logits = chosen[:, 0].astype(np.float32), chosen[:, 1].astype(np.float32)
    known = None if np.isnan(logits).any() else logits
    labels = (evaluation.generator_ids > 0).astype(np.int64)
    eps = float(np.finfo(np.float32).eps)
    p = np.clip(chosen[:, 0], eps, 1 - eps)
    margins = np.where(labels == 1, 1.0, -1.0) * (np.log(p / (1 - p)) if known is None else logits)
    values: dict[str, Any] = {
        "scores": scores,
        "labels": labels,
        "generator_ids": evaluation.generator_ids,
        "identifiers": evaluation.ids,
        "losses": -log_sigmoid(margins).astype(np.float32),
    }
    return Predictions(
        **{f"fused_{name}": value for name, value in values.items()},
        **{f"crop_{name}": value for name, value in values.items()},
        crop_to_image_index=np.arange(len(labels)),
        identifier=evaluation.ids,
        pairing=evaluation.pairing,
        generator_id_to_name=timeline.id_to_name,
        windows_timeline=windows,
        fused_logits=known,
        crop_logits=known,
        window=window,
        timeline=timeline.title or None,
        pairing_fingerprint=pairing_fingerprint(evaluation.ids, evaluation.pairing),
    )
