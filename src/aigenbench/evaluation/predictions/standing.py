"""What a result stands on: the benchmark itself, a part of it, other generators, or pictures made up for trying."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aigenbench.augmentations import MandatoryEvaluation
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions
from aigenbench.evaluation.predictions.record import Predictions
from aigenbench.protocol.fingerprints import protocol_fingerprint
from aigenbench.protocol.off_protocol import OFF_PROTOCOL, told
from aigenbench.protocol.published import AUGMENTATIONS_BASE_SEED, GENERATORS_PER_WINDOW, PER_GENERATOR
from aigenbench.protocol.timeline import PUBLISHED, Timeline
from aigenbench.protocol.windows import generator_windows

SYNTHETIC, MATCHED = "synthetic", "matched"
"""What a run records as its ``data`` where the data set says of itself that it is made up, or stored anew."""

BENCHMARK, PARTIAL, OWN = "benchmark", "partial", "own"


@dataclass(frozen=True)
class Standing:
    """What a result stands on.

    Attributes:
        kind: ``benchmark``, ``partial``, ``own`` or ``synthetic``.
        published: how many of the benchmark's generators have fakes in the evaluation set.
        others: how many other generators have.
        fakes: how many fakes there are.
        why: what keeps a set of the benchmark's own size from being the benchmark, or "".
        foreign: of a detector that no run of the protocol has trained, what is said of its training; else "".
        off_protocol: why its training is off protocol; none where it is not.
    """

    kind: str
    published: int
    others: int
    fakes: int
    why: str = ""
    foreign: str = ""
    off_protocol: tuple[str, ...] = ()

    @property
    def is_benchmark(self) -> bool:
        """Whether published results may stand beside it."""
        return self.kind == BENCHMARK and not self.foreign and not self.off_protocol

    @property
    def text(self) -> str:
        """In a few words."""
        foreign = "; not trained by the protocol" if self.foreign else ""
        return f"{self._data}{foreign}{f'; {OFF_PROTOCOL}' if self.off_protocol else ''}"

    @property
    def _data(self) -> str:
        fakes = _plural(self.fakes, "fake")
        known = f"{self.published} of {len(PUBLISHED.names)} generators"
        if self.kind == BENCHMARK:
            return BENCHMARK
        if self.kind == SYNTHETIC:
            return f"synthetic: stand-ins for {known}, {fakes}"
        if self.kind == OWN:
            return f"own data: {_plural(self.others, 'generator')}, {fakes}"
        others = f" and {self.others} others" if self.others else ""
        return f"partial: {known}{others}, {fakes}{f', {self.why}' if self.why else ''}"

    @property
    def meaning(self) -> str:
        """What follows for a reader, in a sentence or two."""
        foreign = f" Not trained by the protocol, so no entry among those that are; its training: {self.foreign}."
        off = f" No result of the benchmark, {told(self.off_protocol)}." if self.off_protocol else ""
        return self._about_the_data + (foreign if self.foreign else "") + off

    @property
    def _about_the_data(self) -> str:
        return {
            BENCHMARK: "All generators of the benchmark, 1,000 fakes of each: published results may stand beside it.",
            PARTIAL: "Not the benchmark's evaluation set: published results are results on other images.",
            OWN: "Generators that are not the benchmark's: published results are results on other images.",
            SYNTHETIC: "Rendered pictures for trying the software: nothing here says anything about real generators.",
        }[self.kind]


def standings(of: Sequence[tuple[str, Standing]]) -> tuple[tuple[Standing, str], ...]:
    """What named runs stand on, each once, and whose it is where they differ."""
    found: dict[Standing, list[str]] = {}
    for name, standing in of:
        found.setdefault(standing, []).append(name)
    return tuple((standing, ", ".join(names) if len(found) > 1 else "") for standing, names in found.items())


def standing_of(experiment: ExperimentPredictions, records: Mapping[int, Mapping[str, Any]] | None = None) -> Standing:
    """What an experiment stands on.

    Args:
        experiment: its predictions.
        records: what the windows' runs recorded of themselves.
    """
    p = experiment.first
    counts = np.bincount(p.fused_generator_ids, minlength=len(p.generator_id_to_name))[1:]
    present = {name for name, n in zip(p.generator_id_to_name[1:], counts, strict=True) if n}
    published, fakes = len(present & set(PUBLISHED.names)), int(counts.sum())
    kind, why = PARTIAL if published else OWN, ""
    data = {record.get("data") for record in (records or {}).values()}
    if SYNTHETIC in data:
        kind = SYNTHETIC
    elif published and MATCHED in data:
        why = "every image stored anew"
    elif p.generator_id_to_name == PUBLISHED.id_to_name and bool((counts == PER_GENERATOR).all()):
        why = _departure(experiment)
        kind = PARTIAL if why else BENCHMARK
    return Standing(kind, published, len(present) - published, fakes, why, p.knowledge or "", experiment.off_protocol)


def mandatory_fingerprints(p: Predictions, timeline: Timeline = PUBLISHED) -> dict[str, str]:
    """The protocol fingerprints that predictions have after the mandatory evaluation steps, by JPEG mode."""
    return {
        jpeg: protocol_fingerprint(
            timeline,
            p.windows_timeline,
            str(p.benchmark_type),
            p.identifier,
            p.pairing,
            MandatoryEvaluation(jpeg=jpeg).describe(),
            AUGMENTATIONS_BASE_SEED,
        )
        for jpeg in ("two_point", "uniform")
    }


def _departure(experiment: ExperimentPredictions) -> str:
    p = experiment.first
    if len(experiment.windows) < experiment.n_windows:
        # published means are over all windows
        return f"{len(experiment.windows)} of {experiment.n_windows} windows"
    if p.windows_timeline != generator_windows(PUBLISHED, GENERATORS_PER_WINDOW):
        return "in other windows"
    if p.benchmark_type == "none":
        return "not trained window by window"
    if int((p.fused_labels == 0).sum()) != PER_GENERATOR * len(PUBLISHED.names):
        return "not as many reals"
    if p.evaluation_steps is not None:
        return f"scored {p.evaluation_steps}"
    if p.protocol_fingerprint is not None and p.protocol_fingerprint not in mandatory_fingerprints(p).values():
        return "other evaluation steps"
    return ""


def _plural(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"
