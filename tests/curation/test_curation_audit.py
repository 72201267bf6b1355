"""Faults planted in a made-up data set are found, and nothing is found in a sound one."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from curation_pictures import picture, stored
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from aigenbench.cli import main
from aigenbench.curation import import_data
from aigenbench.curation.audit import looking
from aigenbench.curation.audit.auditing import Audit, audit, read_foreign
from aigenbench.curation.audit.page import write_page
from aigenbench.data.pictures.hashing import NEAR, near_pairs, perceptual_hash, small_grey
from aigenbench.errors import InputError

GENERATORS = ("CycleGAN", "ProGAN", "FLUX 1 Dev")
PER_GENERATOR = {"train": 8, "validation": 6}


class Made:
    """A data set under way: rows, and the bytes of each."""

    def __init__(self) -> None:
        self.rows: list[dict[str, str]] = []
        self.files: dict[str, bytes] = {}
        seed = 0
        for split, n in PER_GENERATOR.items():
            for generator in GENERATORS:
                for _ in range(n):
                    for name in ("", generator):
                        self.add(split, name, stored(picture(seed)))
                        seed += 1

    def add(self, split: str, generator: str, data: bytes) -> str:
        path = f"{len(self.rows):04d}.bin"
        label = "fake" if generator else "real"
        self.rows.append({"path": path, "label": label, "generator": generator, "split": split})
        self.files[path] = data
        return path

    def first(self, split: str, generator: str) -> str:
        return next(r["path"] for r in self.rows if (r["split"], r["generator"]) == (split, generator))

    def write(self, folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        for path, data in self.files.items():
            (folder / path).write_bytes(data)
        with (folder / "index.csv").open("w", newline="") as target:
            writer = csv.DictWriter(target, list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)
        return folder


def kinds(found: Audit) -> dict[str, int]:
    return {one.kind: len(one.images) for one in found.findings}


def test_a_sound_set_has_no_finding(tmp_path: Path) -> None:
    found = audit(Made().write(tmp_path / "data"))
    assert found.findings == ()
    assert not found.has_errors
    assert found.counts["train"] == {"": 24, "CycleGAN": 8, "FLUX 1 Dev": 8, "ProGAN": 8}


def smaller(data: bytes) -> bytes:
    """Stored again as JPEG 80, at 0.7 of its size."""
    with Image.open(io.BytesIO(data)) as image:
        size = (round(0.7 * image.width), round(0.7 * image.height))
        return stored(image.resize(size, Image.Resampling.BICUBIC), quality=80)


@pytest.mark.parametrize("again", [smaller, lambda data: data], ids=["stored_again", "byte_for_byte"])
@pytest.mark.parametrize(
    ("of", "put", "kind"),
    [
        (("train", ""), ("train", ""), "duplicate"),
        (("train", "ProGAN"), ("train", "ProGAN"), "duplicate"),
        (("train", ""), ("validation", ""), "leak_splits"),
        (("train", "CycleGAN"), ("validation", "CycleGAN"), "leak_splits"),
        (("validation", ""), ("validation", "ProGAN"), "contradiction"),
    ],
)
def test_doubles(
    tmp_path: Path, again: Callable[[bytes], bytes], of: tuple[str, str], put: tuple[str, str], kind: str
) -> None:
    made = Made()
    made.add(*put, again(made.files[made.first(*of)]))
    found = audit(made.write(tmp_path / "data"))
    tiny = {"tiny": 1} if again is smaller else {}
    assert kinds(found) == {kind: 1, **tiny}
    assert found.has_errors == (kind != "duplicate")
    [group] = next(one for one in found.findings if one.kind == kind).images
    assert len(group) == 2


@pytest.mark.parametrize("again", [smaller, lambda data: data], ids=["stored_again", "byte_for_byte"])
def test_a_leak_across_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr("aigenbench.curation.audit.auditing.GENERATORS_PER_WINDOW", 1)
    made = Made()
    made.add("train", "FLUX 1 Dev", again(made.files[made.first("train", "CycleGAN")]))
    assert kinds(audit(made.write(tmp_path / "data"))) == {
        "leak_windows": 1,
        **({"tiny": 1} if again is smaller else {}),
    }


def test_unreadable_tiny_and_flat_pictures(tmp_path: Path) -> None:
    made = Made()
    whole = made.files[made.first("train", "")]
    made.add("train", "", whole[: len(whole) // 2])
    made.add("train", "ProGAN", b"no picture at all")
    made.add("validation", "", stored(picture(9001, 150)))
    # flat pictures show nothing by which they could be told apart
    for level in (10, 20):
        made.add("train", "", stored(Image.new("RGB", (256, 256), (level,) * 3)))
    found = audit(made.write(tmp_path / "data"))
    assert kinds(found) == {"unreadable": 2, "tiny": 1}


def test_images_that_are_missing_are_not_one_picture(tmp_path: Path) -> None:
    made = Made()
    made.rows = [row for row in made.rows if row["split"] == "validation"]
    made.files = {row["path"]: b"" for row in made.rows}
    folder = made.write(tmp_path / "data")
    (folder / made.first("validation", "")).unlink()
    (folder / made.first("validation", "ProGAN")).unlink()
    assert kinds(audit(folder)) == {"unreadable": len(made.rows)}


def test_the_page_names_the_set_it_is_called_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made()
    made.rows = made.rows[:2]
    monkeypatch.chdir(made.write(tmp_path / "data"))
    write_page(tmp_path / "audit.html", audit("."))
    assert "<title>Audit of data</title>" in (tmp_path / "audit.html").read_text(encoding="utf-8")


def test_one_name_of_several_images(tmp_path: Path) -> None:
    made = Made()
    for number, row in enumerate(made.rows):
        row["file_id"] = "same" if number in (0, 1, len(made.rows) - 1) else str(number)
    found = audit(made.write(tmp_path / "data"))
    assert [(one.kind, one.weight, one.images) for one in found.findings] == [
        ("same_name", "warning", ((("train", 0), ("train", 1)),))
    ]


def test_a_set_without_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "index.csv").write_text("path,label,generator,split\n")
    for command in ("audit", "stats"):
        assert main(["data", command, str(tmp_path)]) == 2
        assert capsys.readouterr().err.endswith("holds no images: no split of it has a row\n")


def test_a_set_that_was_added_to_is_opened_anew(tmp_path: Path) -> None:
    made = Made()
    audit(made.write(tmp_path / "data"))
    made.add("train", "", b"no picture")
    assert kinds(audit(made.write(tmp_path / "data"))) == {"unreadable": 1}


def test_images_elsewhere_are_looked_at_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "a.png").write_bytes(stored(picture(1)))
    (tmp_path / "set" / "index.csv").write_text("path,label,generator,split\n../a.png,real,,train\n")
    for command in ("audit", "stats"):
        asked = ["data", command, str(tmp_path / "set"), "--workers", "1"]
        assert main(asked) == 2
        assert "give --follow-links" in capsys.readouterr().err
        assert main([*asked, "--follow-links"]) == 0
        assert capsys.readouterr().err == ""


def test_lists_of_one_name_in_two_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = Made()
    folder = made.write(tmp_path / "data")
    lists = []
    for name, image in (("a", made.first("train", "")), ("b", made.first("train", "ProGAN"))):
        (tmp_path / name).mkdir()
        lists.append(tmp_path / name / "list.csv")
        lists[-1].write_text(f"file_id\n{image}\n")
    assert main(["data", "audit", str(folder), *(f"--against={one}" for one in lists), "--workers", "1"]) == 1
    told = capsys.readouterr().out
    assert all(f"1 image in {one}: seen" in told for one in lists)


def test_fakes_stored_otherwise_are_found_without_a_pixel(tmp_path: Path) -> None:
    made = Made()
    for row in made.rows:
        if row["generator"]:
            with Image.open(io.BytesIO(made.files[row["path"]])) as image:
                made.files[row["path"]] = stored(image, quality=60)
    found = audit(made.write(tmp_path / "data"))
    assert kinds(found) == {"format_bias": 0}
    bias = found.bias["train"]
    assert bias is not None
    assert bias.overall.auroc > 0.95
    assert all(told.auroc > 0.9 for told in bias.generators.values())


def test_images_of_another_training_set(tmp_path: Path) -> None:
    made = Made()
    named, hashed = made.first("validation", "ProGAN"), made.first("validation", "")
    digest = hashlib.sha256(made.files[hashed]).hexdigest()
    (tmp_path / "other.csv").write_text(f"file_id,sha256\n{named},\n,{digest.upper()}\n")
    folder = made.write(tmp_path / "data")
    found = audit(folder, foreign={"other": read_foreign(tmp_path / "other.csv")})
    assert kinds(found) == {"contamination": 2}
    assert "2 images in other" in found.findings[0].text
    (tmp_path / "other.csv").write_text("sha256\nabc\n")
    with pytest.raises(InputError, match="line 2: sha256 must have 64 hex digits, found 'abc'"):
        read_foreign(tmp_path / "other.csv")
    (tmp_path / "other.csv").write_text("name\nabc\n")
    with pytest.raises(InputError, match="expected a CSV file with a column file_id, sha256 or hash"):
        read_foreign(tmp_path / "other.csv")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = Made()
    sound = made.write(tmp_path / "sound")
    assert main(["data", "audit", str(sound), "--strict", "--workers", "1"]) == 0
    assert "nothing is wrong with these images" in capsys.readouterr().out
    made.add("train", "", made.files[made.first("train", "")])
    doubled = made.write(tmp_path / "<b>doubled")
    page = tmp_path / "audit.html"
    assert main(["data", "audit", str(doubled), "-o", str(page), "--workers", "1"]) == 0
    assert "warning  1 picture more than once in a split" in capsys.readouterr().out
    text = page.read_text()
    assert "data:image/jpeg;base64," in text
    assert "<b>doubled" not in text
    assert main(["data", "audit", str(doubled), "--strict", "--json", "--workers", "1"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["findings"][0]["images"] == [[["train", 0], ["train", 48]]]


def test_the_page_shows_what_contradicts(tmp_path: Path) -> None:
    made = Made()
    of = made.files[made.first("validation", "")]
    for generator in ("", "", "", "", "ProGAN"):
        made.add("validation", generator, of)
    write_page(tmp_path / "audit.html", audit(made.write(tmp_path / "data")))
    section = (
        (tmp_path / "audit.html").read_text().partition("labelled both real and fake")[2].partition("</section>")[0]
    )
    assert re.findall(r"<figcaption>(.*?)<br>", section) == ["real", "ProGAN", "real", "real"]


@pytest.mark.slow
def test_the_slice_of_real_data(shared: Path, tmp_path: Path) -> None:
    source = shared / "realslice"
    if not source.is_dir():
        pytest.skip("no slice of real data")
    found = audit(import_data(source, out=tmp_path / "plain").path)
    assert set(kinds(found)) == {"leak_splits", "tiny", "format_bias"}
    assert found.findings[0].images == ((("train", 104), ("validation", 46)),)
    bias = found.bias["train"]
    assert bias is not None
    assert bias.overall.auroc > 0.8
    matched = audit(import_data(source, out=tmp_path / "matched", match_formats=96).path)
    assert set(kinds(matched)) == {"leak_splits", "tiny"}


def test_a_columns_file_has_no_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "columns.json"
    path.write_text('{"train": ["", "ProGAN"], "validation": ["", "ProGAN"]}')
    assert main(["data", "audit", str(path)]) == 2
    assert "which holds no images" in capsys.readouterr().err


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 4), st.sets(st.integers(0, 63), max_size=10)), max_size=25),
)
def test_pairs_are_those_of_the_plain_definition(values: list[int], near: list[tuple[int, set[int]]]) -> None:
    for which, bits in near:
        values.append(values[which % len(values)] ^ sum(1 << bit for bit in bits))
    hashes = np.array(values, dtype=np.uint64)
    expected = [(j, i) for i in range(len(values)) for j in range(i) if (values[i] ^ values[j]).bit_count() <= NEAR]
    found = [(int(a), int(b)) for part in near_pairs(hashes) for a, b in part]
    assert sorted(found) == sorted(expected)


def test_many_equal_hashes_come_in_small_parts() -> None:
    parts = list(near_pairs(np.zeros(200, dtype=np.uint64)))
    assert sum(map(len, parts)) == 200 * 199 // 2
    assert max(map(len, parts)) < 200


def test_an_audit_that_was_killed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aigenbench.curation.audit.looking._PART", 10)
    made = Made()
    made.add("train", "", made.files[made.first("train", "")][:900])
    folder, work = made.write(tmp_path / "data"), tmp_path / "work"
    seen: list[bytes] = []

    def killed_after(n: int) -> Audit:
        seen.clear()

        def look_once(data: bytes) -> looking.Look:
            if len(seen) == n:
                raise KeyboardInterrupt
            seen.append(bytes(data))
            return look(data)

        monkeypatch.setattr("aigenbench.curation.audit.looking.look", look_once)
        return audit(folder, work=work)

    look = looking.look
    with pytest.raises(KeyboardInterrupt):
        killed_after(37)
    found = killed_after(10_000)
    assert len(seen) == len(made.rows) - 30
    assert not work.exists()
    assert found.to_dict() == audit(folder).to_dict()
    assert kinds(found) == {"unreadable": 1}

    work.mkdir()
    (work / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds something else than an audit's work"):
        audit(folder, work=work)
    (work / "notes.txt").unlink()

    with pytest.raises(KeyboardInterrupt):
        killed_after(37)
    # a file that is mended meanwhile is looked at again
    (folder / made.rows[-1]["path"]).write_bytes(stored(picture(4711)))
    assert kinds(killed_after(10_000)) == {}
    assert len(seen) == len(made.rows)


def test_hashes_of_other_pictures_are_far() -> None:
    hashes = [perceptual_hash(small_grey(np.asarray(picture(seed)))) for seed in range(30)]
    distances = [(a ^ b).bit_count() for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(distances) > NEAR
    assert 28 < np.mean(distances) < 36
