"""Our recipes and the plain ones that the benchmarks time them against make the same pictures, in distribution."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from scipy import stats

from aigenbench.augmentations import (
    BaselineTraining,
    EvaluationCrops,
    MandatoryEvaluation,
    MandatoryTraining,
    StochasticTraining,
)
from aigenbench.data.pictures.decode import decode

torch = pytest.importorskip("torch")

SIDE = 40
SAMPLES = 300
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def plain(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import plain_reference

    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    yield plain_reference
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])


@pytest.fixture(scope="module")
def file() -> bytes:
    small = np.random.default_rng(3).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    PillowImage.fromarray(small).resize((96, 72), PillowImage.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def philox(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.array(key, np.uint64)))


def figures(image: np.ndarray) -> dict[str, float]:
    """What the operations change: brightness, contrast, colour, fine structure along each axis, the first corner."""
    image = image.astype(np.float64)
    return {
        "mean": image.mean(),
        "std": image.std(),
        "red": image[..., 0].mean() - image[..., 1].mean(),
        "colourfulness": np.ptp(image, axis=2).mean(),
        "down": np.abs(np.diff(image, 2, axis=0)).mean(),
        "along": np.abs(np.diff(image, 2, axis=1)).mean(),
        "corner": image[:12, :12].mean(),
    }


def compare(ours: list[np.ndarray], theirs: list[np.ndarray]) -> None:
    one, other = ([figures(image) for image in images] for images in (ours, theirs))
    rng = np.random.default_rng(0)
    for name in one[0]:
        # many samples differ in nothing but how the last resize rounds: blurred by half a level, they fall together
        first, second = (np.array([row[name] for row in rows]) + rng.normal(0, 0.5, SAMPLES) for rows in (one, other))
        test = stats.ks_2samp(first, second)
        assert test.pvalue > 1e-3, (name, test)


def levels(tensor, reference) -> np.ndarray:
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (reference.MEAN, reference.STD))
    return (255 * (tensor * std + mean)).round().byte().permute(1, 2, 0).numpy()


def test_training(plain, file):
    theirs = plain.PlainTraining(SIDE)
    mandatory, baseline, last = MandatoryTraining(), BaselineTraining(), StochasticTraining("resize", (SIDE, SIDE))
    image = decode(file)
    compare(
        [last(baseline(mandatory(image, philox(i, 0)), philox(i, 1)), philox(i, 2)) for i in range(SAMPLES)],
        [levels(theirs(file), plain) for _ in range(SAMPLES)],
    )


def test_evaluation(plain, file):
    theirs, evaluation, crops = (
        plain.PlainEvaluation(SIDE),
        MandatoryEvaluation(),
        EvaluationCrops("resize", (SIDE,) * 2),
    )
    image = decode(file)
    compare(
        [crops(evaluation(image, philox(i, 3)))[0] for i in range(SAMPLES)],
        [levels(theirs(file), plain) for _ in range(SAMPLES)],
    )
