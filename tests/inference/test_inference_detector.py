"""Scoring pictures with an exported detector: any kind, in order, one bad file an answer like the others."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from inference_harness import Trained
from PIL import Image

import aigenbench as ab
from aigenbench.engine.exporting import export
from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.fusion import sigmoid
from aigenbench.inference.detector import Detector, device_named


def picture(seed: int, size: tuple[int, int] = (40, 50)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def test_every_kind_of_picture_gets_the_same_score(detector: Detector, tmp_path: Path) -> None:
    image = picture(1)
    path = tmp_path / "a.png"
    path.write_bytes(png(image))
    kinds = [path, str(path), png(image), image, Image.fromarray(image)]
    logits = detector.logits(kinds)
    np.testing.assert_allclose(logits, logits[0], atol=1e-6)
    assert detector.logits(image) == detector.logits(image[np.newaxis]) == detector.logits(path)
    assert detector.predict(path) == sigmoid(detector.logits(path))
    assert detector.logits([]).shape == (0,)


def test_an_answer_says_all_there_is(detector: Detector, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(picture(2)))
    (answer,) = detector.answers([tmp_path / "a.png"])
    assert (answer.name, answer.error, answer.size) == (str(tmp_path / "a.png"), None, (40, 50))
    assert answer.logit is not None
    assert answer.crop_logits == (answer.logit,)
    scaling = detector.info.calibration
    assert answer.probability == pytest.approx(float(sigmoid(scaling.slope * answer.logit + scaling.offset)))
    assert answer.verdict == detector.verdict(answer.logit)


def test_order_stays_and_a_bad_file_is_an_answer(detector: Detector, exported: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "half.png").write_bytes(png(picture(0))[:200])
    bad = {1: tmp_path / "empty.png", 4: tmp_path / "half.png", 5: tmp_path / "gone.png", 9: tmp_path}
    images = [bad.get(i, picture(i)) for i in range(11)]
    alone = [next(detector.answers([image])) for image in images]
    for batch_size, workers in ((16, 0), (3, 0), (3, 2), (1, 4)):
        loaded = Detector.load(exported, "cpu", batch_size, workers)
        answers = list(loaded.answers(iter(images), names=(f"n{i}" for i in range(11))))
        assert [answer.name for answer in answers] == [f"n{i}" for i in range(11)]
        assert [i for i, answer in enumerate(answers) if answer.error] == list(bad)
        for answer, one in zip(answers, alone, strict=True):
            assert answer.error == one.error
            assert (answer.logit is None) == (one.logit is None)
            assert answer.logit is None or answer.logit == pytest.approx(one.logit, abs=1e-5)
    assert [alone[i].error for i in (1, 5)] == [
        "cannot be read: an empty file",
        "cannot be read: No such file or directory",
    ]
    with pytest.raises(InputError, match=r"half\.png: cannot be read: "):
        detector.logits(images[2:])


def test_pictures_are_drawn_as_they_are_needed(exported: Path) -> None:
    drawn = []

    def images() -> Iterator[np.ndarray]:
        for i in range(100):
            drawn.append(i)
            yield picture(i)

    for workers in (0, 2):
        drawn.clear()
        next(Detector.load(exported, "cpu", 4, workers).answers(images()))
        assert len(drawn) <= 12


def test_the_picture_is_judged_as_it_is_shown(detector: Detector) -> None:
    image = Image.fromarray(picture(3))
    turned = Image.Exif()
    turned[0x0112] = 6
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=turned)
    (answer,) = detector.answers([buffer.getvalue()])
    assert answer.size == (50, 40)
    assert answer.logit == detector.logits(image.transpose(Image.Transpose.ROTATE_270))[0]
    clear = image.copy()
    clear.putalpha(7)
    assert detector.logits(clear) == detector.logits(image), "transparency is dropped, as in the benchmark"


def test_what_is_no_picture_is_refused(detector: Detector) -> None:
    with pytest.raises(InputError, match="image 1: expected a path, a file's bytes, a PIL image or an array"):
        list(detector.answers([picture(0), None]))  # type: ignore[list-item]
    with pytest.raises(InputError, match=r"image 0: .* found an array of float64 \(4, 4, 3\)"):
        detector.crops(np.zeros((4, 4, 3)))  # type: ignore[arg-type]


def test_a_verdict_tells_the_rate_it_was_measured_to_have(detector: Detector, exported: Path) -> None:
    point = detector.point
    generated = detector.verdict(np.nextafter(point.high, np.inf))
    assert (generated.word, generated.period) == ("generated", "Next")
    assert generated.rate == point.measured.reals_called_generated.value
    assert generated.interval == point.measured.reals_called_generated.interval
    assert "of real images were called so by mistake" in generated.said
    real = detector.verdict(np.nextafter(point.low, -np.inf))
    assert (real.word, real.rate) == ("real", point.measured.fakes_called_real.value)
    for logit in (point.low, point.high):
        unsure = detector.verdict(logit)
        assert (unsure.word, unsure.rate, unsure.interval) == ("unsure", None, None)
    assert Detector.load(exported, "cpu", fpr=0.05).point.fpr == 0.05
    with pytest.raises(InputError, match=r"no operating point of a false positive rate of 0\.1; it has 0\.01, 0\.05"):
        Detector.load(exported, "cpu", fpr=0.1)


def test_pictures_as_they_are_may_be_of_any_size_the_model_takes(trained: Trained, tmp_path: Path) -> None:
    experiment = trained(
        {
            "model.model_name": "timm/test_resnet_tune",
            "model.evaluation_cropping_strategy": "as_is",
            "model.training_cropping_strategy": "as_is",
            "data.train_batch_size": 1,
            "data.eval_batch_size": 1,
        }
    )
    detector = Detector.load(export(experiment, tmp_path / "detector"), "cpu")
    images = [picture(i, (30 + i, 44)) for i in range(3)]
    together = detector.logits(images)
    np.testing.assert_allclose(together, [detector.logits(image)[0] for image in images], atol=1e-6)
    assert detector.crops(images[1]).shape == (1, 3, 31, 44)


def test_a_score_that_is_no_number_is_an_error(detector: Detector) -> None:
    detector.network.model.head.bias.fill_(float("nan"))  # type: ignore[union-attr, operator]
    (answer,) = detector.answers([picture(0)])
    assert answer.error == "its score is not a finite number"


@pytest.mark.parametrize("name", ["gpu", "cpu:1", "cuda:x", "cuda:99", "cuda:"])
def test_devices_that_are_not_there(name: str) -> None:
    with pytest.raises(InputError, match="device: "):
        device_named(name)


def test_devices() -> None:
    assert device_named("cpu") == torch.device("cpu")
    assert device_named("auto").type in ("cpu", "cuda", "mps")


def test_the_python_api_loads_it_too(exported: Path, detector: Detector) -> None:
    loaded = ab.Detector.load(exported, device="cpu", batch_size=2)
    assert isinstance(loaded, Detector)
    assert loaded.predict(picture(0)) == detector.predict(picture(0))
    with pytest.raises(InputError, match="window picks one of an experiment's"):
        ab.Detector.load(exported, window=0)
    with pytest.raises(InputError, match="batch_size of at least 1"):
        Detector.load(exported, "cpu", 0)
