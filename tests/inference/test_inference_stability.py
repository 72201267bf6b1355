"""Answers for other forms of a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_detector import scene, write_detector
from PIL import Image

from aigenbench.augmentations.perturbations import GRID
from aigenbench.errors import InputError
from aigenbench.inference.detector import Detector
from aigenbench.inference.looking import Asked, detect, forms
from aigenbench.inference.looking.stability import WAYS, tried


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    return Detector.load(write_detector(tmp_path_factory.mktemp("exported") / "detector"), "cpu", batch_size=3)


def test_each_form_has_the_score_of_that_form(detector: Detector) -> None:
    image = scene(3)
    found = tried(detector, image)
    cells = {cell.name: cell for cell in GRID}
    assert sorted(one.way for one in found.tries) == sorted(WAYS)
    for one in found.tries:
        (expected,) = detector.answers([cells[one.way](image, np.random.default_rng(5))])
        assert one.logit == pytest.approx(expected.logit, abs=1e-5)
        assert one.probability == pytest.approx(expected.probability, abs=1e-6)


def test_what_is_said_is_how_far_it_moves(detector: Detector) -> None:
    found = tried(detector, scene(3))
    probabilities = [found.probability, *(one.probability for one in found.tries)]
    assert (found.lowest, found.highest) == (min(probabilities), max(probabilities))
    assert f"it and 6 other forms give {found.lowest:.0%} to {found.highest:.0%}" in found.said
    assert found.to_dict()["tries"][0]["way"] == "jpeg_90"


def test_a_verdict_that_changes_is_told_with_the_forms_that_change_it(tmp_path) -> None:
    image = scene(3)
    plain = Detector.load(write_detector(tmp_path / "plain"), "cpu")
    found = tried(plain, image)
    assert found.changes == ()
    assert "stays" in found.said
    logits = sorted([float(plain.logits(image)[0]), *(one.logit for one in found.tries)])
    # a threshold in the widest gap parts some forms from the others
    gap = int(np.argmax(np.diff(logits)))
    threshold = (logits[gap] + logits[gap + 1]) / 2
    parted = tried(Detector.load(write_detector(tmp_path / "parted", band=(threshold, threshold)), "cpu"), image)
    assert parted.changes
    assert parted.said.count("generated") + parted.said.count("real") == len(parted.changes)


def test_forms_that_a_format_cannot_hold_are_left_out(detector: Detector) -> None:
    found = tried(detector, np.zeros((8, 16400, 3), np.uint8))
    assert not any(one.way.startswith("webp") for one in found.tries)
    assert len(found.tries) == 4


def test_a_picture_that_cannot_be_scored_is_bad_input(detector: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector, "_logits", lambda crops: np.full(len(crops), np.nan))
    with pytest.raises(InputError, match="not a finite number"):
        tried(detector, scene(0))


def test_a_large_picture_is_scored_without_its_forms(
    detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "MOST_PIXELS", 48 * 64 - 1)
    with pytest.raises(InputError, match="too large"):
        tried(detector, scene(0))
    Image.fromarray(scene(0)).save(tmp_path / "large.png")
    (result,) = detect(detector, [tmp_path / "large.png"], Asked(stability="all", explain=tmp_path / "maps"))
    assert result.answer.verdict
    assert "no stability, no map" in result.to_dict()["note"]
    assert not (tmp_path / "maps").exists()


def test_few_forms_of_a_large_picture_are_held_at_once(detector: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    whole = detector.answers
    monkeypatch.setattr(detector, "answers", lambda images: asked.append(len(images)) or whole(images))
    monkeypatch.setattr(forms, "_AT_ONCE", 2 * 48 * 64)
    assert len(tried(detector, scene(0)).tries) == 6
    assert asked == [2, 2, 2, 1]
