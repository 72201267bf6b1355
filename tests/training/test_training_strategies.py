"""Which images windows train on under each strategy, against plain definitions; what is refused; runs with them."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigenbench.config.experiment import experiment_info
from aigenbench.errors import InputError
from aigenbench.protocol.windows import Rows, TrainingSelection
from aigenbench.training.strategies.registry import Strategies
from aigenbench.training.strategies.rows import herded
from aigenbench.training.strategies.selection import Selection, selected

sizes_of_windows = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=4), min_size=1, max_size=5)
"""Fakes of every generator, by window."""


def made_of(sizes: list[list[int]], seed: int = 0) -> tuple[tuple[Rows, ...], np.ndarray]:
    """Own rows of every window, reals as many as fakes and first, and the generator of every row of the split."""
    ids = [0] * sum(map(sum, sizes))
    for generator, n in enumerate((n for window in sizes for n in window), start=1):
        ids += [generator] * n
    random.Random(seed).shuffle(ids)
    generator_ids = np.array(ids)
    reals, own, first = np.flatnonzero(generator_ids == 0), [], 1
    for window in sizes:
        fakes = np.flatnonzero(np.isin(generator_ids, range(first, first + len(window))))
        own.append(np.concatenate([reals[: len(fakes)], fakes]))
        reals, first = reals[len(fakes) :], first + len(window)
    return tuple(own), generator_ids


def choice_of(strategy: Any, own: tuple[Rows, ...], ids: np.ndarray, factor: int = 4) -> TrainingSelection:
    training = TrainingSelection(own, "cumulative")
    keys = np.arange(len(ids), dtype=np.uint64)
    info = experiment_info({"strategy": strategy})
    return selected(training, Strategies.of(info.strategy), ids, lambda: keys, factor)


def features_of(own: tuple[Rows, ...], seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(len(rows), 3)).astype(np.float32) + k for k, rows in enumerate(own)]


def with_features(training: TrainingSelection, features: list[np.ndarray], folder: Any) -> TrainingSelection:
    assert isinstance(training.choice, Selection)
    training.choice.attach(lambda window: folder / str(window), features.__getitem__)
    return training


def check_memory(training: TrainingSelection, own: tuple[Rows, ...], ids: np.ndarray) -> None:
    """No row twice, the new window's first and whole, and nothing that was dropped comes back."""
    for window in range(len(own)):
        rows = training.rows(window)
        assert rows.dtype == np.int64
        assert len(set(rows.tolist())) == len(rows), "no image twice, real or fake"
        assert rows[: len(own[window])].tolist() == own[window].tolist()
        remembered = set(rows[len(own[window]) :].tolist())
        assert remembered <= (set(training.rows(window - 1).tolist()) if window else set())
        assert training.sizes(window, 4) == (len(rows), 4 * len(rows))


def kept_of(rows: Rows, own: Rows, ids: np.ndarray) -> dict[int, int]:
    """How many of a window's own rows are among others, by generator."""
    found = ids[rows[np.isin(rows, own)]]
    return {int(one): int((found == one).sum()) for one in np.unique(ids[own])}


@settings(max_examples=60, deadline=None)
@given(sizes_of_windows, st.integers(0, 99))
def test_harmonic_keeps_one_in_age_of_every_generator(sizes: list[list[int]], seed: int) -> None:
    own, ids = made_of(sizes, seed)
    training = choice_of({"harmonic": {"seed": seed}}, own, ids)
    check_memory(training, own, ids)
    for window in range(len(own)):
        for earlier in range(window + 1):
            age = window - earlier + 1
            kept = kept_of(training.rows(window), own[earlier], ids)
            fakes = {one: math.ceil(Fraction(int((ids == one).sum()), age)) for one in kept if one}
            assert kept == {0: sum(fakes.values()), **fakes}, "as many reals as fakes"


def test_harmonic_of_one_window_is_cumulative_and_so_is_power_0() -> None:
    own, ids = made_of([[5, 3], [4], [6, 2]])
    plain = TrainingSelection(own, "cumulative")
    assert choice_of("harmonic", own, ids).rows(0).tolist() == plain.rows(0).tolist()
    flat = choice_of({"harmonic": {"power": 0}}, own, ids)
    for window in range(3):
        assert flat.rows(window).tolist() == plain.rows(window).tolist()
    steep = choice_of({"harmonic": {"power": 9}}, own, ids)
    assert kept_of(steep.rows(2), own[0], ids) == {0: 2, 1: 1, 2: 1}


def test_harmonic_of_copies_keeps_every_image() -> None:
    own, ids = made_of([[5, 3], [4], [6, 2]])
    training = choice_of({"harmonic": {"of": "copies"}}, own, ids, factor=5)
    rows = training.rows(2)
    assert rows.tolist() == TrainingSelection(own, "cumulative").rows(2).tolist()
    copies = {row: 5 if row in own[2] else 3 if row in own[1] else 2 for row in rows.tolist()}
    expected = [place * 5 + copy for place, row in enumerate(rows.tolist()) for copy in range(copies[row])]
    found = training.samples(2, 5)
    assert found is not None
    assert found.tolist() == expected
    assert training.sizes(2, 5) == (len(rows), len(expected))


