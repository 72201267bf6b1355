"""Copies of one picture, and one verdict for them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from made_detector import scene, write_detector
from PIL import Image

from aigenbench.inference.detector import Detector
from aigenbench.inference.looking.grouping import Print, fingerprint, grouped


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    return Detector.load(write_detector(tmp_path_factory.mktemp("exported") / "detector"), "cpu", batch_size=3)


def printed(image: np.ndarray, kind: str = "PNG", **options: object) -> Print:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **options)
    return fingerprint(buffer.getvalue(), np.asarray(Image.open(buffer).convert("RGB")))


def test_copies_stored_again_and_resized_are_one_picture(detector: Detector) -> None:
    one, other = scene(1, (96, 128)), scene(2, (96, 128))
    half = np.asarray(Image.fromarray(one).resize((64, 48), Image.Resampling.BICUBIC))
    prints = [printed(other), printed(one), printed(half), printed(one, "JPEG", quality=60), printed(scene(3))]
    (group,) = grouped(detector, prints, [9.0, 1.0, 2.0, 6.0, -9.0])
    assert group.members == (1, 2, 3)
    assert group.logit == 3.0
    assert group.verdict == detector.verdict(3.0)
    # Platt's scaling of the detector: 0.5 x + 0.1
    assert group.probability == pytest.approx(1 / (1 + np.exp(-1.6)))


def test_the_same_bytes_count_once(detector: Detector) -> None:
    one = scene(1, (96, 128))
    twice, again = printed(one), printed(one, "JPEG", quality=60)
    (group,) = grouped(detector, [twice, again, twice], [1.0, 3.0, 1.0])
    assert group.members == (0, 1, 2)
    assert group.logit == 2.0


def test_pictures_that_show_nothing_are_one_only_where_their_bytes_are(detector: Detector) -> None:
    white, black = np.full((40, 40, 3), 255, np.uint8), np.zeros((40, 40, 3), np.uint8)
    prints = [printed(white), printed(black), printed(white)]
    assert [group.members for group in grouped(detector, prints, [1.0, 2.0, 1.0])] == [(0, 2)]


def test_other_pictures_stay_alone(detector: Detector) -> None:
    assert grouped(detector, [printed(scene(i)) for i in range(6)], [0.0] * 6) == []
    assert grouped(detector, [], []) == []
