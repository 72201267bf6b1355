from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aigenbench.augmentations import BaselineTraining, MildTraining, SoftTraining, recipe_given
from aigenbench.augmentations.written import _ARGUMENTS, RECIPES, STEPS, written_out
from aigenbench.errors import InputError
from aigenbench.yaml_text import read_yaml

PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
NAMED = {"baseline": BaselineTraining, "soft": SoftTraining, "mild": MildTraining}


def philox(key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key))


def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", NAMED)
def test_the_page_writes_named_recipes_out(name: str) -> None:
    text = re.search(rf"```yaml\n# {name}\n(.*?)```", PAGE, re.DOTALL)
    assert text is not None
    written, named = recipe_given(read_yaml(text[1], "page")["recipe"]), NAMED[name]()
    assert written.describe()["steps"] == named.describe()["steps"]
    for key in range(30):
        np.testing.assert_array_equal(written(image(), philox(key)), named(image(), philox(key)))


def test_names_are_the_recipes() -> None:
    assert set(RECIPES) == {*NAMED, "none"}
    for name, made in NAMED.items():
        assert type(recipe_given(name)) is made
    untouched = image()
    assert recipe_given("none")(untouched, philox(0)) is untouched


def test_the_page_names_every_step_and_argument() -> None:
    section = PAGE.partition("## The steps\n")[2].partition("\n## ")[0]
    rows = {row[0]: row[1] for row in re.findall(r"(?m)^\| `(\w+)` \| (.*?) \|", section)}
    assert set(rows) == set(STEPS)
    for name, cls in STEPS.items():
        assert set(re.findall(r"`(\w+):", rows[name])) == set(_ARGUMENTS[cls]), name


def test_a_file_is_read_and_its_content_kept(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    rows = ("grayscale: {probability: 0.5}", "patch_shuffle: {sides: [8, 16]}", "blur: {sigma: 1}")
    file.write_text("\n  - ".join(["steps:", *rows]) + "\n")
    inline = written_out(str(file))
    assert inline == {
        "steps": [{"grayscale": {"probability": 0.5}}, {"patch_shuffle": {"sides": [8, 16]}}, {"blur": {"sigma": 1}}]
    }
    assert recipe_given(str(file)).describe() == recipe_given(inline).describe()
    assert recipe_given(inline).describe()["steps"][2] == {"step": "Blur", "probability": 1.0, "sigma": [1.0, 1.0]}


def test_a_step_without_arguments_always_happens() -> None:
    grey = recipe_given({"steps": ["grayscale"]})(image(), philox(0))
    assert (grey[..., 0] == grey[..., 2]).all()


STEP: dict[str, tuple[Any, str]] = {
    "unknown": ({"jepg": {}}, r"steps\[0\]: unknown step 'jepg'; known: .*; did you mean 'jpeg'"),
    "argument": ({"jpeg": {"quality": [50]}}, "jpeg takes probability, qualities, codecs; unknown 'quality'"),
    "no mapping": ({"jpeg": 50}, "jpeg takes .*; 50"),
    "two in one": ({"jpeg": {}, "blur": {}}, "expected a step's name, or one with its arguments"),
    "missing": ("noise", "noise needs std"),
    "probability": ({"grayscale": {"probability": 1.5}}, "probability: expected a number from 0 to 1, found 1.5"),
    "truth": ({"noise": {"std": True}}, "std: expected one value or .*each a number from 0 to 1, found True"),
    "order": ({"blur": {"sigma": [2, 1]}}, "sigma: expected the smaller end first"),
    "three ends": ({"blur": {"sigma": [1, 2, 3]}}, "sigma: expected one value or"),
    "whole": ({"patch_shuffle": {"sides": 8.5}}, "sides: .*a whole number from 4 to 4096"),
    "text": ({"hole": {"sides": "48", "level": 1}}, "sides: expected one value or"),
    "qualities": ({"jpeg": {"qualities": {"from": 90, "to": 101}}}, "qualities: expected one value or"),
    "no qualities": ({"jpeg": {"qualities": []}}, "qualities: expected qualities from 1 to 100"),
    "codec": ({"jpeg": {"qualities": 50, "codecs": "turbo"}}, "codecs: expected some of opencv, pillow, found 'turbo'"),
    "infinite": ({"blur": {"sigma": float("inf")}}, "sigma: expected one value or"),
}  # fmt: skip


@pytest.mark.parametrize("case", STEP)
def test_wrong_steps_are_told(case: str) -> None:
    step, told = STEP[case]
    with pytest.raises(InputError, match=told):
        recipe_given({"steps": [step]})


def test_what_is_no_recipe_is_told(tmp_path: Path) -> None:
    for value, told in [
        ("sofd", "unknown 'sofd'; known: baseline, soft, mild, none, .*; did you mean 'soft'"),
        ({"step": []}, "found the keys step"),
        ({"steps": "jpeg"}, "steps: expected a list of at most 50"),
        ({"steps": ["grayscale"] * 51}, "steps: expected a list of at most 50"),
        (str(tmp_path / "absent.yaml"), "absent.yaml"),
        (3, "found 3"),
    ]:
        with pytest.raises(InputError, match=told):
            recipe_given(value)
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("steps:\n  - blurr: {sigma: 1}\n")
    with pytest.raises(InputError, match=r"wrong\.yaml: steps\[0\]: unknown step 'blurr'.*did you mean 'blur'"):
        recipe_given(str(wrong))
