"""A copy in which both classes share one history of compression and size."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from curation_pictures import picture, stored
from PIL import Image

import aigenbench as ab
from aigenbench.cli import main
from aigenbench.curation import import_data, shards
from aigenbench.curation.audit.auditing import audit
from aigenbench.data.sources.mark import marks_of
from aigenbench.data.sources.opening import open_source

SIDE = 64
EACH = 100


@pytest.fixture(scope="module")
def biased(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reals: JPEG of many sizes, quality 75, with EXIF; fakes: square PNG."""
    folder = tmp_path_factory.mktemp("biased")
    rng = np.random.default_rng(5)
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    for number in range(EACH):
        side, wider = int(rng.integers(100, 160)), int(rng.integers(0, 40))
        # wider by what stands at its sides: the scene in the middle is as large as a fake's
        real = np.pad(np.asarray(picture(number, side)), ((0, 0), (wider, wider), (0, 0)), "reflect")
        buffer = io.BytesIO()
        Image.fromarray(real).save(buffer, "JPEG", quality=75, exif=exif)
        for generator, data in (("", buffer.getvalue()), ("ProGAN", stored(picture(1000 + number, 128), "PNG"))):
            path = folder / (f"fake/{generator}/{number}.png" if generator else f"real/{number}.jpg")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def matched(biased: Path) -> Path:
    return import_data(biased, out=biased.with_name("matched"), validation=0, match_formats=SIDE).path


def manifest_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())
    return content


def test_the_format_tells_the_classes_apart_before_and_not_after(biased: Path, matched: Path) -> None:
    before = audit(import_data(biased, out=biased.with_name("plain"), validation=0).path).bias["train"]
    after = audit(matched)
    assert before is not None
    assert before.overall.auroc > 0.99
    bias = after.bias["train"]
    assert bias is not None
    assert abs(bias.overall.auroc - 0.5) < 0.1
    assert bias.overall.interval is not None
    assert bias.overall.interval[0] < 0.5 < bias.overall.interval[1]
    assert "format_bias" not in {one.kind for one in after.findings}


def test_every_image_is_stored_in_one_way_and_the_manifest_says_how(biased: Path, matched: Path) -> None:
    manifest, table = manifest_of(matched), open_source(matched).table("train")
    assert manifest["matched"]["side"] == SIDE
    subsamplings = set()
    for line in manifest["images"]:
        data = bytes(table.store.read(line["row"]))
        found = (biased / line["file_id"]).read_bytes()
        assert line["sha256"] == hashlib.sha256(data).hexdigest()
        assert line["matched_from"]["sha256"] == hashlib.sha256(found).hexdigest()
        with Image.open(io.BytesIO(found)) as before, Image.open(io.BytesIO(data)) as after:
            assert (line["matched_from"]["width"], line["matched_from"]["height"]) == before.size
            assert line["matched_from"]["format"] == before.format
            assert after.size == (SIDE, SIDE)
            assert after.format == "JPEG"
            assert "exif" not in after.info
        assert table.store.name(line["row"]).endswith(".jpg")
        subsamplings.add(line["matched_by"]["subsampling"])
    assert subsamplings == {"4:4:4", "4:2:0"}


def test_order_and_workers_change_nothing_and_nor_do_other_images(
    biased: Path, matched: Path, content: Callable[[Path], dict[str, bytes]], tmp_path: Path
) -> None:
    again = import_data(biased, out=tmp_path / "again", validation=0, match_formats=SIDE, workers=2).path
    assert content(again) == content(matched)
    part = import_data(biased, out=tmp_path / "part", validation=0, match_formats=SIDE, per_generator=3).path
    sha256 = {line["file_id"]: line["sha256"] for line in manifest_of(matched)["images"]}
    assert all(sha256[line["file_id"]] == line["sha256"] for line in manifest_of(part)["images"])


def test_the_set_says_so_and_so_does_what_is_imported_from_it(
    matched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert marks_of(matched) == ("matched",)
    assert marks_of(import_data(matched, out=tmp_path / "again").path) == ("matched",)
    assert audit(matched).to_dict()["marks"] == ["matched"]
    main(["data", "audit", str(matched), "--workers", "1"])
    assert "the data set says of itself: matched" in capsys.readouterr().out
    ab.make_demo_data(tmp_path / "demo", generators=2, train=2, validation=2)
    both = import_data(tmp_path / "demo", out=tmp_path / "both", match_formats=16).path
    assert marks_of(both) == ("synthetic", "matched")
    assert main(["data", "windows", str(both), "--n-generators-per-window", "1"]) == 0
    assert "the data set says of itself: synthetic, matched" in capsys.readouterr().out


def test_small_images_are_left_out_and_listed(biased: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = import_data(biased, out=tmp_path / "set", validation=0, match_formats=100).path
    manifest = manifest_of(out)
    assert manifest["counts"]["train"]["ProGAN"] == EACH
    assert 0 < len(manifest["too_small"]) == EACH - manifest["counts"]["train"][""]
    command = ["data", "import", str(biased), "-o", str(tmp_path / "none"), "--workers", "1", "--match-formats"]
    assert main([*command, "120"]) == 2
    assert "of every fake its shorter side is under 150 pixels; give a smaller side" in capsys.readouterr().err
    assert main(command) == 2
    assert "under 250 pixels" in capsys.readouterr().err
    assert main([*command, "1"]) == 2
    assert "expected a side of at least 16 pixels, found 1" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize("stage", ["looking at images", "writing"])
def test_interrupted_it_goes_on(
    biased: Path,
    content: Callable[[Path], dict[str, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 100_000)
    expected = import_data(biased, out=tmp_path / "whole", validation=0, match_formats=SIDE).path

    def stop(doing: str, done: int, total: int) -> None:
        if doing == stage and done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_data(biased, out=tmp_path / "set", validation=0, match_formats=SIDE, progress=stop)
    with pytest.raises(ab.InputError, match="with other options"):
        import_data(biased, out=tmp_path / "set", validation=0, match_formats=SIDE + 1)
    again = import_data(biased, out=tmp_path / "set", validation=0, match_formats=SIDE).path
    assert content(again) == content(expected)
    assert len(list((again / "train").glob("*.arrow"))) > 1
