"""Numbers that stand once: what is laid down elsewhere must agree with them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aigenbench.config.experiment import SlidingWindows
from aigenbench.protocol import published
from aigenbench.protocol.published import averaged_windows, windows_with_next

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("n", "with_next", "averaged"),
    [(9, [0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3, 4, 5, 6, 7]), (2, [0], [0]), (1, [], [0]), (0, [], [])],
)
def test_the_last_window_has_no_next_period(n: int, with_next: list[int], averaged: list[int]) -> None:
    assert list(windows_with_next(n)) == with_next
    assert list(range(n))[averaged_windows(n)] == averaged


def test_a_config_cuts_the_published_windows() -> None:
    # the config room does not know the protocol's, so it says the number itself
    assert SlidingWindows().n_generators_per_window == published.GENERATORS_PER_WINDOW


def test_the_page_tells_the_same_numbers() -> None:
    for name in ("TRAINING_SEED", "BALANCING_SEED", "SUBSET_SEED", "SHUFFLE_SEED", "PAIRING_SEED"):
        assert str(getattr(published, name)) in PAGE
    assert f"`augmentations_base_seed` ({published.AUGMENTATIONS_BASE_SEED})" in PAGE
    assert f"`maximum_processing_size` ({published.MAXIMUM_PROCESSING_SIZE})" in PAGE
    assert f"`n_generators_per_window` ({published.GENERATORS_PER_WINDOW})" in PAGE
    assert "two values {} and {}".format(*published.JPEG_QUALITIES) in " ".join(PAGE.split())
    for one in published.BASELINES:
        figures = [f"{100 * one.past:.1f}", f"{100 * one.coming:.2f}", f"{100 * one.whole:.1f}"]
        assert f"| {one.name}, tune resize | {' | '.join(figures)} |" in PAGE


def test_docstrings_cite_sections_that_the_page_has() -> None:
    sections = set(re.findall(r"(?m)^## (\d)\. ", PAGE))
    assert sections == set("123456789")
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    assert set(re.findall(r"protocol sections? (\d)", sources)) <= sections


@pytest.mark.parametrize(
    ("written", "owner"),
    [
        (r"\b4321\b", "protocol/published.py"),
        (r"\b13(37|38|39|40|41)\b", "protocol/published.py"),
        (r"\b49_?766_?400\b", "protocol/published.py"),
        (r'_all\.npz"', "config/folder.py"),
        (r'"(config\.yaml|config_changes\.json|run\.json|metrics\.csv|final\.ckpt)"', "config/folder.py"),
        (r'"(lock|tracking|logged|embedding)\.json"', "config/folder.py"),
    ],
)
def test_a_number_or_name_has_one_owner(written: str, owner: str) -> None:
    package = ROOT / "src" / "aigenbench"
    found = [path for path in package.rglob("*.py") if re.search(written, path.read_text(encoding="utf-8"))]
    assert [path.relative_to(package).as_posix() for path in found] == [owner]
