"""``aigenbench detect``: every picture has its row, whatever it is."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from made_detector import scene, write_detector
from PIL import ExifTags, Image

from aigenbench.cli import main
from aigenbench.errors import InputError
from aigenbench.inference.detector import Detector
from aigenbench.inference.looking import Asked, detect, find, with_groups
from aigenbench.inference.looking.exif import TAGS
from aigenbench.inference.looking.metadata import GENERATOR_KEYS, IPTC_KEYS, PLAIN_KEYS, XMP_KEYS
from aigenbench.inference.looking.places import listed


class Said:
    """What a command line came to."""

    def __init__(self, detector: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._detector, self._capsys = detector, capsys

    def __call__(self, *argv: object, code: int = 0, form: str = "jsonl") -> str:
        given = ["detect", *map(str, argv), "--detector", str(self._detector), "--format", form]
        assert main(given) == code
        self.aside = self._capsys.readouterr()
        return self.aside.out

    def rows(self, *argv: object, code: int = 0) -> list[dict]:
        return [json.loads(line) for line in self(*argv, code=code).splitlines()]


@pytest.fixture(scope="module")
def detector_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_detector(tmp_path_factory.mktemp("exported") / "detector")


@pytest.fixture
def detector(detector_folder: Path) -> Detector:
    return Detector.load(detector_folder, "cpu", batch_size=3)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with three pictures, a broken one and a text, and one picture in a folder in it."""
    folder = tmp_path / "pictures"
    (folder / "below").mkdir(parents=True)
    for i, name in enumerate(("a.png", "b.png", "c.jpg", "below/d.png")):
        Image.fromarray(scene(i)).save(folder / name)
    (folder / "broken.png").write_bytes((folder / "a.png").read_bytes()[:200])
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture
def said(detector_folder: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    return Said(detector_folder, capsys)


def names(rows: list[dict]) -> list[str]:
    return [Path(row["image"]).name for row in rows]


def test_rows_are_in_order_and_hold_what_the_detector_says(said: Said, pictures: Path, detector: Detector) -> None:
    rows = said.rows(pictures / "c.jpg", pictures / "a.png", pictures / "b.png", "--batch-size", 2)
    assert names(rows) == ["c.jpg", "a.png", "b.png"]
    for row in rows:
        (answer,) = detector.answers([row["image"]])
        assert row["logit"] == pytest.approx(answer.logit, abs=1e-5)
        assert row["score"] == pytest.approx(1 / (1 + np.exp(-row["logit"])))
        assert row["probability"] == pytest.approx(answer.probability, abs=1e-6)
        assert (row["verdict"], row["error_rate"]) == (answer.verdict.word, answer.verdict.rate)
        assert (row["height"], row["width"], len(row["crop_logits"])) == (48, 64, 1)


def test_a_bad_file_is_a_row_and_not_the_end(said: Said, pictures: Path) -> None:
    rows = said.rows(pictures, code=1)
    assert names(rows) == ["a.png", "b.png", "broken.png", "c.jpg"]
    assert [row["error"] is None for row in rows] == [True, True, False, True]
    assert rows[2]["verdict"] is rows[2]["probability"] is None
    assert "notes.txt" in said.aside.err


def test_folders_below_are_taken_where_that_is_asked(said: Said, pictures: Path) -> None:
    assert "d.png" in names(said.rows(pictures, "--recursive", code=1))
    assert main(["detect", str(pictures.parent), "--detector", "nowhere"]) == 2


def test_patterns_and_lists_name_pictures(said: Said, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert names(said.rows(pictures / "[ab].png")) == ["a.png", "b.png"]
    assert names(said.rows(f"{pictures}/**/d.*")) == ["d.png"]
    for mark in ("\n", "\0", "\r\n"):
        given = mark.join(str(pictures / name) for name in ("b.png", "c.jpg")) + mark
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
        assert names(said.rows(pictures / "a.png", "-", pictures / "b.png")) == ["a.png", "b.png", "c.jpg"]


def test_a_list_may_name_folders_and_what_is_gone(said: Said, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (pictures / "empty").mkdir()
    given = "\n".join(map(str, [pictures, pictures / "empty", pictures / "gone.png", pictures / "a.png"]))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
    rows = said.rows("-", code=1)
    assert names(rows) == ["gone.png", "a.png"]
    assert "No such file" in rows[0]["error"]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\0\0", b"/\n"])
def test_an_empty_list_is_bad_input(content: bytes) -> None:
    with pytest.raises(InputError, match="names none"):
        listed(content)


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["nothing.png"], "nothing at nothing.png"),
        (["no*such"], r"nothing at no\*such"),
        (["empty_folder"], "no picture in empty_folder: it is empty; --recursive"),
        (["a.png", "--point", "2%"], "one of 1%, 5%"),
        (["a.png", "--stability", "maybe"], "band"),
        (["a.png", "--batch-size", "0"], "--batch-size"),
        (["a.png", "--workers", "-1"], "--workers"),
        (["a.png", "--device", "abacus"], "abacus"),
        (["a.png", "-o", "a.png/x.csv"], "is no folder"),
        (["a.png", "--explain", "a.png"], "is no folder"),
        (["-", "-"], "once"),
    ],
)
def test_bad_input_is_told_in_a_line(
    said: Said, argv: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty_folder").mkdir()
    Image.fromarray(scene(0)).save("a.png")
    said(*argv, code=2)
    (line,) = said.aside.err.splitlines()
    assert line.startswith("aigenbench: error: ")
    assert re.search(told, line)
    assert said.aside.out == ""


def test_a_folder_that_shrinks_meanwhile(pictures: Path, detector: Detector) -> None:
    paths = find([str(pictures / "[abc].*")])
    asked = Asked(metadata=True, stability="all", group=True)
    results = detect(detector, paths, asked)
    assert next(results).stability is not None
    for path in paths:
        path.unlink()
    # three are read at a time: those have their scores, and nothing that would need the file again
    assert all(result.answer.verdict and result.stability is result.print is None for result in results)
    assert all("No such file" in (result.answer.error or "") for result in detect(detector, paths, asked))


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_odd_names_and_links(said: Said, tmp_path: Path, detector_folder: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    image = Image.fromarray(scene(0))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    for name in (b"bytes\xff.png", b"line\nbreak.png", b"-o.png", b"~root", b"*.png", b"\xe2\x80\xae.png", b" .png"):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(buffer.getvalue())
    (folder / "link.png").symlink_to("*.png")
    (folder / "loop").symlink_to(folder)
    (folder / "nowhere.png").symlink_to("gone")
    rows = said.rows(folder, "--recursive")
    assert len(rows) == 8
    assert np.ptp([row["logit"] for row in rows]) < 1e-5
    assert any(r"bytes\xff.png" in row["image"] for row in rows)
    # what was typed is answered, even if it leads nowhere
    assert "No such file" in said.rows(folder / "nowhere.png", code=1)[0]["error"]
    ran = subprocess.run(
        [sys.executable, "-m", "aigenbench", "detect", ".", "--detector", detector_folder, "--format", "csv"],
        cwd=folder,
        capture_output=True,
        check=True,
    )
    assert len(ran.stdout.splitlines()) == 9


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


def png_of(width: int, height: int) -> bytes:
    """A whole file of black pixels."""
    pixels = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    body = b"IDAT" + b"".join(pixels.compress(row) for _ in range(height)) + pixels.flush()
    data = png_header(width, height) + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data + b"\0\0\0\0IEND\xae\x42\x60\x82"


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


PLAIN = Image.fromarray(scene(1))
OTHER = Image.fromarray(scene(2))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "empty file"),
        (b"hello", "not an image"),
        (saved(PLAIN, "PNG")[:300], "cannot be read"),
        (saved(PLAIN, "JPEG")[:100], "cannot be read"),
        (png_of(20_000, 20_000), "pixels"),
        (png_header(2**31 - 1, 2**31 - 1), "cannot be read"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
    ],
    ids=["empty", "text", "cut PNG", "cut JPEG", "20,000 x 20,000", "bomb", "LFS"],
)
def test_what_is_no_readable_picture_is_told_so(said: Said, tmp_path: Path, data: bytes, error: str) -> None:
    (tmp_path / "one.png").write_bytes(data)
    (row,) = said.rows(tmp_path / "one.png", "--metadata", "--stability", "all", "--group", code=1)
    assert error in row["error"]
    assert row["verdict"] is None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (saved(PLAIN, "GIF", save_all=True, append_images=[OTHER]), None),
        (saved(PLAIN, "PNG", save_all=True, append_images=[OTHER]), PLAIN),
        (saved(PLAIN, "WEBP", lossless=True, save_all=True, append_images=[OTHER]), PLAIN),
        (saved(PLAIN.convert("CMYK"), "TIFF"), None),
        (saved(PLAIN.convert("CMYK"), "JPEG"), None),
        (saved(PLAIN.convert("LA"), "PNG"), PLAIN.convert("L")),
        (saved(Image.fromarray(np.asarray(PLAIN.convert("L")).astype(np.uint16) * 257), "PNG"), PLAIN.convert("L")),
    ],
    ids=["GIF", "APNG", "animated WebP", "CMYK TIFF", "CMYK JPEG", "alpha", "16 bits"],
)
def test_pictures_of_any_form_are_answered(
    said: Said, tmp_path: Path, detector: Detector, data: bytes, expected: Image.Image | None
) -> None:
    (tmp_path / "one").write_bytes(data)
    (row,) = said.rows(tmp_path / "one", "--stability", "all", "--group")
    assert row["verdict"]
    if expected is not None:
        # of an animation, its first frame
        assert row["logit"] == pytest.approx(detector.logits(np.asarray(expected.convert("RGB")))[0], abs=1e-5)


