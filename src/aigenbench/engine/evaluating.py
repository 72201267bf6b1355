"""Anybody's detector in the protocol: the evaluation images scored once, and ordinary predictions for every window."""

from __future__ import annotations

import logging
import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from aigenbench import __version__
from aigenbench.config.folder import predictions_file
from aigenbench.data.samples.loading import usable_processors
from aigenbench.data.sources.mark import is_synthetic
from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.experiment import read_record, record_path, window_folder
from aigenbench.evaluation.predictions.record import save_predictions
from aigenbench.evaluation.predictions.standing import SYNTHETIC
from aigenbench.files import readable_name, user_path, write_json
from aigenbench.inference.detector import device_named
from aigenbench.inference.external.functions import FunctionScorer
from aigenbench.inference.external.images import STAGE, EvaluationImages, open_images
from aigenbench.inference.external.opening import Reading, open_scorer
from aigenbench.inference.external.parts import IDENTITY, Parts, differing
from aigenbench.inference.external.scorer import Scorer
from aigenbench.inference.external.scoring import PART_SECONDS, Effort, score_images
from aigenbench.protocol.knowledge import UNKNOWN, Knowledge, known_generators, known_until
from aigenbench.protocol.published import GENERATORS_PER_WINDOW
from aigenbench.protocol.timeline import Timeline, load_timeline

if TYPE_CHECKING:
    from aigenbench.engine.experiment import Experiment

SCORING = "scoring"
"""Where scores lie in the experiment's folder until all images have one."""

logger = logging.getLogger(__name__)


def evaluate(
    detector: Path | str | Callable[..., Any],
    dataset_path: Path | str,
    output: Path | str | None = None,
    knows_until: str | None = None,
    trained_on: Sequence[str] | None = None,
    scores: str | None = None,
    fake_labels: Sequence[str] = (),
    weights: Path | str | None = None,
    as_is: bool = False,
    device: str = "auto",
    batch_size: int = 32,
    workers: int | None = None,
    timeline: Path | str | None = None,
    n_generators_per_window: int = GENERATORS_PER_WINDOW,
    follow_links: bool = False,
    part_seconds: float = PART_SECONDS,
) -> Experiment:
    """Score the evaluation images with any detector, once, and write predictions for every window.

    Killed anywhere, the same call goes on. Results say that no run of the protocol has trained the detector, and which
    generators it had seen, as far as that is said.

    Args:
        detector: an exported folder; a folder of an image classifier of transformers or timm; ``timm/NAME``;
            ``FILE.py:NAME``; or a function, from a list of PIL images to as many numbers.
        dataset_path: the data set.
        output: the experiment's folder; None takes ``experiments_data/experiment_<detector>``.
        knows_until: ``YYYY-MM-DD``, ``YYYY-MM`` or ``YYYY``: generators released up to then count as seen.
        trained_on: the generators that count as seen.
        scores: of a function: ``probability`` (default) or ``logit``.
        fake_labels: of a classifier: its labels that stand for fake, where their names do not tell.
        weights: of ``timm/NAME``: the file.
        as_is: without the mandatory evaluation steps; such results compare with none after them.
        device: ``auto``, ``cpu``, ``cuda``, ``mps``, or several with commas: ``cuda:0,cuda:1``; a function chooses its
            own.
        batch_size: images at a time.
        workers: loader processes; None takes one a usable processor, at most 8.
        timeline: generators of one's own, see ``load_timeline``.
        n_generators_per_window: of the windows.
        follow_links: let the data set lead outside its folder.
        part_seconds: how long scores may be unsaved.

    Raises:
        InputError: bad input; an image cannot be read or scored; or ``output`` holds something else.
    """
    from aigenbench.engine.experiment import Experiment

    if batch_size < 1 or (workers is not None and workers < 0):
        raise InputError(f"expected a batch size of at least 1 and no negative workers, found {batch_size}, {workers}")
    devices = tuple(device_named(name.strip()) for name in device.split(","))
    dated = load_timeline(timeline)
    said = _knowledge(knows_until, trained_on, dated)
    images = open_images(dataset_path, dated, n_generators_per_window, as_is, follow_links)
    reading = Reading(scores, tuple(fake_labels), None if weights is None else user_path(weights))
    scorer = open_scorer(detector, reading)
    if isinstance(scorer, FunctionScorer) and device != "auto":
        raise InputError("--device says nothing of a function, which chooses its own; leave it out")
    knowledge = _settled(scorer, said)
    default = Path("experiments_data") / f"experiment_{readable_name(scorer.name)}"
    folder = default if output is None else user_path(output)
    record = _record(scorer, images, knowledge)
    if not _is_finished(folder, images, record):
        effort = Effort(devices, batch_size, usable_processors() if workers is None else workers, part_seconds)
        _score(folder, scorer, images, knowledge, effort, record)
    return Experiment(folder)


