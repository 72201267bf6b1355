"""Where a perturbation stands among the steps of an evaluated image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from aigenbench.augmentations import EvaluationCrops, MandatoryEvaluation, Recipe
from aigenbench.augmentations.perturbations import perturbations
from aigenbench.data import AIGenBenchDatasetLoader, AIGenBenchPipeline
from aigenbench.data.samples.dataset import read_image
from aigenbench.protocol.randomness import sample_rng

NOISE = perturbations(["noise"])[2]


class Invert(Recipe):
    """The detector's own step."""

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return 255 - image

    def describe(self) -> dict[str, Any]:
        return {}


class Hooks:
    def train_augmentation(self) -> Any:
        return None

    def evaluation_augmentation(self, stage: str) -> Any:
        return Invert(), None

    def evaluation_crops(self, stage: str) -> Any:
        return EvaluationCrops("resize", (32, 32))


def test_it_stands_between_the_mandatory_steps_and_the_detectors(small_dataset: Path) -> None:
    p = AIGenBenchPipeline(AIGenBenchDatasetLoader(str(small_dataset)), num_workers=0, eval_batch_size=4)
    batch = next(iter(p.evaluation_loader(p.plan(2), Hooks(), "validate", perturbation=NOISE)))
    for pixels, row in zip(batch.images, batch.image_ids.tolist(), strict=True):
        key = (p.augmentations_base_seed, "validation", row, 0)
        image = MandatoryEvaluation()(read_image(p.source.table("validation"), row), sample_rng(*key, "mandatory"))
        image = NOISE(image, sample_rng(*key, "perturbation"))
        expected = EvaluationCrops("resize", (32, 32))(255 - image)[0]
        assert np.array_equal(pixels.permute(1, 2, 0).numpy(), expected)


def test_it_is_told_to_the_fingerprint(small_dataset: Path) -> None:
    p = AIGenBenchPipeline(AIGenBenchDatasetLoader(str(small_dataset)), num_workers=0)
    plain = p.describe_mandatory_evaluation()
    assert p.describe_mandatory_evaluation(NOISE) == {**plain, "perturbation": NOISE.describe()}
    prints = {p.plan(2).fingerprint(p.describe_mandatory_evaluation(x), 1) for x in (None, *perturbations())}
    assert len(prints) == 1 + len(perturbations())
