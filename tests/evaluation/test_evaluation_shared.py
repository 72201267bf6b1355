"""Copies of one data set that hold their reals in other orders, compared image by image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.check import check_predictions
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions, assemble
from aigenbench.evaluation.predictions.record import Predictions
from aigenbench.evaluation.statistics.compare import compare
from aigenbench.evaluation.statistics.shared import shared_images
from aigenbench.protocol.fingerprints import pairing_fingerprint
from aigenbench.protocol.identity import data_fingerprint, image_keys
from aigenbench.protocol.pairing import evaluation_set

WINDOWS = (("A", "B"), ("C", "D"), ("E",))
NAMES = ("", "A", "B", "C", "D", "E")
PER_GENERATOR = 40
N = PER_GENERATOR * (len(NAMES) - 1)


def copy_of(order: np.ndarray | None = None, replaced: int = 0) -> list[str]:
    """Names of a copy's reals, in the order of their rows."""
    names = [f"real/{i}" for i in range(N)]
    names[:replaced] = [f"spare/{i}" for i in range(replaced)]
    return names if order is None else [names[i] for i in order]


def scored(reals: list[str], window: int, model: int) -> Predictions:
    """Predictions on a copy: a score is a function of the image, the model and the window alone."""
    names = [*(f"fake/{i}" for i in range(N)), *reals]
    of_row = np.concatenate([np.repeat(np.arange(1, len(NAMES)), PER_GENERATOR), np.zeros(N, dtype=np.int64)])
    chosen = evaluation_set(of_row)
    keys = image_keys(names[i] for i in chosen.ids)
    labels = (chosen.generator_ids > 0).astype(np.int64)
    noise = [np.random.default_rng([int(key), model, window]).normal() for key in keys]
    logits = (np.array(noise) + labels * (1 + 0.2 * model)).astype(np.float32)
    scores = (1 / (1 + np.exp(-logits))).astype(np.float32)
    fused = {
        "scores": scores,
        "labels": labels,
        "generator_ids": chosen.generator_ids,
        "identifiers": chosen.ids,
        "losses": np.zeros(len(keys), dtype=np.float32),
    }
    return Predictions(
        **{f"fused_{name}": value for name, value in fused.items()},
        **{f"crop_{name}": value for name, value in fused.items()},
        crop_to_image_index=np.arange(len(keys)),
        identifier=chosen.ids,
        pairing=chosen.pairing,
        generator_id_to_name=NAMES,
        windows_timeline=WINDOWS,
        fused_logits=logits,
        crop_logits=logits,
        window=window,
        benchmark_type="cumulative",
        pairing_fingerprint=pairing_fingerprint(chosen.ids, chosen.pairing),
        image_key=keys,
        data_fingerprint=data_fingerprint(keys, [NAMES[i] for i in chosen.generator_ids]),
    )


def experiment(name: str, reals: list[str], model: int = 0) -> ExperimentPredictions:
    return assemble(name, "validate", {k: scored(reals, k, model) for k in range(3)}, name)


SHUFFLED = np.random.default_rng(4).permutation(N)


def test_reals_in_another_order_are_one_data_set() -> None:
    a, b = experiment("a", copy_of()), experiment("b", copy_of(SHUFFLED))
    assert a.first.data_fingerprint == b.first.data_fingerprint
    assert a.first.image_key is not None
    assert b.first.image_key is not None
    # row by row they are other images, though the rows look the same
    assert np.array_equal(a.first.identifier, b.first.identifier)
    assert np.array_equal(a.first.pairing, b.first.pairing)
    assert (a.first.image_key != b.first.image_key).any()


def test_an_image_counts_once_in_both() -> None:
    a, b = experiment("a", copy_of()), experiment("b", copy_of(SHUFFLED))
    shared = shared_images([a, b])
    by_key = [
        dict(zip(e.first.image_key.tolist(), units.of_image.tolist(), strict=True))  # type: ignore[union-attr]
        for e, units in zip(shared.experiments, shared.units, strict=True)
    ]
    assert by_key[0] == by_key[1]
    assert len(set(by_key[0].values())) == 2 * N
    assert "reals are paired with another generator's fakes" in shared.notes[0]


def test_without_the_pairing_a_copy_with_reals_in_another_order_is_the_same_to_the_last_bit() -> None:
    a, b, again = experiment("a", copy_of()), experiment("b", copy_of(SHUFFLED)), experiment("again", copy_of())
    copies = compare([a, b], 50, pairing=False)["differences"][0]
    itself = compare([a, again], 50, pairing=False)["differences"][0]
    assert {k: v for k, v in copies.items() if k != "b"} == {k: v for k, v in itself.items() if k != "b"}
    assert itself["headline"]["difference"] == 0
    assert itself["headline"]["interval"] == [0, 0]


