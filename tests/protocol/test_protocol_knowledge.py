"""What a detector of elsewhere is said to know."""

from __future__ import annotations

from datetime import date

import pytest

from aigenbench.errors import InputError
from aigenbench.protocol.knowledge import Knowledge, known_generators, known_until
from aigenbench.protocol.timeline import PUBLISHED


@pytest.mark.parametrize(
    ("text", "day"),
    [("2023-05", "2023-05-31"), ("2020-02", "2020-02-29"), ("2023", "2023-12-31"), (" 2022-08-22 ", "2022-08-22")],
)
def test_a_month_and_a_year_count_whole(text: str, day: str) -> None:
    assert known_until(text).until == date.fromisoformat(day)


@pytest.mark.parametrize("text", ["2023-13", "05/2023", "2023-02-30", "", "soon", "23-05"])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--knows-until: expected YYYY, YYYY-MM or YYYY-MM-DD, found"):
        known_until(text)


def test_what_was_released_by_then_counts_as_seen() -> None:
    seen = known_until("2022-08-22").seen(PUBLISHED)
    assert seen is not None
    assert (seen[-1], len(seen)) == ("Stable Diffusion 1.4", 29)
    assert known_until("2022-08-21").seen(PUBLISHED) == seen[:-1]


def test_nothing_said_is_nothing_known() -> None:
    assert Knowledge().seen(PUBLISHED) is None
    assert Knowledge().said == "unknown"
    # trained on none of them is another thing
    assert Knowledge(trained_on=()).seen(PUBLISHED) == ()


def test_a_misspelt_generator_would_count_as_unseen_and_is_refused() -> None:
    with pytest.raises(InputError, match="no generator 'StyleGan2' on the timeline; did you mean 'StyleGAN2'"):
        known_generators(["CycleGAN", "StyleGan2"], PUBLISHED)
    assert known_generators(["StarGAN", "CycleGAN", "StarGAN"], PUBLISHED).seen(PUBLISHED) == ("CycleGAN", "StarGAN")
