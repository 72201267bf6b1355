"""The evaluation images as any detector is given them, and the predictions that its scores become."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from aigenbench.augmentations import EvaluationCrops, MandatoryEvaluation
from aigenbench.data.identity import keys_of
from aigenbench.data.plan import Plan, images_digest, make_plan
from aigenbench.data.samples.dataset import EvaluationSamples, EvaluationTransforms
from aigenbench.data.samples.transforms import unchanged
from aigenbench.data.sources.opening import open_source
from aigenbench.data.sources.tables import ImageTable
from aigenbench.evaluation.predictions.external import predictions_of_logits
from aigenbench.evaluation.predictions.record import AS_IS, Predictions
from aigenbench.inference.external.scorer import Scored
from aigenbench.protocol.identity import data_fingerprint
from aigenbench.protocol.knowledge import Knowledge
from aigenbench.protocol.published import AUGMENTATIONS_BASE_SEED
from aigenbench.protocol.timeline import Timeline

STAGE = "validate"


@dataclass(frozen=True)
class EvaluationImages:
    """The images of ``validate``.

    Attributes:
        plan: windows and evaluation set.
        table: has the images.
        as_is: whether they are scored without the mandatory steps.
        source: where the data set lies.
    """

    plan: Plan
    table: ImageTable
    as_is: bool
    source: Path

    def __len__(self) -> int:
        return len(self.plan.evaluation.ids)

    @property
    def fingerprint(self) -> str:
        """The protocol fingerprint: that of ``validate``, or another one where they are scored as is."""
        steps = {"recipe": AS_IS} if self.as_is else MandatoryEvaluation().describe()
        return self.plan.fingerprint(steps, AUGMENTATIONS_BASE_SEED)

    @property
    def digest(self) -> str:
        """See ``images_digest``."""
        return images_digest(self.table, self.plan.evaluation.ids)

    @property
    def samples(self) -> EvaluationSamples:
        """What ``validate`` has before a detector's own steps: one picture an image, uint8 (h, w, 3)."""
        mandatory = unchanged if self.as_is else MandatoryEvaluation()
        transforms = EvaluationTransforms(mandatory, unchanged, EvaluationCrops("as_is", (1, 1)), unchanged)
        generators = self.table.generator_ids(self.plan.timeline)
        return EvaluationSamples(self.table, generators, self.plan.evaluation.ids, transforms, AUGMENTATIONS_BASE_SEED)

    def name(self, position: int) -> str:
        """What to call the image at a position of the evaluation order."""
        row = int(self.plan.evaluation.ids[position])
        file = self.table.store.name(row)
        return f"image {row} ({file})" if file else f"image {row}"

    def predictions(self, scored: Scored, knowledge: Knowledge) -> Predictions:
        """Ordinary predictions, whatever the window, of a detector that knows so much."""
        plan = self.plan
        made = predictions_of_logits(
            scored.logits, scored.crop_logits, scored.crops, plan.evaluation, plan.timeline, plan.windows
        )
        keys = keys_of(self.table, plan.evaluation.ids)
        names = [plan.timeline.id_to_name[i] for i in plan.evaluation.generator_ids.tolist()]
        return replace(
            made,
            benchmark_type=plan.benchmark_type,
            protocol_fingerprint=self.fingerprint,
            image_key=keys if len(set(keys.tolist())) == len(keys) else None,
            data_fingerprint=data_fingerprint(keys, names),
            knowledge=knowledge.said,
            seen_generators=knowledge.seen(plan.timeline),
            evaluation_steps=AS_IS if self.as_is else None,
        )


def open_images(
    path: Path | str, timeline: Timeline, per_window: int, as_is: bool, follow_links: bool
) -> EvaluationImages:
    """The evaluation images of a data set.

    Args:
        path: of the data set.
        timeline: the generators.
        per_window: generators of a window.
        as_is: leave the mandatory steps out.
        follow_links: let it lead outside its folder.

    Raises:
        InputError: see ``open_source`` and ``make_plan``.
    """
    source = open_source(path, follow_links)
    plan = make_plan(source, per_window, timeline=timeline, stage=STAGE)
    return EvaluationImages(plan, source.table("validation"), as_is, source.path)
