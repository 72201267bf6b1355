from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluation_made_up import made_up, without_additions

from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.record import Predictions, load_predictions, save_predictions

KEYS = {
    "fused_scores",
    "fused_labels",
    "fused_generator_ids",
    "fused_identifiers",
    "fused_losses",
    "crop_scores",
    "crop_labels",
    "crop_generator_ids",
    "crop_identifiers",
    "crop_losses",
    "crop_to_image_index",
    "identifier",
    "generator_id_to_name",
    "windows_timeline",
    "pairing",
}


def test_a_round_trip_keeps_everything(tmp_path: Path) -> None:
    p = made_up(crops=3)
    save_predictions(tmp_path / "p.npz", p)
    assert load_predictions(tmp_path / "p.npz").equals(p)


def test_unequal_windows_are_padded_in_the_file_and_not_in_memory(tmp_path: Path) -> None:
    save_predictions(tmp_path / "p.npz", made_up())
    with np.load(tmp_path / "p.npz", allow_pickle=False) as archive:
        assert set(archive.files) >= KEYS
        assert archive["windows_timeline"].tolist() == [["A", "B"], ["C", "D"], ["E", ""]]
        assert archive["fused_scores"].dtype == archive["fused_logits"].dtype == np.float32
    assert load_predictions(tmp_path / "p.npz").windows_timeline == (("A", "B"), ("C", "D"), ("E",))


def test_the_same_predictions_give_the_same_bytes(tmp_path: Path) -> None:
    save_predictions(tmp_path / "a.npz", made_up())
    save_predictions(tmp_path / "b.npz", made_up())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_arrays_are_stored_in_the_types_of_the_file(tmp_path: Path) -> None:
    p = made_up()
    wide = replace(p, fused_scores=p.fused_scores.astype(np.float64), pairing=p.pairing.astype(np.int16))
    save_predictions(tmp_path / "p.npz", wide)
    assert load_predictions(tmp_path / "p.npz").equals(p)


def test_multiclass_arrays_travel(tmp_path: Path) -> None:
    p = made_up()
    classes = np.random.default_rng(0).random((len(p), 6)).astype(np.float32)
    p = replace(p, fused_multiclass_predictions=classes, crop_multiclass_predictions=classes)
    save_predictions(tmp_path / "p.npz", p)
    assert load_predictions(tmp_path / "p.npz").equals(p)


def test_the_older_layout_is_read_with_crop_indices_counted_by_batch(tmp_path: Path) -> None:
    p = without_additions(made_up(crops=2))
    arrays = {key: getattr(p, key) for key in KEYS}
    arrays["crop_to_image_index"] = np.asarray(p.crop_to_image_index % 16)
    arrays["windows_timeline"] = np.array([["A", "B"], ["C", "D"], ["E", ""]])
    arrays["generator_id_to_name"] = np.array(p.generator_id_to_name)
    np.savez(tmp_path / "p.npz", **arrays)
    assert load_predictions(tmp_path / "p.npz").equals(p)


def test_pairing_is_aligned_with_rows_in_another_order() -> None:
    p = made_up()
    order = np.random.default_rng(1).permutation(len(p))
    shuffled = replace(p, identifier=p.identifier[order], pairing=p.pairing[order])
    np.testing.assert_array_equal(shuffled.paired_generators(), p.pairing)


def _with(p: Predictions, name: str, row: int, value: float) -> Predictions:
    array = np.asarray(getattr(p, name)).copy()
    array[row] = value
    return replace(p, **{name: array, name.replace("fused_", "crop_"): array})


