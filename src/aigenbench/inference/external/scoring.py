"""Scoring images in order: read and prepared by loader processes, on one or several devices, kept part by part."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from aigenbench.data.samples.collation import Sample
from aigenbench.data.samples.loading import make_loader
from aigenbench.errors import InputError
from aigenbench.inference.external.parts import Parts
from aigenbench.inference.external.scorer import Prepare, Scored, Scorer, UnscoredError

PART_SECONDS = 20.0
"""How long scores may be unsaved: what a kill costs."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Effort:
    """How images are scored; the scores hang on none of it but for rounding.

    Attributes:
        devices: a copy of the detector computes on each.
        batch_size: images at a time.
        workers: loader processes.
        part_seconds: see ``PART_SECONDS``.
    """

    devices: tuple[torch.device, ...]
    batch_size: int
    workers: int
    part_seconds: float = PART_SECONDS


def score_images(scorer: Scorer, samples: Any, parts: Parts, effort: Effort, name_of: Callable[[int], str]) -> Scored:
    """Score all images, going on where ``parts`` end.

    Args:
        scorer: the detector.
        samples: a map-style data set of ``Sample`` with one picture each.
        parts: where scores are kept.
        effort: how.
        name_of: what to call the image at a position, for messages.

    Raises:
        InputError: an image cannot be read or scored; the message names it. What was scored before is kept.
    """
    n = len(samples)
    done = parts.read()
    found = [] if done is None else [done]
    start = kept = 0 if done is None else len(done)
    if start:
        logger.info("%d of %d images were scored before", start, n)
    batches = [list(range(i, min(i + effort.batch_size, n))) for i in range(start, n, effort.batch_size)]
    loader = make_loader(samples, batches, partial(_prepared, scorer.prepare), effort.workers)
    copies = [scorer.on(device) for device in effort.devices]
    fresh: list[Scored] = []
    began = last = time.monotonic()
    try:
        for batch, scored in zip(batches, _on_devices(loader, copies), strict=True):
            fresh.append(_checked(scored, batch[0], name_of))
            if time.monotonic() - last >= effort.part_seconds:
                kept += _keep(parts, kept, fresh, found)
                last = time.monotonic()
                rate = (kept - start) / (last - began)
                logger.info("scored %d of %d images, %.1f a second", kept, n, rate)
    except UnscoredError as error:
        position = kept + sum(map(len, fresh)) + error.position
        raise InputError(f"{name_of(position)}: {error.reason}") from error
    except torch.OutOfMemoryError as error:
        raise InputError(
            f"the device has no memory for {effort.batch_size} images; give a smaller --batch-size"
        ) from error
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise InputError(
            "a loader process was killed, most likely for want of memory; try fewer --workers, then the same command "
            "goes on"
        ) from error
    finally:
        # also where it ends early: the same command goes on from here
        if fresh:
            _keep(parts, kept, fresh, found)
        elif not found:
            parts.remove()
    return Scored.joined(found)


def _prepared(prepare: Prepare, samples: Sequence[Sample]) -> Any:
    """What a scorer takes of these samples, which have one picture each."""
    return prepare([sample.crops[0] for sample in samples])


def _keep(parts: Parts, start: int, fresh: list[Scored], found: list[Scored]) -> int:
    part = Scored.joined(fresh)
    parts.write(start, part)
    found.append(part)
    fresh.clear()
    return len(part)


def _checked(scored: Scored, first: int, name_of: Callable[[int], str]) -> Scored:
    broken = ~np.isfinite(scored.logits)
    if broken.any():
        raise InputError(
            f"{name_of(first + int(np.argmax(broken)))}: its score is not a finite number; weights that are no numbers "
            "give such"
        )
    return scored


def _on_devices(batches: Iterable[Any], copies: Sequence[Scorer]) -> Iterator[Scored]:
    """The scores of batches in order; with several copies each takes every so manieth, side by side."""
    if len(copies) == 1:
        yield from map(copies[0].score, batches)
        return
    with ExitStack() as stack:
        pools = [stack.enter_context(ThreadPoolExecutor(1)) for _ in copies]
        waiting: deque[Future[Scored]] = deque()
        for i, batch in enumerate(batches):
            waiting.append(pools[i % len(pools)].submit(copies[i % len(copies)].score, batch))
            if len(waiting) >= 2 * len(copies):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
