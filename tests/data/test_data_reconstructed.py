"""Reconstructions of reals: which there are, where they lie, and what of a window they are."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aigenbench.data import AIGenBenchDatasetLoader, AIGenBenchPipeline
from aigenbench.data.samples.dataset import read_image
from aigenbench.data.store import pictures_in, stores_in
from aigenbench.data.store.identity import table_identity
from aigenbench.data.store.pictures import Pictures, WithPictures
from aigenbench.data.views.reconstructed import Reals, Reconstruct
from aigenbench.errors import InputError
from aigenbench.protocol.published import MAXIMUM_PROCESSING_SIZE
from aigenbench.protocol.windows import Rows


def pipeline(dataset: Path, folder: Path, **more: Any) -> AIGenBenchPipeline:
    loader = AIGenBenchDatasetLoader(str(dataset))
    return AIGenBenchPipeline(loader, num_workers=0, cache_folder=str(folder), **more)


def rows_of(dataset: Path, vae: Path, share: float, benchmark_type: str = "cumulative") -> list[set[int]]:
    """Of each of three windows, the rows of the reals that it trains on as fakes too."""
    one = pipeline(dataset, Path("unused"), reconstruct={"vae": str(vae), "share": share})
    plan, n = one.plan(2, benchmark_type), len(one.source.table("train"))
    return [{row - n for row in plan.training.rows(k).tolist() if row >= n} for k in range(3)]


def test_a_share_of_each_windows_own_reals(small_dataset: Path, tiny_vae: Path, tmp_path: Path) -> None:
    one = pipeline(small_dataset, tmp_path, reconstruct={"vae": str(tiny_vae), "share": 0.75})
    plain = pipeline(small_dataset, tmp_path).plan(2)
    plan, table = one.plan(2), one.train_table
    n, ids = len(table) // 2, table.generator_ids(plan.timeline)
    made = rows_of(small_dataset, tiny_vae, 0.75)
    for k in range(3):
        rows = plan.training.rows(k)
        assert len(rows) == len(set(rows.tolist())), "none twice"
        assert np.array_equal(rows[rows < n], plain.training.rows(k)), "the protocol's own come first, as they are"
        assert (table.labels[rows[rows >= n]] == 1).all()
        assert (ids[rows[rows >= n]] == -1).all(), "of no generator of the timeline"
        own = plain.training.own[k]
        reals = set(own[table.labels[own] == 0].tolist())
        new = made[k] - (made[k - 1] if k else set())
        assert new <= reals, "a window's reconstructions are of its own reals"
        assert len(new) == round(0.75 * len(reals)) == 6
    fresh = rows_of(small_dataset, tiny_vae, 0.75, "continual_learning")
    assert fresh[2] == made[2] - made[1]
    assert rows_of(small_dataset, tiny_vae, 0.75) == made, "drawn from the seed alone"


class Chosen:
    """A strategy's choice: the window's own rows whole, one of every two older rows in one copy alone."""

    def __init__(self, own: tuple[Rows, ...]) -> None:
        self._own = own

    def rows(self, window: int) -> Rows:
        return np.concatenate([self._own[window], *(rows[::2] for rows in self._own[:window])])

    candidates = rows

    def copies(self, window: int, factor: int) -> Rows:
        new = len(self._own[window])
        return np.concatenate([np.full(new, factor), np.ones(len(self.rows(window)) - new, dtype=np.int64)])

    def sizes(self, window: int, factor: int) -> tuple[int, int]:
        return len(self.rows(window)), int(self.copies(window, factor).sum())


def test_they_follow_the_reals_that_a_strategy_chooses(small_dataset: Path, tiny_vae: Path, tmp_path: Path) -> None:
    one = pipeline(small_dataset, tmp_path, reconstruct={"vae": str(tiny_vae), "share": 0.5})
    selection, n = one.plan(2).training, len(one.source.table("train"))
    choice = Chosen(selection.own)
    chosen = replace(selection, choice=choice)
    assert selection.made is not None
    for k in range(3):
        rows, copies = choice.rows(k).tolist(), dict(zip(choice.rows(k).tolist(), choice.copies(k, 3), strict=True))
        expected = [*rows, *(n + row for row in rows if selection.made[row])]
        assert chosen.rows(k).tolist() == chosen.candidates(k).tolist() == expected
        samples = chosen.samples(k, 3)
        assert samples is not None
        drawn = [(expected[sample // 3], sample % 3) for sample in samples.tolist()]
        assert drawn == [(row, copy) for row in expected for copy in range(copies[row % n])]
        assert chosen.sizes(k, 3) == (len(expected), len(drawn))
        assert selection.samples(k, 3) is None
        assert selection.sizes(k, 3) == (len(selection.rows(k)), 3 * len(selection.rows(k)))


def test_a_smaller_share_is_within_a_larger_one(small_dataset: Path, tiny_vae: Path) -> None:
    shares = [rows_of(small_dataset, tiny_vae, share) for share in (0.25, 0.5, 1.0)]
    for smaller, larger in itertools.pairwise(shares):
        assert all(a < b for a, b in zip(smaller, larger, strict=True))


def test_the_evaluation_is_the_same_and_the_training_another(
    small_dataset: Path, tiny_vae: Path, tmp_path: Path
) -> None:
    plain = pipeline(small_dataset, tmp_path)
    runs = [pipeline(small_dataset, tmp_path, reconstruct={"vae": str(tiny_vae), "share": s}) for s in (0.5, 1)]
    fingerprints = set()
    for one in (plain, *runs):
        plan = one.plan(2)
        assert plan.fingerprint(one.describe_mandatory_evaluation(), 4) == plain.plan(2).fingerprint(
            plain.describe_mandatory_evaluation(), 4
        )
        fingerprints.add(one.training_fingerprint(plan, 1))
        assert bool(plan.off_protocol) == (one is not plain)
        assert not one.plan(2, stage="validate").off_protocol, "weights say themselves how they were trained"
    assert len(fingerprints) == 3
    (reason,) = runs[0].plan(2).off_protocol
    assert reason.startswith("50 % of the training reals also as fakes, reconstructed by the autoencoder vae")


def test_another_autoencoder_or_size_is_another_store(small_dataset: Path, tiny_vae: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for path in tiny_vae.iterdir():
        data = bytearray(path.read_bytes())
        (other / f"renamed_{path.name}").write_bytes(data)
    given = [{"vae": str(tiny_vae)}, {"vae": str(other)}, {"vae": str(tiny_vae), "size": 16}]
    one, same, smaller = (pipeline(small_dataset, tmp_path, reconstruct=g).train_table for g in given)
    assert isinstance(one, WithPictures)
    assert table_identity(one) == table_identity(same), "by content, wherever it lies"
    assert table_identity(one) != table_identity(smaller)
    (other / "renamed_tiny_decoder.pth").write_bytes(b"another")
    assert table_identity(one) != table_identity(pipeline(small_dataset, tmp_path, reconstruct=given[1]).train_table)
    assert table_identity(one) != table_identity(one.base)


def test_larger_reals_are_cut_about_their_middle(small_dataset: Path, tmp_path: Path) -> None:
    table = pipeline(small_dataset, tmp_path).source.table("train")
    whole = read_image(table, 3)
    assert whole.shape == (40, 48, 3)
    row, cut = Reals(table, 44)[3]
    assert row == 3
    assert np.array_equal(cut, whole[:, 2:46])
    assert np.array_equal(Reals(table, 17)[3][1], whole[11:28, 15:32])
    for size in (None, 1080):
        assert np.array_equal(Reals(table, size)[3][1], whole)


def test_a_made_picture_is_read_as_any(small_dataset: Path, tiny_vae: Path, tmp_path: Path) -> None:
    table = pipeline(small_dataset, tmp_path, reconstruct={"vae": str(tiny_vae)}).train_table
    assert isinstance(table, WithPictures)
    n = len(table.base)
    picture = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    table.pictures.write(4, picture)
    assert np.array_equal(read_image(table, n + 4), picture)
    assert np.array_equal(read_image(table, 4), read_image(table.base, 4))
    assert table.pictures.open().tolist() == [4]
    table.check(np.array([0, n - 1, n + 4]))
    with pytest.raises(InputError, match=r"1 of 2 reconstructions are not in .*'aigenbench fit' makes them"):
        table.check(np.array([n + 4, n + 6, 6]))
    with pytest.raises(InputError, match=rf"image {n + 5} of split 'train' \(.*5\.png\) cannot be read"):
        read_image(table, n + 5)


def test_stores_of_pictures_are_found_and_damage_is_told(tmp_path: Path) -> None:
    store = Pictures(tmp_path, "made", {"seed": 1})
    for row in (3, 1002):
        store.write(row, np.full((4, 5, 3), row % 256, np.uint8))
    (found,) = pictures_in(tmp_path)
    assert found.folder == store.folder
    assert found.open().tolist() == [3, 1002]
    assert not stores_in(tmp_path)
    assert not found.verify()
    path = store.path(1002)
    path.write_bytes(path.read_bytes()[:40])
    assert list(found.verify()) == [path]
    assert list(found.verify(remove=True)) == [path]
    assert found.open().tolist() == [3]
    identity = json.loads((store.folder / "pictures.json").read_text())
    (store.folder / "pictures.json").write_text(json.dumps(identity | {"identity": {"seed": 2}}))
    with pytest.raises(InputError, match="tells of other pictures than the folder's name says"):
        pictures_in(tmp_path)


def test_a_disk_without_room(tmp_path: Path) -> None:
    store = Pictures(tmp_path, "made", {})
    store.check_room(10.0)
    with pytest.raises(InputError, match=r"takes about 2e\+09 GB more; .* GB are free: make room"):
        store.check_room(1e18)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"vea": "x"}, "unknown 'vea'; known: vae, share, size; did you mean 'vae'"),
        ({"share": 0.5}, "vae must name the file or folder of an autoencoder, found None"),
        ({"vae": "x", "share": 0}, "share must be a number above 0 and up to 1, found 0"),
        ({"vae": "x", "share": True}, "share must be a number above 0 and up to 1, found True"),
        ({"vae": "x", "share": 1.5}, "share must be"),
        ({"vae": "x", "size": 0}, "size must be a whole number from 1, or null for no limit, found 0"),
        ({"vae": "x", "size": "big"}, "size must be"),
    ],
)
def test_what_cannot_be_is_refused_by_name(given: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=rf"data\.reconstruct: {told}"):
        Reconstruct.of(given)


def test_nothing_asked_for_and_nothing_there(small_dataset: Path, tiny_vae: Path, tmp_path: Path) -> None:
    assert Reconstruct.of(None) is None
    assert Reconstruct.of({"vae": "x"}) == Reconstruct(Path("x"), 0.5, MAXIMUM_PROCESSING_SIZE)
    absent = pipeline(small_dataset, tmp_path, reconstruct={"vae": str(tmp_path / "absent")})
    absent.plan(2, stage="validate")
    with pytest.raises(InputError, match=r"data\.reconstruct: no autoencoder .*absent"):
        absent.plan(2)
    with pytest.raises(InputError, match=r"share 0\.01 of the 8 reals of window 0 is no image"):
        pipeline(small_dataset, tmp_path, reconstruct={"vae": str(tiny_vae), "share": 0.01}).plan(2)


def test_which_reals_does_not_depend_on_their_rows(small_dataset: Path, tiny_vae: Path, tmp_path: Path) -> None:
    one = pipeline(small_dataset, tmp_path)
    plan, n = one.plan(2), len(one.source.table("train"))
    is_real, keys = one.source.table("train").labels == 0, one.training_keys
    order = np.random.default_rng(1).permutation(n)
    place = np.argsort(order)
    moved = replace(plan, training=replace(plan.training, own=tuple(place[rows] for rows in plan.training.own)))
    asked = Reconstruct(tiny_vae)
    here = asked.in_plan(plan, is_real, keys, 7).training.made
    there = asked.in_plan(moved, is_real[order], keys[order], 7).training.made
    assert here is not None
    assert there is not None
    assert np.array_equal(there, here[order])
    assert not np.array_equal(here, asked.in_plan(plan, is_real, keys, 8).training.made)