def test_a_picture_is_taken_as_it_is_shown(said: Said, tmp_path: Path, detector: Detector) -> None:
    record = Image.Exif()
    record[ExifTags.Base.Orientation] = 6
    PLAIN.save(tmp_path / "turned.png", exif=record)
    (row,) = said.rows(tmp_path / "turned.png")
    assert (row["height"], row["width"]) == (64, 48)
    assert row["logit"] == pytest.approx(detector.logits(np.rot90(np.asarray(PLAIN), -1))[0], abs=1e-5)


def test_the_operating_point_decides_the_verdict(said: Said, pictures: Path, detector: Detector) -> None:
    logits = [row["logit"] for row in said.rows(pictures / "[ab].png")]
    assert [row["verdict"] for row in said.rows(pictures / "[ab].png")] == [detector.verdict(x).word for x in logits]
    detector.point = detector.info.point(0.05)
    rows = said.rows(pictures / "[ab].png", "--point", "5%")
    assert [row["verdict"] for row in rows] == [detector.verdict(x).word for x in logits]


@pytest.mark.parametrize(("when", "expected"), [("off", 0), ("all", 4), ("band", None)])
def test_stability_is_tried_where_it_is_asked(
    pictures: Path, tmp_path: Path, when: str, expected: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [pictures / "a.png", pictures / "b.png", pictures / "c.jpg", pictures / "below" / "d.png"]
    logits = sorted(Detector.load(write_detector(tmp_path / "one"), "cpu").logits(paths))
    # a band that takes two of the four
    folder = write_detector(tmp_path / "banded", band=(logits[0] + 1e-4, logits[2] + 1e-4))
    given = ["detect", *map(str, paths), "--detector", str(folder), "--format", "jsonl", "--stability", when]
    assert main(given) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    tried = [row for row in rows if "stability" in row]
    assert len(tried) == (2 if expected is None else expected)
    assert expected is not None or {row["verdict"] for row in tried} == {"unsure"}


def test_threads_change_nothing(said: Said, pictures: Path) -> None:
    one, many = (said.rows(pictures, "--workers", n, "--batch-size", 2, code=1) for n in (0, 3))
    assert names(one) == names(many)
    for few, more in zip(one, many, strict=True):
        assert few["logit"] == pytest.approx(more["logit"], abs=1e-5)


def test_a_bar_appears_on_a_terminal_beside_rows_that_go_elsewhere(
    said: Said, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = said(pictures / "[ab].png", form="csv")
    assert said.aside.err == ""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert said(pictures / "[ab].png", form="csv").splitlines()[0] == plain.splitlines()[0]
    assert "2/2" in said.aside.err
    assert "2/2" not in said.aside.out
    # rows that come to the same terminal are progress enough
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    said(pictures / "[ab].png", form="csv")
    assert said.aside.err == ""


def test_copies_of_a_picture_have_one_verdict(said: Said, tmp_path: Path) -> None:
    image = Image.fromarray(scene(1, (96, 128)))
    image.save(tmp_path / "a.png")
    Image.fromarray(scene(2, (96, 128))).save(tmp_path / "b.png")
    image.save(tmp_path / "c.jpg", quality=50)
    rows = said.rows(tmp_path, "--group")
    assert rows[0]["group"] == rows[2]["group"]
    assert rows[0]["group"]["logit"] == pytest.approx((rows[0]["logit"] + rows[2]["logit"]) / 2)
    assert "group" not in rows[1]


def test_what_the_file_says_stands_apart_from_the_score(said: Said, tmp_path: Path, pictures: Path) -> None:
    record = Image.Exif()
    record[ExifTags.Base.Software] = "Midjourney"
    PLAIN.save(tmp_path / "told.png", exif=record)
    PLAIN.save(tmp_path / "untold.png")
    told, untold = said.rows(tmp_path / "told.png", tmp_path / "untold.png", "--metadata")
    assert told["file_says"][0]["hint"] == "generated"
    assert untold["file_says"] == []
    assert told["logit"] == pytest.approx(untold["logit"], abs=1e-5)
    table = said(tmp_path / "told.png", tmp_path / "untold.png", "--metadata", form="table")
    assert "the file says: EXIF Software: Midjourney" in table
    assert table.count("the file says: nothing of itself") == 1
    assert "not verified" in table


def test_maps_are_written_and_named(said: Said, pictures: Path, tmp_path: Path) -> None:
    rows = said.rows(pictures, "--explain", tmp_path / "maps", code=1)
    assert [Path(row["map"]).name if "map" in row else None for row in rows] == [
        "0001_a.png",
        "0002_b.png",
        None,
        "0004_c.png",
    ]
    assert len(list((tmp_path / "maps").iterdir())) == 3


def test_a_table_and_csv_say_the_same(said: Said, pictures: Path, tmp_path: Path) -> None:
    told = list(csv.DictReader(io.StringIO(said(pictures, "--stability", "all", "--group", code=1, form="csv"))))
    assert [Path(row["image"]).name for row in told] == ["a.png", "b.png", "broken.png", "c.jpg"]
    assert told[2]["error"]
    assert not told[2]["verdict"]
    assert told[0]["stability"]
    table = said(pictures, code=1, form="table")
    assert f"{told[0]['verdict']:<10}{float(told[0]['probability']):>11.1%}" in table
    assert "4 pictures: " in table
    assert "1 could not be read" in table
    # each verdict that was given, once, with how often it is wrong
    for word in {row["verdict"] for row in told} - {""}:
        assert table.count(f"\n{word}: ") == 1
    assert "5.0 %" in table or "1.0 %" in table or "10.0 %" in table


def test_a_file_is_written_whole_or_not_at_all(
    said: Said, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out" / "found.jsonl"
    assert said(pictures, "-o", output, code=1) == f"{output}\n"
    assert len(output.read_text().splitlines()) == 4
    written = output.read_text()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("aigenbench.inference.looking.detecting._with_more", interrupted)
    said(pictures, "-o", output, code=130)
    assert output.read_text() == written
    assert [path.name for path in output.parent.iterdir()] == [output.name]


def test_rows_come_while_others_are_read(detector: Detector, pictures: Path) -> None:
    paths = [pictures / "a.png", *[pictures / "b.png"] * 30]
    results = detect(detector, paths)
    assert next(results).answer.error is None
    (pictures / "b.png").unlink()
    # what was not yet read by then is the most of them
    assert sum(result.answer.error is not None for result in results) > 20


def test_results_without_groups_stay_as_they_are(detector: Detector, pictures: Path) -> None:
    results = list(detect(detector, find([str(pictures)]), Asked(group=True)))
    assert with_groups(detector, results) == results


def test_no_training_code_is_loaded(detector_folder: Path, pictures: Path) -> None:
    code = (
        "import sys; from aigenbench.cli import main; main(sys.argv[1:]); "
        "heavy = {'lightning', 'timm', 'open_clip', 'datasets', 'pyarrow', 'matplotlib', 'torchvision', 'rich'}; "
        "print(sorted(heavy & set(sys.modules)), [m for m in sys.modules if m.startswith('aigenbench.training')])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, "detect", pictures / "a.png", "--detector", detector_folder],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.splitlines()[-1] == "[] []"
    assert ran.stderr == ""


PAGE = (Path(__file__).parents[2] / "docs" / "detect.md").read_text(encoding="utf-8")


@pytest.fixture
def as_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, detector_folder: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("DETECTOR").symlink_to(detector_folder)
    Path("holiday").mkdir()
    for i, name in enumerate(("scan.png", "holiday/a.jpg", "holiday/b.jpg")):
        Image.fromarray(scene(i)).save(name)


def test_the_commands_of_the_page_run(
    as_on_the_page: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = re.findall(r"```console\n(.*?)```", PAGE, re.S)
    for line in block.splitlines():
        before, _, command = line.rpartition("| ")
        if before:
            names = subprocess.run(before, shell=True, capture_output=True, check=True).stdout
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(names)))
        assert main(shlex.split(command)[1:]) == 0
    table, rest = capsys.readouterr().out.split("found.csv\n")
    assert table.splitlines()[0] == re.search(r"```\n(verdict .*)\n", PAGE)[1]  # type: ignore[index]
    assert {Path(json.loads(line)["image"]).name for line in rest.splitlines()} == {"a.jpg", "b.jpg"}


def test_the_python_of_the_page_runs(as_on_the_page: None, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    names: dict[str, object] = {}
    exec(compile(block, "detect.md", "exec"), names)
    assert names["scores"].shape == (2,)  # type: ignore[attr-defined]
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_the_page_names_all_that_is_read_and_asked(capsys: pytest.CaptureFixture[str]) -> None:
    rows = dict(re.findall(r"(?m)^\| (EXIF|XMP|IPTC|PNG text) \| (.*) \|$", PAGE))
    named = {where: {key.lower() for key in re.findall(r"`([\w-]+)`", text)} for where, text in rows.items()}
    assert named["EXIF"] == {key.lower() for key in TAGS.values()}
    assert named["XMP"] - {"trainedalgorithmicmedia"} == {key.lower() for key in XMP_KEYS}
    assert named["IPTC"] == {key.lower() for key in IPTC_KEYS.values()}
    assert named["PNG text"] == {*GENERATOR_KEYS, *PLAIN_KEYS}
    with pytest.raises(SystemExit):
        main(["detect", "--help"])
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert {option for option in options if option not in PAGE.replace("-o FILE", "--output")} == set()
