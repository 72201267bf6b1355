from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from aigenbench.cli import main
from aigenbench.data.demo import make_demo_data, traces, writer
from aigenbench.data.demo.camera import encode, photograph, recompress, to_pixels
from aigenbench.data.demo.generators import FAMILIES, stand_ins
from aigenbench.data.demo.rows import Row, make_row, plan_split
from aigenbench.data.demo.scenes import render_scene
from aigenbench.data.sources.opening import open_source
from aigenbench.errors import InputError
from aigenbench.protocol.timeline import PUBLISHED

COLUMNS = (
    *("image", "height", "width", "label", "generator", "file_id", "description"),
    *("positive_prompt", "negative_prompt", "conditioning", "origin_dataset", "paired_real_images"),
)
GENERATORS, TRAIN, VALIDATION = 3, 4, 2


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "set"
    make_demo_data(out, GENERATORS, TRAIN, VALIDATION, seed=3)
    return out


def rows_of(folder: Path, split: str) -> list[dict[str, Any]]:
    (name,) = (f["filename"] for f in json.loads((folder / split / "state.json").read_text())["_data_files"])
    table = pa.ipc.open_stream(pa.memory_map(str(folder / split / name))).read_all()
    assert tuple(table.column_names) == COLUMNS
    return table.to_pylist()


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_opens_with_datasets(demo: Path) -> None:
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_from_disk(str(demo))
    assert sorted(loaded) == ["train", "validation"]
    split = loaded["validation"]
    assert tuple(split.features) == COLUMNS
    assert isinstance(split.features["image"], datasets.Image)
    assert split.features["label"].names == ["real", "fake"]
    assert split.features["height"].dtype == "uint32"
    row = split[0]
    assert row["image"].size == (row["width"], row["height"])
    assert row["paired_real_images"] == []


@pytest.mark.parametrize(("split", "count"), [("train", TRAIN), ("validation", VALIDATION)])
def test_as_many_reals_as_fakes_of_each_generator(demo: Path, split: str, count: int) -> None:
    rows = rows_of(demo, split)
    expected = dict.fromkeys(PUBLISHED.names[:GENERATORS], count) | {"": GENERATORS * count}
    assert Counter(row["generator"] for row in rows) == expected
    assert all(row["label"] == int(row["generator"] != "") for row in rows)
    assert all(row["origin_dataset"].startswith("demo-") and row["description"] for row in rows)


def test_file_ids_are_unique_over_the_splits(demo: Path) -> None:
    ids = [row["file_id"] for split in ("train", "validation") for row in rows_of(demo, split)]
    assert len(set(ids)) == len(ids) == 2 * GENERATORS * (TRAIN + VALIDATION)


def test_reals_and_fakes_have_the_same_files(demo: Path) -> None:
    sides: list[Counter[Any]] = [Counter(), Counter()]
    for row in rows_of(demo, "train"):
        with Image.open(io.BytesIO(row["image"]["bytes"])) as image:
            assert image.size == (row["width"], row["height"])
            assert image.mode == "RGB"
            tables = getattr(image, "quantization", None)
            sides[row["label"]][image.format, image.size, str(tables)] += 1
    assert sides[0] == sides[1]


def test_sizes_and_formats_are_mixed() -> None:
    files = [row.file for row in plan_split("train", 36, 16, 0) if row.maker >= 0]
    shares = Counter(file.image_format for file in files)
    assert shares["jpeg"] > shares["png"] > shares["webp"] > 0.05 * len(files)
    heights = np.array([file.height for file in files])
    assert heights.min() >= 96
    assert len(set(heights.tolist())) > 50
    assert (heights > 224).any()


def test_opens_as_a_source(demo: Path) -> None:
    table = open_source(str(demo)).table("train")
    assert len(table.labels) == 2 * GENERATORS * TRAIN


def test_equal_seeds_give_equal_bytes_whatever_the_processes(tmp_path: Path) -> None:
    make_demo_data(tmp_path / "a", 1, 20, 1, seed=5, processes=1)
    make_demo_data(tmp_path / "b", 1, 20, 1, seed=5, processes=2)
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")


