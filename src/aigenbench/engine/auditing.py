"""An audit of a data set, and of what a config's steps do to its images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aigenbench.config.layer import argument_layer
from aigenbench.curation.audit.auditing import Audit
from aigenbench.curation.audit.auditing import audit as audit_images
from aigenbench.curation.audit.findings import Finding, Foreign
from aigenbench.curation.audit.steps import Came, relabelled, tried_images, uneven
from aigenbench.curation.inspection import Progress, no_progress
from aigenbench.data.sources.opening import open_images
from aigenbench.data.sources.tables import SplitTables
from aigenbench.engine.assembly.request import request
from aigenbench.engine.assembly.run import Run
from aigenbench.engine.calling import as_a_call
from aigenbench.errors import InputError
from aigenbench.protocol.timeline import load_timeline

if TYPE_CHECKING:
    from aigenbench.data import AIGenBenchPipeline
    from aigenbench.training import BaseDeepfakeDetectionModel

COPIES = 2
"""So many copies of every training image are tried."""
# neither weights nor an accelerator change what is done to images
_ANYWHERE = {
    "model.model_args.pretrained": "false",
    "trainer.accelerator": "cpu",
    "trainer.devices": "1",
    "trainer.num_nodes": "1",
    "trainer.strategy": "auto",
    "trainer.precision": "32-true",
}


def audit(
    place: Path | str,
    timeline: Path | str | None = None,
    foreign: Mapping[str, Foreign] | None = None,
    workers: int = 1,
    progress: Progress = no_progress,
    work: Path | str | None = None,
    configs: Sequence[str | Path | Mapping[str, Any]] = (),
    imports: Sequence[str] = (),
    follow_links: bool = False,
) -> Audit:
    """Look at every image of a data set once, and say what is wrong with them.

    Args:
        place: a saved data set, Parquet shards, or a folder with ``index.csv``.
        timeline: a file of generators and release dates, by which they belong to windows; None takes the published one.
        foreign: lists of other training sets, by name; see ``read_foreign``.
        workers: processes.
        progress: called with what is being done, how much of it is done, and how much there is.
        work: folder that keeps what was seen until the audit is done: one that was killed goes on where it was.
        configs: layers of configuration, as of ``fit``: the steps of its pipeline and detector are tried on some of
            the images under their own labels and under others, and must do the same.
        imports: Python files or modules that these name.
        follow_links: read files outside the data set's folder too.

    Raises:
        InputError: no data set, or one without images; ``work`` holds something else; or anything wrong with a config.
    """
    if imports and not configs:
        raise InputError(f"import {imports[0]}: no config is given that could name what is in it")
    dated, source = load_timeline(timeline), open_images(place, follow_links)
    uneven_steps = _uneven_steps(source, configs, imports, progress) if configs else []
    found = audit_images(place, dated, foreign, workers, progress, work, follow_links)
    return replace(
        found, findings=tuple(sorted([*uneven_steps, *found.findings], key=lambda one: one.weight != "error"))
    )


def _uneven_steps(
    source: SplitTables, configs: Sequence[Any], imports: Sequence[str], progress: Progress
) -> list[Finding]:
    layers = [argument_layer(key, value) for key, value in _ANYWHERE.items()]
    with as_a_call():
        run = request(configs, [*(argument_layer("imports+", item) for item in imports), *layers]).run("fit")
        pipeline = run.instantiate_data()
        makers = type(pipeline).__name__, run.config["model"]["class_path"].rpartition(".")[2]
        tables = tried_images(source, pipeline.timeline.names)
        told = "trying the config"
        progress(told, 0, 2)
        own = dict(_outcomes(run, tables))
        progress(told, 1, 2)
        other = dict(_outcomes(run, relabelled(tables)))
        progress(told, 2, 2)
        if other == own:
            return []
        # what differs from one time to the next says nothing of labels
        return uneven(tables, own, dict(_outcomes(run, tables)), other, makers)


def _outcomes(run: Run, tables: SplitTables) -> Iterator[tuple[tuple[str, int, int], Came]]:
    """How every image comes out of pipeline and detector, alone in its batch."""
    from lightning.pytorch import Trainer

    from aigenbench.training.lightning.trainers import quiet_lightning
    from aigenbench.training.window.inputs import make_detector, prepare_detector, seed_of

    pipeline: AIGenBenchPipeline = run.instantiate_data()
    pipeline.source = tables
    pipeline.num_workers, pipeline.train_batch_size, pipeline.eval_batch_size = 0, 1, 1
    pipeline.train_subset_size = pipeline.validation_subset_size = None
    pipeline.augmentation_factor = min(pipeline.augmentation_factor, COPIES)
    pipeline.views.cache = "none"
    # an autoencoder is not told labels
    pipeline.reconstruct = None
    detector = make_detector(run, seed_of(run.config))
    # the others are absent from the images that are tried, not from the data set
    pipeline.timeline = pipeline.timeline.restricted_to(tables.generator_names)
    plan = pipeline.plan(benchmark_type="none")
    prepare_detector(run, pipeline, plan, detector, seed_of(run.config))
    quiet_lightning()
    trainer: Any = pipeline.trainer or Trainer(accelerator="cpu", devices=1, logger=False, enable_checkpointing=False)
    trainer.datamodule = pipeline
    pipeline.trainer = detector.trainer = trainer
    rows, copies = range(len(plan.training.rows(0))), range(pipeline.augmentation_factor)
    batches: Any = [[(row, copy, 0)] for row in rows for copy in copies]
    trainer.training = True
    yield from _came("train", detector, pipeline.training_loader(plan, detector, batches, 0))
    trainer.validating = True
    yield from _came("validation", detector, pipeline.evaluation_loader(plan, detector, "validate"))


def _came(split: str, detector: BaseDeepfakeDetectionModel, loader: Any) -> Iterator[tuple[tuple[str, int, int], Came]]:
    import torch

    from aigenbench.data.samples.randomness import seeded

    times: dict[int, int] = {}
    served = iter(loader)
    for _ in range(len(loader)):
        with seeded(_of(0)):
            batch = next(served)
        image, sample = int(batch.image_ids[0]), _digest(batch)
        times[image] = times.get(image, 0) + 1
        with seeded(_of(image * COPIES + times[image])):
            batch = detector.on_before_batch_transfer(batch, 0)
            batch = detector.transfer_batch_to_device(batch, torch.device("cpu"), 0)
            batch = detector.on_after_batch_transfer(batch, 0)
        yield (split, image, times[image]), Came(sample, _digest(batch))


def _of(number: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=number))


def _digest(batch: Any) -> bytes:
    images = batch[0].detach().cpu().contiguous()
    return hashlib.sha256(repr((images.shape, images.dtype)).encode() + images.numpy().tobytes()).digest()