@settings(max_examples=60, deadline=None)
@given(sizes_of_windows, st.integers(0, 60), st.sampled_from(["balanced", "herding"]))
def test_a_budget_is_shared_evenly(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[list[int]], more: int, selection: str
) -> None:
    own, ids = made_of(sizes)
    budget = max(1, 2 * sum(map(len, sizes[:-1])) + more)
    training = choice_of({"replay": {"budget": budget, "selection": selection}}, own, ids)
    if selection == "herding":
        training = with_features(training, features_of(own), tmp_path_factory.mktemp("none"))
    check_memory(training, own, ids)
    for window in range(1, len(own)):
        rows, earlier = training.rows(window), [n for of_window in sizes[:window] for n in of_window]
        level = max(n for n in range(1, 10) if 2 * sum(min(n, of) for of in earlier) <= budget)
        assert len(rows) - len(own[window]) == 2 * sum(min(level, of) for of in earlier) <= budget
        for one in range(window):
            kept = kept_of(rows, own[one], ids)
            fakes = {id_: min(level, int((ids == id_).sum())) for id_ in kept if id_}
            assert kept == {0: sum(fakes.values()), **fakes}, "as many reals as fakes"


@settings(max_examples=40, deadline=None)
@given(sizes_of_windows, st.integers(0, 40), st.integers(0, 3))
def test_a_reservoir_is_algorithm_r(sizes: list[list[int]], more: int, seed: int) -> None:
    from aigenbench.protocol.randomness import sample_rng

    own, ids = made_of(sizes)
    budget = max(1, 2 * sum(map(len, sizes[:-1])) + more)
    training = choice_of({"replay": {"budget": budget, "selection": "reservoir", "seed": seed}}, own, ids)
    check_memory(training, own, ids)
    for window in range(1, len(own)):
        expected: set[int] = set()
        for label in (0, 1):
            rng, slots = sample_rng(seed, "train", label, 0, "reservoir"), []
            stream = [row for rows in own[:window] for row in rows.tolist() if (ids[row] > 0) == label]
            for i, row in enumerate(stream):
                if i < budget // 2:
                    slots.append(row)
                elif (place := rng.integers(0, i + 1)) < budget // 2:
                    slots[place] = row
            expected |= set(slots)
        assert set(training.rows(window)[len(own[window]) :].tolist()) == expected


def test_a_reservoir_keeps_all_with_the_same_probability() -> None:
    own, ids = made_of([[20], [20], [1]])
    counts = np.zeros(len(ids))
    for seed in range(400):
        training = choice_of({"replay": {"budget": 20, "selection": "reservoir", "seed": seed}}, own, ids)
        counts[training.rows(2)[2:]] += 1
    earlier = np.concatenate(own[:2])
    # 10 of 40 of each label: 100 times of 400, standard deviation 8.7
    assert np.abs(counts[earlier] - 100).max() < 5 * 8.7


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(0, 99))
def test_herding_is_the_greedy_match_of_the_mean(n: int, seed: int) -> None:
    features = np.random.default_rng(seed).normal(size=(n, 4)).astype(np.float32)
    unit = features / np.linalg.norm(features.astype(float), axis=1, keepdims=True)
    left, chosen = list(range(n)), []
    while left:
        gaps = {i: np.linalg.norm(unit.mean(axis=0) - unit[[*chosen, i]].mean(axis=0)) for i in left}
        chosen.append(min(left, key=gaps.__getitem__))
        left.remove(chosen[-1])
    found = herded(features, n).tolist()
    assert sorted(found) == list(range(n))
    # equals from where another choice is as near, which rounding decides
    assert found[:-2] == chosen[:-2]
    assert herded(features, n // 2).tolist() == found[: n // 2]


def test_herding_takes_the_features_of_the_window_that_images_come_from(tmp_path: Any) -> None:
    own, ids = made_of([[8], [8], [8]])
    features, asked = features_of(own), []
    training = choice_of({"replay": {"budget": 8, "selection": "herding"}}, own, ids)
    assert isinstance(training.choice, Selection)
    assert training.sizes(2, 1) == (24, 24), "sizes are known before"
    with pytest.raises(InputError, match="known when window 1 is trained"):
        training.rows(2)

    def features_after(window: int) -> np.ndarray:
        asked.append(window)
        return features[window]

    training.choice.attach(lambda window: tmp_path / str(window), features_after)
    first = [
        row for group in (0, 1) for row in own[0][ids[own[0]] == group][herded(of(features, own, ids, 0, group), 4)]
    ]
    assert training.rows(1)[16:].tolist() == first
    second = [
        row for group in (0, 2) for row in own[1][ids[own[1]] == group][herded(of(features, own, ids, 1, group), 2)]
    ]
    assert training.rows(2)[16:].tolist() == [*second, *first[:2], *first[4:6]]
    assert asked == [0, 1]


def of(features: list[np.ndarray], own: tuple[Rows, ...], ids: np.ndarray, window: int, generator: int) -> np.ndarray:
    return features[window][ids[own[window]] == generator]


def test_new_window_is_what_continual_learning_does() -> None:
    own, ids = made_of([[5, 3], [4], [6, 2]])
    for window in range(3):
        rows = choice_of("new_window", own, ids).rows(window)
        assert rows.tolist() == TrainingSelection(own, "continual_learning").rows(window).tolist()


def test_the_default_is_untouched() -> None:
    own, ids = made_of([[5, 3], [4]])
    for strategy in (None, "cumulative", {"cumulative": None}):
        training = choice_of(strategy, own, ids)
        assert training.rows(1).tolist() == TrainingSelection(own, "cumulative").rows(1).tolist()
        assert training.samples(1, 4) is None
    assert choice_of(None, own, ids).choice is None