def test_seeds_differ(tmp_path: Path) -> None:
    for seed in (0, 1):
        make_demo_data(tmp_path / str(seed), 1, 1, 1, seed)
    pictures = [{row["image"]["bytes"] for row in rows_of(tmp_path / str(seed), "train")} for seed in (0, 1)]
    assert not pictures[0] & pictures[1]


def test_splits_share_no_picture(demo: Path) -> None:
    train, validation = ({r["image"]["bytes"] for r in rows_of(demo, s)} for s in ("train", "validation"))
    assert not train & validation
    assert len(train) == 2 * GENERATORS * TRAIN


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"generators": 37}, "1 to 36 generators, found 37"),
        ({"generators": 0}, "found 0"),
        ({"train": 0}, "train to be at least 1"),
        ({"validation": -1}, "validation to be at least 1"),
        ({"seed": -1}, "seed"),
    ],
)
def test_numbers_out_of_range(tmp_path: Path, arguments: dict[str, int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        make_demo_data(tmp_path / "out", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kept.txt").write_text("kept")
    assert main(["demo-data", str(tmp_path), "--generators", "1"]) == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1
    assert "not an empty folder" in error
    assert [p.name for p in tmp_path.iterdir()] == ["kept.txt"]


def test_a_place_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="not an empty folder"):
        make_demo_data(tmp_path / "file")
    with pytest.raises(InputError, match="cannot make"):
        make_demo_data(tmp_path / "file" / "out")


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert main(["demo-data", str(out), "--generators", "1", "--train", "1", "--validation", "1"]) == 0
    assert len(rows_of(out, "train")) == 2


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails_later(rows: list[Row], seed: int) -> list[dict[str, Any]]:
        if rows[0].split == "validation":
            raise RuntimeError("stopped")
        return [make_row(row, seed) for row in rows]

    monkeypatch.setattr(writer, "make_rows", fails_later)
    with pytest.raises(RuntimeError, match="stopped"):
        make_demo_data(tmp_path / "out", 1, 1, 1)
    assert list(tmp_path.iterdir()) == []


def test_progress_counts_to_the_end(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    make_demo_data(tmp_path / "out", 1, 2, 1, progress=lambda made, total: told.append((made, total)))
    assert told == [(4, 6), (6, 6)]


def spectrum(picture: np.ndarray) -> np.ndarray:
    return np.abs(np.fft.fft2(picture.mean(2) - picture.mean()))


def test_the_lattice_peaks_at_its_periods_and_nowhere_else() -> None:
    tile = traces.lattice_tile(np.random.default_rng(0), (1.0, 1.0, 1.0))
    assert tile.shape == (8, 8, 3)
    assert abs(tile.mean()) < 1e-6
    power = spectrum(traces.tiled(tile, 64, 64))
    on_grid = np.zeros((64, 64), bool)
    on_grid[::8, ::8] = True
    assert power[~on_grid].max() < 1e-3 * power[on_grid].max()


def test_the_patch_grid_repeats_its_entries() -> None:
    book = traces.codebook(np.random.default_rng(0), 6, 8)
    grid = traces.patchwork(np.full((40, 56, 3), 90, np.float32), book)
    assert grid.shape == (40, 56, 3)
    cells = grid.reshape(5, 8, 7, 8, 3).transpose(0, 2, 1, 3, 4)
    assert np.array_equal(cells, np.broadcast_to(cells[0, 0], cells.shape))


def test_smoothing_takes_fine_detail_and_sharpening_adds_it() -> None:
    noisy = np.random.default_rng(0).normal(128, 5, (64, 64, 3)).astype(np.float32)
    for smoother in (traces.denoised(noisy, 2.0, 30.0), traces.resampled(noisy, 1.5, 2)):
        assert smoother.std() < 0.7 * noisy.std()
    assert traces.sharpened(noisy, 2.0, 1.0).std() > 1.3 * noisy.std()


def test_stand_ins_are_the_timelines_first_in_families_by_date() -> None:
    made = stand_ins(36)
    assert tuple(one.name for one in made) == PUBLISHED.names
    assert [FAMILIES.index(one.family) for one in made] == sorted(FAMILIES.index(one.family) for one in made)
    assert len({one.family for one in made}) == len(FAMILIES) > 2
    # a new one arrives within the timeline, so that some Next period is of an unseen family
    assert all(family.first % 4 in (0, 2) for family in FAMILIES)


@pytest.mark.parametrize("place", [0, 11, 13, 22, 35])
def test_a_stand_in_leaves_a_trace_but_keeps_the_picture(place: int) -> None:
    scene, _ = render_scene(np.random.default_rng(4), 120, 160)
    picture, noise = photograph(np.random.default_rng(5), scene)
    maker = stand_ins(36)[place]
    fake, again = (maker.forge(np.random.default_rng(6), picture, noise) for _ in range(2))
    assert np.array_equal(fake, again)
    assert fake.dtype == np.float32
    assert np.abs(fake - picture).mean() > 0.5
    assert np.corrcoef(fake.ravel(), picture.ravel())[0, 1] > 0.8


def test_photographs_fall_off_like_photographs() -> None:
    slopes = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        scene, _ = render_scene(rng, 128, 128)
        picture, _ = photograph(rng, scene)
        assert scene.min() >= 0
        assert np.isfinite(picture).all()
        window = np.hanning(128)[:, None, None] * np.hanning(128)[None, :, None]
        power = spectrum((picture - picture.mean()) * window)
        radius = np.hypot(*np.meshgrid(np.fft.fftfreq(128, 1 / 128), np.fft.fftfreq(128, 1 / 128)))
        bands = [power[(radius >= low) & (radius < 2 * low)].mean() for low in (4, 8, 16)]
        slopes.append(np.polyfit(np.log2([4, 8, 16]), np.log2(bands), 1)[0])
    # amplitudes of natural images fall about as 1/f
    assert -2.2 < np.mean(slopes) < -0.6


@pytest.mark.parametrize(("image_format", "name"), [("jpeg", "JPEG"), ("png", "PNG"), ("webp", "WEBP")])
def test_encode(image_format: str, name: str) -> None:
    pixels = np.zeros((40, 50, 3), np.uint8)
    pixels[..., 0] = 200
    with Image.open(io.BytesIO(encode(pixels, image_format, 90))) as image:
        assert image.format == name
        assert np.abs(np.asarray(image.convert("RGB")).astype(int) - pixels).mean() < 4


def test_recompress_keeps_the_channels_in_order() -> None:
    pixels = np.zeros((40, 48, 3), np.uint8)
    pixels[..., 2] = 180
    assert np.abs(recompress(pixels, 90).astype(int) - pixels).mean() < 4


def test_to_pixels_rounds_and_clips() -> None:
    assert to_pixels(np.array([-3.0, 1.6, 300.0], np.float32)).tolist() == [0, 2, 255]


def test_a_timeline_adds_rows_and_changes_none(demo: Path, tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("generator,date\nLater,2026-02-02\nNew,2026-01-01\n")
    make_demo_data(tmp_path / "more", GENERATORS, TRAIN, VALIDATION, seed=3, timeline=tmp_path / "own.csv")
    before, after = rows_of(demo, "train"), rows_of(tmp_path / "more", "train")
    assert after[: len(before)] == before
    added = [row["generator"] for row in after[len(before) :]]
    assert added == [*[""] * TRAIN, *["New"] * TRAIN, *[""] * TRAIN, *["Later"] * TRAIN]
    assert len({row["file_id"] for row in after}) == len(after)


def test_a_timeline_that_replaces_the_published_one_makes_no_demo(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("extend: false\ngenerators: {New: 2026-01-01}\n")
    with pytest.raises(InputError, match="replaces the published timeline"):
        make_demo_data(tmp_path / "more", timeline=tmp_path / "own.yaml")
