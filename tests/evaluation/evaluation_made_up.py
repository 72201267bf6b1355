"""Predictions made up for tests."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np

from aigenbench.evaluation.predictions.record import Predictions, save_predictions
from aigenbench.protocol.identity import image_keys

WINDOWS = (("A", "B"), ("C", "D"), ("E",))


def made_up(
    n_per_generator: int = 20,
    windows: tuple[tuple[str, ...], ...] = WINDOWS,
    window: int | None = 0,
    seed: int = 0,
    separation: float = 1.5,
    crops: int = 1,
) -> Predictions:
    """Predictions of a detector that separates what it was trained on better than what comes later."""
    names = [name for w in windows for name in w]
    ids_of = {name: i for i, name in enumerate(["", *sorted(names)])}
    rng = np.random.default_rng(99)
    n_fake = n_per_generator * len(names)
    generators = np.concatenate([np.zeros(n_fake, int), np.repeat([ids_of[n] for n in names], n_per_generator)])
    order = rng.permutation(2 * n_fake)
    generators = generators[order].astype(np.int64)
    labels = (generators > 0).astype(np.int64)
    reals = np.flatnonzero(labels == 0).tolist()
    random.Random(1341).shuffle(reals)
    pairing = np.full(len(labels), -1, dtype=np.int64)
    pairing[reals] = generators[labels == 1]
    trained = {ids_of[name] for w in windows[: (window or 0) + 1] for name in w}
    gain = np.where(np.isin(generators, list(trained)), separation, separation / 2) * labels
    noise = np.random.default_rng(seed + 1000 * (window or 0))
    common = np.random.default_rng(5).normal(size=len(labels))
    logits = (gain - separation / 2 + 0.7 * common + 0.7 * noise.normal(size=len(labels))).astype(np.float32)
    crop_logits = np.repeat(logits, crops)
    scores = (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32)
    index = np.repeat(np.arange(len(labels)), crops)
    ids = (3 * order + 1).astype(np.int64)
    losses = np.where(labels == 1, -np.log(scores), -np.log1p(-scores)).astype(np.float32)
    fused = {"scores": scores, "labels": labels, "generator_ids": generators, "identifiers": ids, "losses": losses}
    return Predictions(
        **{f"fused_{k}": v for k, v in fused.items()},
        **{f"crop_{k}": v[index] for k, v in fused.items()},
        crop_to_image_index=index,
        identifier=ids,
        pairing=pairing,
        generator_id_to_name=("", *sorted(names)),
        windows_timeline=windows,
        fused_logits=logits,
        crop_logits=crop_logits,
        window=window,
        benchmark_type="cumulative",
        protocol_fingerprint="0123456789abcdef",
        pairing_fingerprint="fedcba9876543210",
        image_key=image_keys(f"made up/{row}" for row in ids.tolist()),
        data_fingerprint="0f1e2d3c4b5a6978",
    )


def write_experiment(folder: Path, windows: int = len(WINDOWS), **kwargs: object) -> Path:
    """An experiment's folder with made-up predictions."""
    for k in range(windows):
        predictions = made_up(window=k, **kwargs)  # type: ignore[arg-type]
        save_predictions(folder / f"window_{k}" / "predictions_validate_all.npz", predictions)
    return folder


def without_additions(p: Predictions) -> Predictions:
    """As a file of the older layout gives it."""
    return replace(
        p,
        fused_logits=None,
        crop_logits=None,
        window=None,
        benchmark_type=None,
        protocol_fingerprint=None,
        pairing_fingerprint=None,
        image_key=None,
        data_fingerprint=None,
        schema_version=0,
    )