def _knowledge(until: str | None, trained_on: Sequence[str] | None, timeline: Timeline) -> Knowledge:
    if until is not None and trained_on is not None:
        raise InputError("--knows-until and --trained-on are two ways to say what a detector knows; give one of them")
    if until is not None:
        return known_until(until)
    return Knowledge() if trained_on is None else known_generators(trained_on, timeline)


def _settled(scorer: Scorer, said: Knowledge) -> Knowledge:
    if scorer.knowledge is not None:
        if said != Knowledge():
            raise InputError(
                f"{scorer.place} says itself that it was {scorer.knowledge.said}; leave --knows-until and --trained-on "
                "out"
            )
        return scorer.knowledge
    if said.said == UNKNOWN:
        logger.warning(
            "nothing is said of what %s has seen, so results say that it is unknown; say it with --knows-until DATE or "
            "--trained-on A,B",
            scorer.name,
        )
    return said


def _record(scorer: Scorer, images: EvaluationImages, knowledge: Knowledge) -> dict[str, Any]:
    """By what the same evaluation is known again."""
    return {
        "detector": dict(scorer.identity),
        "protocol_fingerprint": images.fingerprint,
        "images": images.digest,
        "knowledge": knowledge.said,
        "seen_generators": _listed(knowledge.seen(images.plan.timeline)),
    }


def _listed(names: Sequence[str] | None) -> list[str] | None:
    return None if names is None else list(names)


def _is_finished(folder: Path, images: EvaluationImages, record: Mapping[str, Any]) -> bool:
    """Whether all predictions are there.

    Raises:
        InputError: the folder holds something else.
    """
    if not folder.exists():
        return False
    if not folder.is_dir():
        raise InputError(f"{folder} is a file; give a folder with -o")
    paths = [_path(folder, k) for k in range(len(images.plan.windows))]
    marks = [folder / SCORING / IDENTITY, *map(record_path, paths)]
    others = [one.name for one in sorted(folder.iterdir()) if one.name != SCORING and not one.name.startswith(".")]
    if others and not any(mark.is_file() for mark in marks):
        raise InputError(
            f"{folder} is there already and holds {others[0]}, which is no such evaluation's; give another -o"
        )
    for path in paths:
        there = read_record(path)
        if there is not None and (other := differing(there.get("evaluation") or {}, record)):
            raise InputError(f"{folder} holds the results of another evaluation ({other}); give another -o")
    if not all(path.is_file() for path in paths):
        return False
    # it may have been killed at the removal
    shutil.rmtree(folder / SCORING, ignore_errors=True)
    logger.info("%s: all images were scored before", folder)
    return True


def _score(
    folder: Path,
    scorer: Scorer,
    images: EvaluationImages,
    knowledge: Knowledge,
    effort: Effort,
    record: Mapping[str, Any],
) -> None:
    began = datetime.now(UTC)
    parts = Parts(folder / SCORING, record)
    n, windows = len(images), len(images.plan.windows)
    logger.info("%s: %d images, %d windows, protocol fingerprint %s", folder, n, windows, images.fingerprint)
    scored = score_images(scorer, images.samples, parts, effort, images.name)
    predictions = replace(images.predictions(scored, knowledge), off_protocol=scorer.off_protocol or None)
    beside = {
        "stage": STAGE,
        "own": False,
        "weights": scorer.place,
        "weights_sha256": scorer.sha256,
        "data": str(images.source.absolute()),
        "date": began.isoformat(timespec="seconds"),
        "evaluation": dict(record),
        "run": _run(images, effort, began),
    }
    for k in range(windows):
        # first, as a result without its record would be taken for a fit's own
        write_json(record_path(_path(folder, k)), {**beside, "window": k})
        save_predictions(_path(folder, k), replace(predictions, window=k))
    parts.remove()


def _run(images: EvaluationImages, effort: Effort, began: datetime) -> dict[str, Any]:
    """What ``run.json`` is for a training."""
    return {
        "started": began.isoformat(timespec="seconds"),
        "aigenbench": __version__,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("torch", "numpy", "pillow", "opencv-python-headless")},
        "threads": torch.get_num_threads(),
        "device": ", ".join(map(str, effort.devices)),
        **({"data": SYNTHETIC} if is_synthetic(images.source) else {}),
    }


def _path(folder: Path, window: int) -> Path:
    return window_folder(folder, window) / predictions_file(STAGE)
