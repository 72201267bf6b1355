"""Whether predictions are sound: one defect, one line."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from aigenbench.errors import InputError

if TYPE_CHECKING:
    from aigenbench.evaluation.predictions.record import Predictions


def check_predictions(p: Predictions, where: str) -> None:
    """Check that ``p`` scores every image of its evaluation set exactly once and does not contradict itself.

    Args:
        p: what to check.
        where: file name for messages.

    Raises:
        InputError: naming ``where`` and the first defect.
    """
    _check_images(p, where)
    _check_lengths(p, where)
    _check_generators(p, where)
    _check_values(p, where)


def _bad(where: str, what: str) -> InputError:
    return InputError(f"{where}: {what}")


def _check_lengths(p: Predictions, where: str) -> None:
    for field in fields(p):
        value = getattr(p, field.name)
        if not isinstance(value, np.ndarray):
            continue
        rows = len(p.crop_scores) if field.name.startswith("crop_") else len(p)
        dimensions = (1, 2) if "multiclass" in field.name else (1,)
        if value.ndim not in dimensions or len(value) != rows:
            raise _bad(where, f"{field.name} has shape {value.shape}, expected {rows} rows")
    index = p.crop_to_image_index
    if index.min() < 0 or index.max() >= len(p) or not np.bincount(index, minlength=len(p)).all():
        raise _bad(where, f"crop_to_image_index must name each of the {len(p)} images, and no other")
    for name in ("labels", "generator_ids", "identifiers"):
        if not np.array_equal(getattr(p, f"crop_{name}"), getattr(p, f"fused_{name}")[index]):
            raise _bad(where, f"crop_{name} contradicts fused_{name} through crop_to_image_index")


def _check_images(p: Predictions, where: str) -> None:
    if not len(p.identifier):
        raise _bad(where, "no predictions; expected one row an image")
    expected, found = np.sort(p.identifier), np.sort(p.fused_identifiers)
    for name, ids in (("identifier", expected), ("fused_identifiers", found)):
        doubled = np.unique(ids[1:][ids[1:] == ids[:-1]])
        if len(doubled):
            raise _bad(where, f"{len(doubled)} images stand more than once in {name}, such as {doubled[0]}")
    if p.image_key is not None and len(np.unique(p.image_key)) < len(p.image_key):
        raise _bad(where, "image_key names an image twice")
    if np.array_equal(expected, found):
        return
    missing, foreign = np.setdiff1d(expected, found), np.setdiff1d(found, expected)
    if len(missing):
        raise _bad(where, f"{len(missing)} images of the evaluation set have no score, such as {missing[0]}")
    if len(foreign):
        raise _bad(where, f"{len(foreign)} images are not in the evaluation set, such as {foreign[0]}")


def _check_generators(p: Predictions, where: str) -> None:
    names = p.generator_id_to_name
    if not names or names[0] != "" or len(set(names)) != len(names):
        raise _bad(where, 'generator_id_to_name must start with "" (real) and hold each name once')
    unknown = sorted({name for window in p.windows_timeline for name in window} - set(names))
    if unknown:
        raise _bad(where, f"windows_timeline names {unknown[0]!r}, which generator_id_to_name lacks")
    _check_training(p, where)
    _check_seen(p, where)
    fake = p.fused_labels == 1
    if not np.isin(p.fused_labels, (0, 1)).all():
        raise _bad(where, "fused_labels must be 0 (real) or 1 (fake)")
    ids = p.fused_generator_ids
    if ids.min() < 0 or ids.max() >= len(names) or p.pairing.min() < -1 or p.pairing.max() >= len(names):
        raise _bad(where, f"a generator id is outside 0..{len(names) - 1}")
    if ((ids > 0) != fake).any():
        row = int(np.flatnonzero((ids > 0) != fake)[0])
        raise _bad(where, f"image id {p.fused_identifiers[row]}: label {p.fused_labels[row]}, generator {ids[row]}")
    if ((p.paired_generators() > 0) != ~fake).any():
        raise _bad(where, "pairing must hold a generator id for every real and -1 for every fake")


def _check_training(p: Predictions, where: str) -> None:
    """Past, Next and those of no period exclude each other."""
    if p.trained_windows is None:
        return
    trained = {name for window in p.trained_windows for name in window}
    for name in ("next_generators", "earlier_generators"):
        doubled = sorted(trained.intersection(getattr(p, name) or ()))
        if doubled:
            raise _bad(where, f"{doubled[0]!r} stands both in trained_windows and in {name}")


def _check_seen(p: Predictions, where: str) -> None:
    """What a detector of no run of the protocol had seen is among the generators, and is said by that one alone."""
    if p.seen_generators is None:
        return
    if p.knowledge is None:
        raise _bad(where, "seen_generators stands without knowledge, which says how they are known")
    unknown = sorted(set(p.seen_generators) - set(p.generator_id_to_name[1:]))
    if unknown:
        raise _bad(where, f"seen_generators names {unknown[0]!r}, which generator_id_to_name lacks")


def _check_values(p: Predictions, where: str) -> None:
    for name in ("fused_scores", "crop_scores", "fused_logits", "crop_logits"):
        values = getattr(p, name)
        if values is None:
            continue
        broken = ~np.isfinite(values) if name.endswith("logits") else ~((values >= 0) & (values <= 1))
        if broken.any():
            row = int(np.flatnonzero(broken)[0])
            wanted = "finite" if name.endswith("logits") else "in 0..1"
            ids = p.crop_identifiers if name.startswith("crop_") else p.fused_identifiers
            found = f"{values[row]} in row {row}, image id {ids[row]}"
            raise _bad(where, f"{int(broken.sum())} of {name} are not {wanted}, such as {found}")
    try:
        p.rule_of_fusion()
    except (LookupError, TypeError, ValueError) as error:
        raise _bad(where, f"fusion is no rule of fusion: {error}") from error
