from __future__ import annotations

from datetime import date, timedelta
from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigenbench.errors import InputError
from aigenbench.protocol.periods import PERIODS, period_generators
from aigenbench.protocol.timeline import PUBLISHED, Generator, Timeline, make_timeline
from aigenbench.protocol.windows import generator_windows, select_training_rows, standard_windows


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    days = draw(st.lists(st.integers(0, 12), min_size=1, max_size=20))
    return make_timeline(Generator(f"g{i}", date(2020, 1, 1) + timedelta(days=d)) for i, d in enumerate(days))


@given(timelines(), st.integers(1, 6))
def test_windows_cut_the_timeline_and_keep_ties_together(timeline: Timeline, n: int) -> None:
    windows = generator_windows(timeline, n)
    assert [name for names in windows for name in names] == list(timeline.names)
    days = [{timeline.dates[name] for name in names} for names in windows]
    for earlier, later in pairwise(days):
        assert max(earlier) < min(later)
    for names in windows[:-1]:
        assert len(names) >= n
    for names in windows:
        # beyond n only those released on the day of the n-th
        assert len({timeline.dates[name] for name in names[n - 1 :]}) <= 1


def test_last_window_may_be_shorter() -> None:
    assert [len(names) for names in generator_windows(PUBLISHED, 5)] == [5] * 7 + [1]


def test_n_generators_below_one_is_told() -> None:
    with pytest.raises(InputError, match="at least 1"):
        generator_windows(PUBLISHED, 0)


def rows(fakes_each: int = 3, reals: int = 200) -> np.ndarray:
    ids = np.repeat(np.arange(1, 37), fakes_each)
    return np.random.default_rng(0).permutation(np.concatenate([ids, np.zeros(reals, dtype=np.int64)]))


@pytest.mark.parametrize("benchmark_type", ["cumulative", "continual_learning"])
def test_windows_are_balanced_and_share_no_real(benchmark_type: str) -> None:
    ids, windows = rows(), generator_windows(PUBLISHED, 4)
    selection = select_training_rows(ids, PUBLISHED, windows, benchmark_type)
    seen: set[int] = set()
    for k, own in enumerate(selection.own):
        of_own = ids[own]
        assert (of_own == 0).sum() == (of_own > 0).sum() == 12
        assert {PUBLISHED.id_to_name[i] for i in of_own if i} == set(windows[k])
        assert seen.isdisjoint(own.tolist())
        seen |= set(own.tolist())
        expected = 24 * (k + 1) if benchmark_type == "cumulative" else 24
        assert len(set(selection.rows(k).tolist())) == len(selection.rows(k)) == expected


def test_benchmark_type_none_takes_the_train_split_as_it_is() -> None:
    ids = rows()
    ids[5] = -1
    selection = select_training_rows(ids, PUBLISHED, (), "none")
    assert selection.rows(0).tolist() == [i for i in range(len(ids)) if i != 5]


def test_too_few_reals_names_how_many_are_missing() -> None:
    with pytest.raises(InputError, match=r"window 4 needs 12 .* 2 are left: 10 are missing"):
        select_training_rows(rows(reals=50), PUBLISHED, generator_windows(PUBLISHED, 4), "cumulative")


def test_window_without_images_is_told() -> None:
    ids = rows()
    ids[ids == PUBLISHED.ids["ADM"]] = 0
    with pytest.raises(InputError, match=r"window 1 has no training image of its generators \(ADM\)"):
        select_training_rows(ids, PUBLISHED, [("CIPS",), ("ADM",)], "cumulative")


def test_subset_keeps_shares_of_each_window() -> None:
    ids, windows = rows(fakes_each=10, reals=400), generator_windows(PUBLISHED, 4)
    selection = select_training_rows(ids, PUBLISHED, windows, "cumulative", 0.5)
    for k, own in enumerate(selection.own):
        values, counts = np.unique(ids[own], return_counts=True)
        assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == {
            0: 20,
            **{PUBLISHED.ids[name]: 5 for name in windows[k]},
        }


def test_subset_too_small_to_stratify_is_told() -> None:
    with pytest.raises(InputError, match="train_subset_size: 3 rows cannot hold the 5 classes"):
        select_training_rows(rows(), PUBLISHED, generator_windows(PUBLISHED, 4), "cumulative", 3)


def test_unknown_benchmark_type_names_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'cumulative'"):
        select_training_rows(rows(), PUBLISHED, (), "cumulativ")


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.data())
def test_periods_are_spans_of_windows(sizes: list[int], data: st.DataObject) -> None:
    names = iter(f"g{i}" for i in range(100))
    windows = [[next(names) for _ in range(size)] + [""] for size in sizes]
    k = data.draw(st.integers(0, len(sizes) - 1))
    flat = [[n for n in w if n] for w in windows]
    assert period_generators("growing", windows, k) == tuple(chain(*flat[: k + 1]))
    assert period_generators("past", windows, k) == tuple(chain(*flat[:k]))
    assert period_generators("growing_whole", windows, k) == tuple(chain(*flat[: k + 2]))
    assert period_generators("immediate_future", windows, k) == tuple(chain(*flat[k + 1 : k + 2]))


def test_last_window_has_no_next_period() -> None:
    assert period_generators("immediate_future", [["a"], ["b"]], 1) == ()
    assert set(PERIODS) == {"immediate_future", "growing", "growing_whole", "past"}


def test_unknown_period_and_window_are_told() -> None:
    with pytest.raises(InputError, match="did you mean 'growing'"):
        period_generators("growin", [["a"]], 0)
    with pytest.raises(InputError, match="window 1 does not exist"):
        period_generators("past", [["a"]], 1)


def extended(**days: str) -> Timeline:
    own = [Generator(name, date.fromisoformat(day)) for name, day in days.items()]
    return make_timeline((*PUBLISHED.generators, *own), days)


def test_later_generators_leave_the_published_windows_as_they_are() -> None:
    timeline = extended(A="2024-08-03", B="2025-01-01", C="2025-01-01", D="2025-02-02", E="2026-01-01")
    windows = generator_windows(timeline, 4)
    assert windows[:9] == generator_windows(PUBLISHED, 4)
    assert windows[9:] == (("A", "B", "C", "D"), ("E",))
    assert standard_windows(windows) == 9


@pytest.mark.parametrize(
    "timeline",
    [PUBLISHED, extended(A="2024-08-02"), extended(A="2021-01-01"), extended(A="2010-01-01"), make_timeline([])],
)
def test_others_have_no_standard_windows(timeline: Timeline) -> None:
    assert standard_windows(generator_windows(timeline, 4)) == 0
    # a last window that is short is filled
    assert standard_windows(generator_windows(extended(A="2026-01-01"), 5)) == 0


def test_windows_that_were_chosen_keep_their_rows_and_leave_the_others_the_rest() -> None:
    ids, windows = rows(), generator_windows(PUBLISHED, 4)
    whole = select_training_rows(ids, PUBLISHED, windows, "cumulative")
    same = select_training_rows(ids, PUBLISHED, windows, "cumulative", chosen=whole.own[:3])
    assert all(np.array_equal(a, b) for a, b in zip(whole.own, same.own, strict=True))
    more = np.concatenate([ids, np.zeros(50, dtype=np.int64)])
    kept = select_training_rows(more, PUBLISHED, windows, "cumulative", chosen=whole.own[:3])
    assert np.array_equal(kept.rows(2), whole.rows(2))
    assert not np.array_equal(kept.own[3], whole.own[3])
    assert len(np.unique(kept.rows(8))) == len(kept.rows(8))