DEFECTS = {
    "NaN score": (
        lambda p: _with(p, "fused_scores", 3, np.nan),
        "1 of fused_scores are not in 0..1, such as nan in row 3",
    ),
    "infinite score": (lambda p: _with(p, "fused_scores", 3, np.inf), "not in 0..1, such as inf"),
    "NaN logit": (lambda p: _with(p, "fused_logits", 0, np.nan), "1 of fused_logits are not finite"),
    "doubled image": (lambda p: _with(p, "fused_identifiers", 1, p.fused_identifiers[0]), "more than once in fused_id"),
    "foreign image": (lambda p: _with(p, "fused_identifiers", 1, 10**9), "have no score, such as"),
    "missing image": (
        lambda p: replace(p, identifier=np.append(p.identifier, -5), pairing=np.append(p.pairing, -1)),
        "1 images of the evaluation set have no score, such as -5",
    ),
    "extra image": (
        lambda p: replace(p, identifier=p.identifier[:-1], pairing=p.pairing[:-1]),
        "1 images are not in the evaluation set",
    ),
    "label against generator": (lambda p: _with(p, "fused_labels", 0, 1 - p.fused_labels[0]), "label"),
    "label 2": (lambda p: _with(p, "fused_labels", 0, 2), "fused_labels must be 0 (real) or 1 (fake)"),
    "generator id": (lambda p: _with(p, "fused_generator_ids", 0, 99), "generator id is outside 0..5"),
    "pairing of a fake": (lambda p: replace(p, pairing=np.full(len(p), 1)), "pairing must hold"),
    "unpaired real": (lambda p: replace(p, pairing=np.full(len(p), -1)), "pairing must hold"),
    "short array": (
        lambda p: replace(p, fused_losses=p.fused_losses[1:]),
        "fused_losses has shape (199,), expected 200",
    ),
    "crop index": (lambda p: replace(p, crop_to_image_index=np.zeros(len(p))), "must name each of the 200 images"),
    "crops against images": (
        lambda p: replace(p, crop_identifiers=p.crop_identifiers[::-1]),
        "crop_identifiers contradicts fused_identifiers",
    ),
    "timeline": (lambda p: replace(p, windows_timeline=(("A", "Z"),)), "windows_timeline names 'Z'"),
    "names": (lambda p: replace(p, generator_id_to_name=("A", "")), "must start with"),
    "empty": (lambda p: replace(p, identifier=np.zeros(0, np.int64)), "no predictions"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_contradictions_are_one_line_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    spoil, message = DEFECTS[name]
    with pytest.raises(InputError) as caught:
        save_predictions(tmp_path / "p.npz", spoil(made_up()))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_predictions(tmp_path / "p.npz")


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut"])
def test_files_of_another_kind(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "p.npz").write_bytes(content)
    with pytest.raises(InputError, match="not a readable"):
        load_predictions(tmp_path / "p.npz")


def test_a_truncated_file(tmp_path: Path) -> None:
    save_predictions(tmp_path / "p.npz", made_up())
    content = (tmp_path / "p.npz").read_bytes()
    (tmp_path / "p.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="not a readable"):
        load_predictions(tmp_path / "p.npz")


def test_a_damaged_array(tmp_path: Path) -> None:
    save_predictions(tmp_path / "p.npz", made_up())
    content = bytearray((tmp_path / "p.npz").read_bytes())
    content[300:310] = bytes(10)
    (tmp_path / "p.npz").write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"not a readable zip file.*CRC"):
        load_predictions(tmp_path / "p.npz")


def _rewritten(path: Path, **changes: object) -> None:
    save_predictions(path, made_up())
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays.update(changes)  # type: ignore[arg-type]
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fused_scores": None}, "no array 'fused_scores'; found"),
        ({"fused_scores": np.array([{}], dtype=object)}, "not an array of numbers or text, but of \"{'descr': '|O'"),
        ({"fused_scores": np.array(["x"])}, "fused_scores must be of type float32, found <U1"),
        ({"fused_labels": np.zeros(200)}, "fused_labels must be of type int64, found float64"),
        ({"window": np.array([1, 2])}, "window must be a single int"),
        ({"benchmark_type": np.array(3)}, "benchmark_type must be a single str"),
        ({"schema_version": np.array(99)}, "schema version 99; this version reads up to 1"),
        ({"windows_timeline": np.array(["A"])}, "windows_timeline must be text in 2-D"),
    ],
)
def test_wrong_arrays(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    _rewritten(tmp_path / "p.npz", **changes)
    with pytest.raises(InputError) as caught:
        load_predictions(tmp_path / "p.npz")
    assert message in str(caught.value)
    assert str(tmp_path / "p.npz") in str(caught.value)


def test_a_decompression_bomb_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "p.npz", fused_scores=np.zeros(1_000_000, np.float32))
    monkeypatch.setattr("aigenbench.archives.ALWAYS_READ", 1_000_000)
    with pytest.raises(InputError, match="would unpack to 4000"):
        load_predictions(tmp_path / "p.npz")


@pytest.mark.parametrize("seen", [None, (), ("A", "D")])
def test_what_a_detector_of_elsewhere_had_seen_travels(seen: tuple[str, ...] | None, tmp_path: Path) -> None:
    p = replace(made_up(), knowledge="unknown", seen_generators=seen, evaluation_steps="as is")
    save_predictions(tmp_path / "p.npz", p)
    found = load_predictions(tmp_path / "p.npz")
    assert (found.knowledge, found.seen_generators, found.evaluation_steps) == ("unknown", seen, "as is")


def test_what_was_seen_is_among_the_generators_and_said_of_a_detector_of_elsewhere_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="seen_generators names 'Z', which generator_id_to_name lacks"):
        save_predictions(tmp_path / "p.npz", replace(made_up(), knowledge="x", seen_generators=("A", "Z")))
    with pytest.raises(InputError, match="seen_generators stands without knowledge"):
        save_predictions(tmp_path / "p.npz", replace(made_up(), seen_generators=("A",)))
    assert not (tmp_path / "p.npz").exists()