def test_with_the_pairing_each_keeps_its_periods_and_the_whole_is_the_same() -> None:
    a, b = experiment("a", copy_of()), experiment("b", copy_of(SHUFFLED))
    found = compare([a, b], 400)["differences"][0]
    low, high = found["headline"]["interval"]
    assert low < 0 < high
    # all images count in the last window's Past period, whatever they are paired with
    assert found["growing/2"]["difference"] == 0
    assert found["growing/2"]["interval"] == [0, 0]


def test_another_model_differs_alike_on_the_other_copy() -> None:
    a, better = experiment("a", copy_of()), experiment("better", copy_of(), model=3)
    elsewhere = experiment("better", copy_of(SHUFFLED), model=3)
    same, other = (compare([a, e], 400, pairing=False)["differences"][0]["headline"] for e in (better, elsewhere))
    assert other["difference"] == pytest.approx(same["difference"], abs=1e-12)
    # pairs of a fake and its real on the one copy, images by themselves on the other
    assert np.ptp(other["interval"]) == pytest.approx(np.ptp(same["interval"]), rel=0.25)


def test_a_tenth_of_the_reals_replaced_is_left_out_and_said() -> None:
    replaced = N // 10
    a, b = experiment("a", copy_of()), experiment("b", copy_of(SHUFFLED, replaced))
    assert a.first.data_fingerprint != b.first.data_fingerprint
    shared = shared_images([a, b])
    for e in shared.experiments:
        for p in e.windows.values():
            check_predictions(p, e.name)
            assert len(p) == 2 * N - replaced
    assert f"the {2 * N - replaced:,} images that all hold ({2 * N:,} of a, {2 * N:,} of b)" in shared.notes[0]
    assert "left out: rows" in shared.notes[0]
    assert f"and {replaced - 3:,} more of a" in shared.notes[0]
    found = compare([a, b], 50, pairing=False)
    assert found["differences"][0]["headline"]["difference"] == 0
    assert found["notes"][0] == shared.notes[0]


def test_no_image_in_common() -> None:
    a, b = experiment("a", copy_of()), experiment("b", copy_of())
    other = {k: replace(p, image_key=p.image_key + np.uint64(1)) for k, p in b.windows.items()}  # type: ignore[operator]
    with pytest.raises(InputError, match="a and b share no image"):
        shared_images([a, replace(b, windows=other)])


def test_an_image_of_two_generators() -> None:
    a, b = experiment("a", copy_of()), experiment("b", copy_of())
    p = b.first
    ids = p.fused_generator_ids.copy()
    row = int(np.flatnonzero(ids == 1)[0])
    ids[row] = 2
    wrong = replace(b, windows={0: replace(p, fused_generator_ids=ids)})
    with pytest.raises(InputError, match=f"disagree on the generator of 1 images, such as row {p.identifier[row]} "):
        shared_images([a, wrong])


def test_older_results_are_paired_by_row_only_where_somebody_knows() -> None:
    def older(e: ExperimentPredictions, fingerprint: str | None = None) -> ExperimentPredictions:
        windows = {k: replace(p, image_key=None, data_fingerprint=fingerprint) for k, p in e.windows.items()}
        return replace(e, windows=windows)

    a, b = experiment("a", copy_of()), experiment("b", copy_of(SHUFFLED))
    with pytest.raises(InputError, match=r"a and b: a result without image_key does not say .* --by-row"):
        compare([older(a), older(b)], 10)
    told = ["images are paired by row number, not by key"]
    assert compare([older(a), older(b)], 10, by_row=True)["notes"] == told
    assert compare([older(a, "0" * 16), older(b, "0" * 16)], 10)["notes"] == told
    with pytest.raises(InputError, match="without image_key"):
        compare([older(a, "0" * 16), older(b, "1" * 16)], 10)
    assert compare([older(a), b], 10, by_row=True)["notes"] == told


def test_keys_that_name_an_image_twice_are_refused() -> None:
    p = experiment("a", copy_of()).first
    assert p.image_key is not None
    doubled = p.image_key.copy()
    doubled[1] = doubled[0]
    with pytest.raises(InputError, match="image_key names an image twice"):
        check_predictions(replace(p, image_key=doubled), "file")
