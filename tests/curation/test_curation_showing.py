"""Contact sheets show the samples that a run reads."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import aigenbench as ab
from aigenbench.cli import main
from aigenbench.curation.showing.choosing import choose
from aigenbench.curation.showing.sheet import SIDE, Sheet, fitted, write_sheet
from aigenbench.curation.showing.tiles import Shown, Tile, _tile, show_images, usable_rows
from aigenbench.data.pictures.decode import decode
from aigenbench.data.samples.batches import TrainingBatches
from aigenbench.data.samples.dataset import evaluation_rng, training_rng
from aigenbench.data.sources.opening import open_source
from aigenbench.engine.assembly.request import request
from aigenbench.engine.showing import BASELINE, Wanted, _by_default, _of_a_run

SMALL = {"model": {"model_input_size": 32, "evaluation_cropping_strategy": "multicrop"}}
WINDOWS = {"experiment_info": {"sliding_windows_definition": {"n_generators_per_window": 2}}}


def of_a_run(dataset: Path, split: str, *more: Any) -> tuple[Any, Any]:
    return _of_a_run(Wanted(str(dataset), split), request((*BASELINE, SMALL, WINDOWS, *more)))


@pytest.fixture
def train(small_dataset: Path) -> Any:
    return open_source(small_dataset).table("train")


@pytest.mark.parametrize("lasting", [True, False])
def test_training_tiles_are_the_batches_of_the_window(small_dataset: Path, lasting: bool) -> None:
    chosen = {"data": {"deterministic_augmentations": lasting, "augmentation_factor": 2, "train_batch_size": 4}}
    pipeline, model = of_a_run(small_dataset, "train", chosen)
    table = pipeline.source.table("train")
    for window, own in enumerate(model.plan.training.own):
        rows = model.plan.training.rows(window)
        batches = TrainingBatches(len(rows), 2, pipeline.arithmetic(), 1, window, 0)
        read = {}
        for keys, batch in zip(
            batches, pipeline.training_loader(model.plan, model.hooks, batches, window), strict=True
        ):
            for (position, copy, _), image in zip(keys, batch.images, strict=True):
                read[int(rows[position]), copy] = image.numpy().transpose(1, 2, 0)
        for shown in show_images(pipeline, "train", own[:4], model):
            assert [tile.title.partition(",")[0] for tile in shown.tiles] == [
                *("as stored", "mandatory steps", "mandatory steps"),
                *(f"trained on in window {window}",) * 2,
            ]
            assert np.array_equal(shown.tiles[0].pixels, decode(table.store.read(shown.row)))
            for copy in range(2):
                place = (window, 0) if not lasting else (None, None)
                rng = training_rng(4321, shown.row, copy, *place)("mandatory")
                mandatory = pipeline.mandatory_train_preprocessing()(shown.tiles[0].pixels, rng)
                assert np.array_equal(shown.tiles[1 + copy].pixels, mandatory)
                if (shown.row, copy) in read:
                    assert np.array_equal(shown.tiles[3 + copy].pixels, read.pop((shown.row, copy)))


@pytest.mark.parametrize("split", ["validation", "test"])
def test_evaluated_tiles_are_the_crops_of_the_evaluation(small_dataset: Path, split: str) -> None:
    pipeline, model = of_a_run(small_dataset, split)
    table = pipeline.source.table(split)
    rows = usable_rows(table, pipeline, model)
    crops: Iterator[Any] = (
        image.numpy().transpose(1, 2, 0)
        for batch in pipeline.evaluation_loader(model.plan, model.hooks, "validate")
        for image in batch.images
    )
    for shown in show_images(pipeline, table.split, rows, model):
        rng = evaluation_rng(4321, shown.row)("mandatory")
        stored, mandatory, *evaluated = shown.tiles
        assert np.array_equal(stored.pixels, decode(table.store.read(shown.row)))
        assert np.array_equal(mandatory.pixels, pipeline.mandatory_val_preprocessing()(stored.pixels, rng))
        assert len(evaluated) > 1
        assert all(np.array_equal(tile.pixels, next(crops)) for tile in evaluated)
    assert not list(crops)


def test_without_a_model_every_image_can_be_shown(small_dataset: Path) -> None:
    pipeline = _by_default(Wanted(str(small_dataset)))
    table = pipeline.source.table("train")
    (shown,) = show_images(pipeline, "train", usable_rows(table, pipeline, None)[-1:], None)
    assert (shown.row, shown.name) == (len(table) - 1, f"train_{len(table) - 1}.png")
    assert len(shown.tiles) == 5


def test_images_are_drawn_evenly_and_the_same_each_time(train: Any) -> None:
    every = np.arange(len(train))
    rows = choose(train, every, (), (), 14, 3)
    assert rows.tolist() == choose(train, every, (), (), 14, 3).tolist() != choose(train, every, (), (), 14, 4).tolist()
    codes = train.generator_codes[rows].tolist()
    assert {codes.count(code) for code in codes} == {2}
    real, adm = (choose(train, every, [name], (), 100, 0) for name in ("real", train.generator_names[codes[-1]]))
    assert len(real) == 27
    assert set(train.generator_codes[adm]) == {codes[-1]}
    assert choose(train, every, (), [5, 3], None, 0).tolist() == [5, 3]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((["CycleGun"], (), None), "no image of 'CycleGun'"),
        (((), [51], None), "has no row 51; rows are 0..50"),
        (((), [7], None), "row 7 of split 'train' is not used"),
        (((), [1], 3), "leave out generators and count"),
        ((["real"], [1], None), "leave out generators and count"),
        (((), (), 0), "1 to 100 images, found 0"),
        (((), [1] * 101, None), "at most 100 images, found 101"),
    ],
)
def test_what_cannot_be_shown_is_told(train: Any, arguments: tuple[Any, Any, Any], said: str) -> None:
    with pytest.raises(ab.InputError, match=said):
        choose(train, np.arange(5), *arguments, 0)
    with pytest.raises(ab.InputError, match="--timeline dates others"):
        choose(train, np.arange(0), ["real"], (), None, 0)


def test_finished_floats_are_shown_between_their_extremes() -> None:
    import torch

    crop = torch.linspace(-1, 1, 12).view(3, 2, 2)
    title, pixels = _tile("x", crop)
    assert title == "x, -1 to 1"
    assert (pixels.min(), pixels.max(), pixels.shape) == (0, 255, (2, 2, 3))
    assert _tile("x", torch.ones(3, 2, 2)).pixels.max() == 0


def sheet() -> Sheet:
    rng = np.random.default_rng(1)
    sizes = ((300, 500), (SIDE, SIDE), (20, 10))
    tiles = tuple(Tile(f"<b>{size}</b>", rng.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes)
    broken = Shown(2, "ADM", "b", (), "it ends early")
    return Sheet("two images & more", "", [Shown(1, "real", "a/ü.png", tiles), broken])


def test_the_page_holds_every_tile_pixel_for_pixel(tmp_path: Path) -> None:
    write_sheet(tmp_path / "a.html", sheet())
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    images = [Image.open(io.BytesIO(base64.b64decode(one))) for one in found]
    for image, tile in zip(images, sheet().images[0].tiles, strict=True):
        assert np.array_equal(image, fitted(tile))
    assert np.array_equal(images[1], sheet().images[0].tiles[1].pixels)
    assert [image.size for image in images] == [(SIDE, 134), (SIDE, SIDE), (10, 20)]
    assert "two images &amp; more" in text
    assert "&lt;b&gt;" in text
    assert "<b>" not in text
    assert "it ends early" in text
    assert not re.search(r"https?://", text)


def test_the_picture_holds_every_tile(tmp_path: Path) -> None:
    write_sheet(tmp_path / "a.png", sheet())
    pixels = np.asarray(Image.open(tmp_path / "a.png"))
    for tile in sheet().images[0].tiles:
        small = np.asarray(fitted(tile))
        windows = np.lib.stride_tricks.sliding_window_view(pixels[:, :, 0], small.shape[:2])
        tops, lefts = np.nonzero(windows[:, :, 0, 0] == small[0, 0, 0])
        places = zip(tops, lefts, strict=True)
        assert any(np.array_equal(pixels[y : y + len(small), x : x + small.shape[1]], small) for y, x in places)


def test_a_broken_image_is_told_on_the_sheet(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    (tmp_path / "index.csv").write_text("path,label,generator,split\na.png,real,,train\n")
    path = ab.show(tmp_path, output=tmp_path / "sheet.html")
    assert "image 0 of split &#39;train&#39; (a.png) cannot be read" in path.read_text(encoding="utf-8")


def test_the_command_and_the_call_write_the_same(
    small_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["data", "show", str(small_dataset), "--augmented", "--generator=real", "--count=2"]) == 0
    assert capsys.readouterr().out == "contact sheet: contact_sheet.png\n"
    ab.show(small_dataset, augmented=True, generators=["real"], count=2, output="called.png")
    assert Path("contact_sheet.png").read_bytes() == Path("called.png").read_bytes()
    config = [f"--config={BASELINE[0]}", "--model.model_name=small_cnn_tune", "--data.augmentation_factor=1"]
    assert main(["data", "show", str(small_dataset), "--index=0,3", "-o", "a.html", *config]) == 0
    assert Path("a.html").read_text(encoding="utf-8").count("trained on in window") == 2 * 2
    windows = "--experiment_info.sliding_windows_definition={n_generators_per_window: 1}"
    config += ["--experiment_info.strategy={replay: {budget: 20, selection: herding}}", windows, "--generator=BigGAN"]
    assert main(["data", "show", str(small_dataset), "--count=2", "-o", "b.html", *config]) == 0
    assert re.search("trained on in window [1-5]", Path("b.html").read_text(encoding="utf-8"))
    capsys.readouterr()
    for wrong in (
        ["-o", "a.gif"],
        ["--split=dev"],
        ["--index=a"],
        ["--seed=-1"],
        ["--generator=Midjourny"],
        ["--modle=1"],
    ):
        before = sorted(tmp_path.iterdir())
        assert main(["data", "show", str(small_dataset), *wrong]) == 2
        assert capsys.readouterr().err.count("\n") == 1
        assert sorted(tmp_path.iterdir()) == before
