"""What is told of a data set is what was put into it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import aigenbench as ab
from aigenbench.cli import main
from aigenbench.curation.stats import Spread

SHAPES = [(40, 20), (60, 30), (90, 30)]


def stored(number: int, form: str, **how: Any) -> bytes:
    width, height = SHAPES[number % 3]
    pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(how.pop("mode", "RGB")).save(buffer, form, **how)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    camera = Image.Exif()
    camera[0x110] = "camera"
    plan = [
        *(
            ("train", "", "COCO", stored(n, "JPEG", quality=(75, 90, 95)[n], subsampling=n, exif=camera))
            for n in range(3)
        ),
        *(("train", "", "RAISE", stored(n, "PNG")) for n in range(3)),
        *(("train", "ProGAN", "", stored(n, "PNG", mode=("RGB", "RGBA", "RGB")[n])) for n in range(3)),
        ("train", "ProGAN", "", b"damaged"),
        *(("train", "CycleGAN", "", stored(n, "WEBP")) for n in range(3)),
        *(("validation", "Nobody's", "", stored(n, "PNG")) for n in range(3)),
        ("validation", "", "COCO", stored(1, "PNG")),
    ]
    rows = []
    for number, (split, generator, origin, content) in enumerate(plan):
        path = f"{number:02d}"
        (folder / path).write_bytes(content)
        label = "fake" if generator else "real"
        rows.append({"path": path, "split": split, "generator": generator, "label": label, "origin_dataset": origin})
    with (folder / "index.csv").open("w", newline="") as target:
        writer = csv.DictWriter(target, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def test_groups_come_by_split_and_date_with_what_their_files_are(data: Path) -> None:
    found = ab.stats(data)
    assert [(one.split, one.generator, one.origin, one.images) for one in found.groups] == [
        ("train", "", "COCO", 3),
        ("train", "", "RAISE", 3),
        ("train", "CycleGAN", "", 3),
        ("train", "ProGAN", "", 4),
        ("validation", "", "COCO", 1),
        ("validation", "Nobody's", "", 3),
    ]
    coco, _, cyclegan, progan, _, nobody = found.groups
    assert (coco.width, coco.height, coco.aspect) == (Spread(40, 60, 90), Spread(20, 30, 30), Spread(2, 2, 3))
    assert coco.formats == {"JPEG": 3}
    assert coco.jpeg_quality == Spread(75, 90, 95)
    assert coco.subsampling == {"4:4:4": 1, "4:2:2": 1, "4:2:0": 1}
    assert coco.exif == 3
    assert coco.bytes == sum(path.stat().st_size for path in sorted(data.glob("0*"))[:3])
    assert (cyclegan.formats, cyclegan.released, cyclegan.jpeg_quality) == ({"WebP": 3}, "2017-03-30", None)
    assert (progan.unreadable, progan.modes, progan.exif) == (1, {"RGB": 2, "RGBA": 1}, 0)
    assert nobody.released is None


def test_a_split_and_generators_alone(data: Path) -> None:
    found = ab.stats(data, splits=["train"], generators=["real", "ProGAN"])
    assert [(one.split, one.generator, one.origin) for one in found.groups] == [
        ("train", "", "COCO"),
        ("train", "", "RAISE"),
        ("train", "ProGAN", ""),
    ]


def test_a_timeline_of_ones_own_orders_and_dates(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        """extend: false\ngenerators: {"Nobody's": 2000-01-01, ProGAN: 2001-01-01, CycleGAN: 2002-01-01}\n"""
    )
    found = ab.stats(data, timeline=path)
    days = [(one.generator, one.released) for one in found.groups if one.generator]
    assert days == [("ProGAN", "2001-01-01"), ("CycleGAN", "2002-01-01"), ("Nobody's", "2000-01-01")]


def test_a_data_set_that_changed_is_read_anew(tmp_path: Path, data: Path) -> None:
    folder = tmp_path / "changing"
    folder.mkdir()
    header = "path,split,generator,label\n"
    (folder / "index.csv").write_text(f"{header}a,train,,real\n")
    (folder / "a").write_bytes(stored(0, "PNG"))
    assert ab.stats(folder).groups[0].images == 1
    (folder / "index.csv").write_text(f"{header}a,train,,real\nb,train,,real\n")
    (folder / "b").write_bytes(stored(1, "JPEG"))
    assert ab.stats(folder).groups[0].formats == {"PNG": 1, "JPEG": 1}


@pytest.mark.slow
def test_processes_change_nothing(data: Path) -> None:
    assert ab.stats(data, workers=2).to_dict() == ab.stats(data).to_dict()


def test_the_command_prints_a_table_and_json(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "stats", str(data), "--workers", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:4] == ["split", "generator", "images", "MB"]
    assert lines[1].split()[:2] == ["train", "real"]
    assert "60 (40-90)" in lines[1]
    assert "90 (75-95)" in lines[1]
    assert "100%" in lines[1]
    assert lines[4].endswith("1 unreadable")
    assert lines[6].endswith("not on the timeline")
    assert lines[-1].startswith("17 images, ")
    assert main(["data", "stats", str(data), "--workers", "1", "--json", "--generator", "real"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == ab.stats(data, generators=["real"]).to_dict()
    assert shown["images"] == 7
    assert shown["groups"][0]["width"] == {"min": 40, "median": 60, "max": 90}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--generator", "ProGA"], "has no generator 'ProGA'; did you mean 'ProGAN'"),
        (["--split", "test"], "has no split 'test'; found train, validation"),
        (["--workers", "0"], "at least 1"),
    ],
)
def test_the_command_tells_what_is_wrong(
    data: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "stats", str(data), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_columns_file_has_no_images(tmp_path: Path) -> None:
    (tmp_path / "columns.json").write_text('{"train": ["", "ADM"]}')
    with pytest.raises(ab.InputError, match="holds no images"):
        ab.stats(tmp_path / "columns.json")
