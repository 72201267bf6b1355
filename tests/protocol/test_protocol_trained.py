from __future__ import annotations

from datetime import date

import pytest

from aigenbench.errors import InputError
from aigenbench.protocol.periods import PERIODS, period_generators, period_of_weights
from aigenbench.protocol.timeline import PUBLISHED, Generator, make_timeline
from aigenbench.protocol.trained import Trained, trained_up_to
from aigenbench.protocol.windows import generator_windows

WINDOWS = generator_windows(PUBLISHED, 4)


@pytest.mark.parametrize("window", range(9))
@pytest.mark.parametrize("period", [*PERIODS, "all"])
def test_of_a_run_on_its_own_data_periods_are_the_protocols(window: int, period: str) -> None:
    trained = trained_up_to(PUBLISHED, WINDOWS, window)
    standing = trained.standing(PUBLISHED)
    assert standing.earlier == ()
    found = period_of_weights(period, WINDOWS, trained.windows, standing.coming)
    assert found == period_generators(period, WINDOWS, window)


def test_generators_never_seen_are_next_where_later_and_in_no_period_where_earlier() -> None:
    trained = trained_up_to(PUBLISHED, WINDOWS[2:], 0)  # as if the run's timeline began with GauGAN
    others = PUBLISHED.restricted_to(["CycleGAN", "StyleGAN1", "GauGAN", "FLUX 1 Dev", "ADM"])
    standing = trained.standing(others)
    assert standing.earlier == ("CycleGAN", "StyleGAN1")
    assert standing.coming == ("ADM",), "of the later ones, those of the window that would be trained next"
    windows = generator_windows(others, 2)
    assert period_of_weights("growing", windows, trained.windows, standing.coming) == ("GauGAN",)
    assert period_of_weights("growing_whole", windows, trained.windows, standing.coming) == ("GauGAN", "ADM")


def test_without_any_of_the_next_window_all_later_ones_are_next() -> None:
    trained = trained_up_to(PUBLISHED, WINDOWS, 0)
    later = PUBLISHED.restricted_to(["DDPM", "DALL-E 3"])
    assert trained.standing(later).coming == ("DDPM", "DALL-E 3")
    assert period_of_weights("growing", (later.names,), trained.windows, later.names) == ()


def test_a_generator_of_the_newest_day_is_not_later() -> None:
    day = date(2020, 1, 1)
    own = make_timeline([Generator("a", day)])
    both = make_timeline([Generator("a", day), Generator("b", day), Generator("c", date(2020, 1, 2))])
    standing = trained_up_to(own, (("a",),), 0).standing(both)
    assert (standing.coming, standing.earlier) == (("c",), ("b",))


def test_weights_that_start_from_others_have_seen_what_those_had() -> None:
    before, own = trained_up_to(PUBLISHED, WINDOWS, 1), trained_up_to(PUBLISHED, WINDOWS, 0)
    both = own.after(before)
    assert both.windows == (WINDOWS[1], WINDOWS[0])
    assert both.standing(PUBLISHED).coming == (), "the generators of the next window have been seen already"
    assert before.after(own) == before
    assert own.after(None) == own


def test_the_record_is_read_back() -> None:
    trained = trained_up_to(PUBLISHED, WINDOWS, 3)
    record = trained.to_record()
    assert Trained.from_record(record, "x") == trained
    with pytest.raises(InputError, match=r"a\.ckpt: what it says of its training is damaged"):
        Trained.from_record(record | {"dates": {"ADM": "soon"}}, "a.ckpt")


def test_an_unknown_period_is_told() -> None:
    with pytest.raises(InputError, match="unknown period 'grow'"):
        period_of_weights("grow", WINDOWS, WINDOWS[:1], ())
