"""Contact sheets of a data set, under a run's configuration or without one."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aigenbench.config.layer import layer
from aigenbench.engine.assembly.request import Request, request
from aigenbench.engine.calling import as_a_call
from aigenbench.engine.calls import Config, Overrides, request_of
from aigenbench.errors import InputError
from aigenbench.files import user_path

if TYPE_CHECKING:
    from aigenbench.curation.showing.tiles import Model
    from aigenbench.data.pipeline import AIGenBenchPipeline

BASELINE = (
    "benchmark_pipelines/base_benchmark_sliding_windows.yaml",
    {"model": {"model_name": "small_cnn_tune", "model_args": {"pretrained": False}}},
)
"""What a model gets by the benchmark's defaults; which model it is changes nothing in its input."""
_STAGES = {"train": "fit", "validation": "validate", "test": "test"}


@dataclass(frozen=True)
class Wanted:
    """What a sheet is asked to show; see ``show``."""

    dataset: str | None
    split: str = "train"
    generators: Sequence[str] = ()
    index: Sequence[int] = ()
    count: int | None = None
    seed: int = 0
    timeline: str | None = None
    follow_links: bool = False


def show(
    dataset: Path | str,
    *configs: Config,
    output: Path | str = "contact_sheet.png",
    split: str = "train",
    generators: Sequence[str] = (),
    index: Sequence[int] = (),
    count: int | None = None,
    augmented: bool = False,
    seed: int = 0,
    timeline: Path | str | None = None,
    follow_links: bool = False,
    overrides: Overrides = None,
    detector: Callable[..., Any] | None = None,
) -> Path:
    """Write a contact sheet: images as stored, after the mandatory steps, and as a model gets them.

    The tiles are the samples that a run reads, made by the code that makes them there.

    Args:
        dataset: the data set.
        configs: layers of a run's configuration, as of ``fit``; with them, its model's input is shown.
        output: a file that ends in ``.png`` or ``.html``.
        split: ``train``, ``validation`` or ``test``.
        generators: images of these alone, ``real`` for real ones.
        index: rows to show, in place of drawn ones.
        count: how many to draw, evenly over generators; None takes 8.
        augmented: show the input of a model by the benchmark's defaults, where no configuration is given.
        seed: of the draw.
        timeline: a file of generators and release dates; None takes the published one, or the configuration's.
        follow_links: read files outside the data set's folder too.
        overrides: as of ``fit``.
        detector: as of ``fit``.

    Returns:
        The file.

    Raises:
        InputError: anything wrong with what was given, or with the data.
    """
    asked = request_of(configs, overrides, detector) if configs or overrides or detector else None
    lines = None if timeline is None else os.fspath(timeline)
    wanted = Wanted(os.fspath(dataset), split, generators, index, count, seed, lines, follow_links)
    return write_contact_sheet(wanted, user_path(output), asked, augmented)


def write_contact_sheet(wanted: Wanted, output: Path, asked: Request | None, augmented: bool = False) -> Path:
    """``show``, of a request for a run; None shows the model's input by the defaults, if that is ``augmented``."""
    from aigenbench.curation.showing.sheet import Sheet, check_suffix, write_sheet

    check_suffix(output)
    if wanted.split not in _STAGES:
        raise InputError(f"split: one of {', '.join(_STAGES)}, found {wanted.split!r}")
    about = "the run that the configuration describes" if asked else "a run by the benchmark's defaults"
    if asked is None and augmented:
        asked = request(BASELINE)
    with as_a_call():
        from aigenbench.curation.showing.choosing import choose
        from aigenbench.curation.showing.tiles import show_images, usable_rows

        pipeline, model = _of_a_run(wanted, asked) if asked is not None else (_by_default(wanted), None)
        table = pipeline.source.table(wanted.split)
        usable = usable_rows(table, pipeline, model)
        rows = choose(table, usable, wanted.generators, wanted.index, wanted.count, wanted.seed)
        images = list(show_images(pipeline, table.split, rows, model))
    title = f"{len(images)} of {len(table):,} images of {pipeline.source.path.resolve().name}, {table.split}"
    write_sheet(output, Sheet(title, f"Their pixels in {about}.", images))
    return output


def _by_default(wanted: Wanted) -> AIGenBenchPipeline:
    from aigenbench.data.pipeline import AIGenBenchDatasetLoader, AIGenBenchPipeline

    loader = AIGenBenchDatasetLoader(wanted.dataset, wanted.follow_links)
    return AIGenBenchPipeline(loader, num_workers=0, timeline=wanted.timeline)


def _of_a_run(wanted: Wanted, asked: Request) -> tuple[AIGenBenchPipeline, Model]:
    """The pipeline of a run, and the model whose input it makes; nothing is stored, and no weights are needed."""
    from aigenbench.curation.showing.tiles import Model
    from aigenbench.training.window.extended import planned
    from aigenbench.training.window.inputs import make_detector, prepare_detector, seed_of

    # pixels depend on neither
    data: dict[str, Any] = {"num_workers": 0, "cache": "none"}
    if wanted.timeline is not None:
        data["timeline"] = wanted.timeline
    layers = [layer("show", {"data": data, "model": {"model_args": {"pretrained": False}}})]
    if wanted.dataset is not None:
        layers.append(layer("show", {"dataset_path": wanted.dataset}))
    if wanted.follow_links:
        layers.append(layer("show", {"data": {"dataset_loader": {"init_args": {"follow_links": True}}}}))
    stage = _STAGES[wanted.split]
    run = asked.over(*layers).run("test" if stage == "test" else "fit")
    pipeline, seed = run.instantiate_data(), seed_of(run.config)
    detector = make_detector(run, seed)
    plan, _ = planned(run, pipeline, stage)
    prepare_detector(run, pipeline, plan, detector, seed, stage)
    # an image is shown in its own window, whatever a strategy chooses
    return pipeline, Model(replace(plan, training=replace(plan.training, choice=None)), detector)
