"""The images that experiments share, and what is drawn together (protocol section 4, Identity)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions
from aigenbench.evaluation.predictions.record import Predictions
from aigenbench.evaluation.statistics.draws import Pairs, pair_up

_NAMED = 3


@dataclass(frozen=True)
class Shared:
    """Experiments on the images that all of them hold.

    Attributes:
        experiments: with the predictions of those images.
        units: for each, what is drawn together: the same numbers stand for the same images in all of them.
        notes: how images were found in one another's results, one line each.
    """

    experiments: tuple[ExperimentPredictions, ...]
    units: tuple[Pairs, ...]
    notes: tuple[str, ...]


def shared_images(experiments: Sequence[ExperimentPredictions], by_row: bool = False) -> Shared:
    """Find each image of every experiment in the others.

    By ``image_key``; by row number where a file has none, if both come from one data set by its fingerprint or the
    user says so. Where all hold the same images with the same pairing, a fake and its real are drawn together; else
    every image is drawn by itself, fakes within their generator, and each experiment keeps its own periods.

    Args:
        experiments: two or more.
        by_row: whether the user says that all were evaluated on one copy of the data.

    Raises:
        InputError: they share no image, disagree on an image's generator, or nothing says which images they hold.
    """
    keys = [e.first.image_key for e in experiments]
    known = [key for key in keys if key is not None]
    if by_row or len(known) < len(keys):
        return _by_row(experiments, by_row)
    common = known[0]
    for key in known[1:]:
        common = np.intersect1d(common, key)
    if not len(common):
        raise InputError(f"{_names(experiments)} share no image: nothing of them can be compared")
    kept = [np.isin(key, common) for key in known]
    notes = []
    if not all(of_one.all() for of_one in kept):
        held = ", ".join(f"{len(key):,} of {e.name}" for e, key in zip(experiments, known, strict=True))
        notes.append(f"compared on the {len(common):,} images that all hold ({held}){_left_out(experiments, kept)}")
    restricted = tuple(_restricted(e, mask) for e, mask in zip(experiments, kept, strict=True))
    positions = [np.argsort(_keys_of(e.first)) for e in restricted]
    _check_generators(restricted, positions)
    pairing = [e.first.pairing[order] for e, order in zip(restricted, positions, strict=True)]
    others = sum(int((p != pairing[0]).sum()) for p in pairing[1:])
    if not notes and not others:
        return Shared(restricted, _pairs(restricted, positions), ())
    if others:
        notes.append(f"{others:,} reals are paired with another generator's fakes: each experiment keeps its periods")
    return Shared(restricted, _single(restricted, positions), tuple(notes))


def _by_row(experiments: Sequence[ExperimentPredictions], said: bool) -> Shared:
    first = experiments[0]
    for other in experiments[1:]:
        one_set = first.first.data_fingerprint is not None and first.first.data_fingerprint == (
            other.first.data_fingerprint
        )
        if not (said or one_set):
            raise InputError(
                f"{first.name} and {other.name}: a result without image_key does not say which images it is of; if "
                "both were evaluated on one copy of the data, `aigenbench compare --by-row` pairs them by row number"
            )
        for name in ("identifier", "pairing"):
            if not np.array_equal(getattr(first.first, name), getattr(other.first, name)):
                raise InputError(
                    f"{first.name} and {other.name} differ in {name}: only rows of one copy of the data, evaluated "
                    "with the same pairing, can be paired by number"
                )
    units = pair_up(first.first)
    return Shared(tuple(experiments), (units,) * len(experiments), ("images are paired by row number, not by key",))


def _keys_of(p: Predictions) -> NDArray[np.uint64]:
    assert p.image_key is not None, "asked for only where all have keys"
    return p.image_key


def _names(experiments: Sequence[ExperimentPredictions]) -> str:
    return " and ".join(e.name for e in experiments)


def _left_out(experiments: Sequence[ExperimentPredictions], kept: Sequence[NDArray[np.bool_]]) -> str:
    """The first images that are left out, by their rows."""
    told = []
    for e, mask in zip(experiments, kept, strict=True):
        rows = e.first.identifier[~mask]
        if len(rows):
            more = f" and {len(rows) - _NAMED:,} more" if len(rows) > _NAMED else ""
            told.append(f"rows {', '.join(map(str, rows[:_NAMED]))}{more} of {e.name}")
    return f"; left out: {'; '.join(told)}" if told else ""


def _restricted(experiment: ExperimentPredictions, kept: NDArray[np.bool_]) -> ExperimentPredictions:
    if kept.all():
        return experiment
    return replace(experiment, windows={k: p.of_images(kept) for k, p in experiment.windows.items()})


def _check_generators(experiments: Sequence[ExperimentPredictions], positions: Sequence[NDArray[np.intp]]) -> None:
    first = experiments[0].first.generators()[positions[0]]
    for other, order in zip(experiments[1:], positions[1:], strict=True):
        wrong = np.flatnonzero(other.first.generators()[order] != first)
        if len(wrong):
            a, b = (int(e.first.identifier[at[wrong[0]]]) for e, at in ((experiments[0], positions[0]), (other, order)))
            raise InputError(
                f"{experiments[0].name} and {other.name} disagree on the generator of {len(wrong)} images, such as row "
                f"{a} of the one and row {b} of the other"
            )


def _pairs(experiments: Sequence[ExperimentPredictions], positions: Sequence[NDArray[np.intp]]) -> tuple[Pairs, ...]:
    """The first experiment's pairs of a fake and a real, in the order of each."""
    first = pair_up(experiments[0].first)
    by_key = first.of_image[positions[0]]
    units = []
    for order in positions:
        of_image = np.empty_like(by_key)
        of_image[order] = by_key
        units.append(Pairs(of_image, first.strata))
    return tuple(units)


def _single(experiments: Sequence[ExperimentPredictions], positions: Sequence[NDArray[np.intp]]) -> tuple[Pairs, ...]:
    """Every image by itself: reals in one stratum, whose periods may differ, and a stratum for each generator."""
    generators = experiments[0].first.generators()[positions[0]]
    order = np.argsort(generators, kind="stable")
    unit_of_key = np.empty(len(order), dtype=np.int64)
    unit_of_key[order] = np.arange(len(order))
    units = []
    for position in positions:
        of_image = np.empty(len(order), dtype=np.int64)
        of_image[position] = unit_of_key
        units.append(Pairs(of_image, generators[order]))
    return tuple(units)
