from __future__ import annotations

import json
import logging
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigenbench.errors import InputError
from aigenbench.protocol.fingerprints import fingerprint, pairing_fingerprint, protocol_fingerprint
from aigenbench.protocol.pairing import evaluation_set
from aigenbench.protocol.timeline import PUBLISHED


@st.composite
def splits(draw: st.DrawFn) -> np.ndarray:
    fakes = draw(st.lists(st.integers(1, 5), min_size=12, max_size=60))
    fakes += [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    reals = draw(st.integers(12, 80))
    unknown = draw(st.integers(0, 5))
    ids = np.array(fakes + [0] * reals + [-1] * unknown)
    return np.random.default_rng(draw(st.integers(0, 9))).permutation(ids)


@given(splits())
def test_evaluation_sets_are_balanced_and_paired_one_to_one(ids: np.ndarray) -> None:
    chosen = evaluation_set(ids)
    assert len(set(chosen.ids.tolist())) == len(chosen.ids)
    assert np.array_equal(ids[chosen.ids], chosen.generator_ids)
    reals = chosen.generator_ids == 0
    assert reals.sum() == (~reals).sum() == min((ids == 0).sum(), (ids > 0).sum())
    assert (chosen.pairing[~reals] == -1).all()
    assert sorted(chosen.pairing[reals]) == sorted(chosen.generator_ids[~reals])


def test_selection_leaves_the_global_random_state_alone() -> None:
    random.seed(5)
    np.random.seed(5)
    before = random.getstate(), str(np.random.get_state())
    evaluation_set(np.array([0] * 9 + [1, 1, 2, 2]))
    assert (random.getstate(), str(np.random.get_state())) == before


def test_subset_that_is_uneven_drops_its_last_rows(caplog: pytest.LogCaptureFixture) -> None:
    ids = np.array([0] * 30 + [1] * 10 + [2] * 10 + [3] * 10)
    with caplog.at_level(logging.WARNING):
        chosen = evaluation_set(ids, 0.45)
    reals = chosen.generator_ids == 0
    assert reals.sum() == (~reals).sum()
    odd = evaluation_set(ids, 15)
    assert len(odd.ids) % 2 == 0
    assert "last rows are left out" in caplog.text or len(odd.ids) == 14


@pytest.mark.parametrize(
    ("subset", "said"),
    [
        (3, "cannot hold the 4 classes"),
        (1.5, "fraction"),
        (61, "asks for 61 of 60"),
        (0, "asks for 0"),
        (59, "at most 56"),
    ],
)
def test_bad_subsets_are_told(subset: float, said: str) -> None:
    ids = np.array([0] * 30 + [1] * 10 + [2] * 10 + [3] * 10)
    with pytest.raises(InputError, match=said):
        evaluation_set(ids, subset)


def test_a_split_of_one_class_is_told() -> None:
    off = "found 2 and 0, and 3 of generators that are not on the timeline"
    with pytest.raises(InputError, match=off):
        evaluation_set(np.array([0, -1, -1, 0, -1]))
    with pytest.raises(InputError, match="needs real and fake images; found 4 and 0"):
        evaluation_set(np.zeros(4, dtype=int))


def test_primitive_draws(golden_files: Path) -> None:
    golden = json.loads((golden_files / "primitives.json").read_text())
    assert random.Random(1337).sample(range(50), 10) == golden["random_sample_1337_from_range50_k10"]
    assert np.random.default_rng(1340).permutation(20).tolist() == golden["hf_shuffle_seed1340_n20"]


def test_fingerprints_tell_differences_apart() -> None:
    ids, pairing = np.arange(4), np.array([-1, 2, -1, 1])
    arguments: dict[str, Any] = {
        "timeline": PUBLISHED,
        "windows": [["ADM"]],
        "benchmark_type": "cumulative",
        "ids": ids,
        "pairing": pairing,
        "mandatory_evaluation": {"jpeg": "two_point"},
        "augmentations_base_seed": 4321,
    }
    seen = {protocol_fingerprint(**arguments)}
    for key, value in [
        ("timeline", PUBLISHED.restricted_to({"ADM"})),
        ("windows", [["ADM", "CIPS"]]),
        ("benchmark_type", "none"),
        ("ids", ids[::-1]),
        ("pairing", pairing[::-1]),
        ("mandatory_evaluation", {"jpeg": "uniform"}),
        ("augmentations_base_seed", 1),
    ]:
        seen.add(protocol_fingerprint(**{**arguments, key: value}))
    assert len(seen) == 8
    assert all(len(value) == 16 and int(value, 16) >= 0 for value in seen)
    assert pairing_fingerprint(ids, pairing) != pairing_fingerprint(ids[::-1], pairing)
    assert fingerprint({"a": 1, "b": "é"}) == fingerprint({"b": "é", "a": 1})
