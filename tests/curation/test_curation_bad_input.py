"""Every fault is one line, with counts and the first names, and leaves nothing behind."""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
import re
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from curation_forms import write_indices

from aigenbench.cli import main
from aigenbench.curation import import_data, shards, work
from aigenbench.curation.reading import places
from aigenbench.errors import InputError

Case = Callable[[Any, Path], Path]
CASES: dict[str, tuple[Case, str]] = {}


def case(message: str) -> Callable[[Case], Case]:
    def add(make: Case) -> Case:
        CASES[make.__name__] = (make, message)
        return make

    return add


@case("no such file or folder")
def nothing(forms: Any, folder: Path) -> Path:
    return folder / "nothing"


@case("neither a file nor a folder")
def pipe(forms: Any, folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


@case("no image found")
def empty(forms: Any, folder: Path) -> Path:
    return forms.folder(folder, {"notes.txt": b"words"})


@case(r"2 of 3 paths lead outside .* \(real/linked, fake/DDPM/link.png\).*--follow-links")
def links(forms: Any, folder: Path) -> Path:
    (folder.parent / "outside.png").write_bytes(forms.picture(1))
    forms.folder(folder, {"real/a.png": forms.picture(1), "fake/DDPM/b.png": forms.picture(2)})
    (folder / "fake/DDPM/link.png").symlink_to(folder.parent / "outside.png")
    (folder / "real/linked").symlink_to(folder.parent)
    (folder / "real/again.png").symlink_to(folder / "real/a.png")
    return folder


@case(r"images that cannot be read: not an image.*: 5 \(fake/DDPM/0.png, fake/DDPM/1.png, fake/DDPM/2.png and 2 more\)")
def no_pictures(forms: Any, folder: Path) -> Path:
    return forms.folder(folder, {"real/a.png": forms.picture(1), **{f"fake/DDPM/{n}.png": b"words" for n in range(5)}})


@case("images that cannot be read: .*: 1 .real/cut.png.*--skip-unreadable")
def truncated(forms: Any, folder: Path) -> Path:
    return forms.folder(folder, {"real/a.png": forms.picture(1), "real/cut.png": forms.picture(2)[:-40]})


@case("nothing says whether it is real or which generator made it: 1 .sky/a.png")
def no_layout(forms: Any, folder: Path) -> Path:
    return forms.folder(folder, {"sky/a.png": forms.picture(1), "real/b.png": forms.picture(2)})


@case("a fake without a generator: 1 .fake/a.png")
def no_generator(forms: Any, folder: Path) -> Path:
    return forms.folder(folder, {"fake/a.png": forms.picture(1)})


@case("'ddpm' is near 'DDPM'")
def near_a_name(forms: Any, folder: Path) -> Path:
    return forms.folder(folder, {"fake/ddpm/a.png": forms.picture(1)})


@case("members whose names lead out of the archive: 2 .../../etc/x.png, /elsewhere/y.png")
def climbing_zip(forms: Any, folder: Path) -> Path:
    return forms.zip(
        folder / "a.zip", {name: forms.picture(1) for name in ("real/a.png", "../../etc/x.png", "/elsewhere/y.png")}
    )


@case("members whose names lead out of the archive: 1 .../x.png")
def climbing_tar(forms: Any, folder: Path) -> Path:
    return forms.tar(folder / "a.tar", {name: forms.picture(1) for name in ("real/a.png", "../x.png")})


@case("members that are links or devices: 2 .real/device.png, real/link.png")
def tar_of_links(forms: Any, folder: Path) -> Path:
    with tarfile.open(folder / "a.tar", "w") as archive:
        for name, kind in (("real/link.png", tarfile.SYMTYPE), ("real/device.png", tarfile.CHRTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    return folder / "a.tar"


@case("members that are links or devices: 1 .real/link.png")
def zip_of_links(forms: Any, folder: Path) -> Path:
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        member = zipfile.ZipInfo("real/link.png")
        member.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(member, "/etc/passwd")
    return folder / "a.zip"


@case("members that unpack to more than 1000 times their size: 1 .real/b.png")
def bomb(forms: Any, folder: Path) -> Path:
    return forms.zip(folder / "a.zip", {"real/a.png": forms.picture(1), "real/b.png": bytes(10**8)})


@case("its members are larger together than the archive")
def overlapping_bomb(forms: Any, folder: Path) -> Path:
    path = forms.zip(folder / "a.zip", {"real/a.png": os.urandom(5000), "real/b.png": forms.picture(1)}, method=0)
    data = path.read_bytes()
    start = data.index(b"PK\1\2")
    entry = data[start : data.index(b"PK\1\2", start + 4)]
    many = b"".join(entry.replace(b"real/a.png", f"real/{n}.png".encode()) for n in range(10))
    sizes = len(many).to_bytes(4, "little") + start.to_bytes(4, "little")
    end = b"PK\5\6" + bytes(4) + (10).to_bytes(2, "little") * 2 + sizes + bytes(2)
    path.write_bytes(data[:start] + many + end)
    return path


@case("is a damaged zip archive")
def damaged_zip(forms: Any, folder: Path) -> Path:
    path = forms.zip(folder / "a.zip", {"real/a.png": forms.picture(1)})
    path.write_bytes(path.read_bytes()[:-30])
    return path


@case("members that are encrypted, or neither stored nor deflated: 1")
def odd_zip(forms: Any, folder: Path) -> Path:
    return forms.zip(folder / "a.zip", {"real/a.png": forms.picture(1)}, method=zipfile.ZIP_LZMA)


@case("members that stand twice: 1 .real/a.png")
def doubled_member(forms: Any, folder: Path) -> Path:
    with tarfile.open(folder / "a.tar", "w") as archive:
        for number in (1, 2):
            member = tarfile.TarInfo("real/a.png")
            member.size = len(forms.picture(number))
            archive.addfile(member, io.BytesIO(forms.picture(number)))
    return folder / "a.tar"


def index(forms: Any, folder: Path, text: str | bytes) -> Path:
    forms.folder(folder, {"a.png": forms.picture(1), "b.png": forms.picture(2)})
    (folder / "index.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


@case("no column 'path'; found path.label.generator; expected columns parted by comma, semicolon or tab")
def wrong_delimiter(forms: Any, folder: Path) -> Path:
    return index(forms, folder, "path|label|generator\na.png|real|\n")


@case("not UTF-8 text")
def other_encoding(forms: Any, folder: Path) -> Path:
    return index(forms, folder, "path,label,generator\nné.png,real,\n".encode("latin-1"))


@case(r"files that are missing: 4 \(w.png, x.png, y.png and 1 more\)")
def missing_files(forms: Any, folder: Path) -> Path:
    return index(forms, folder, "path,label\na.png,real\n" + "".join(f"{name}.png,real\n" for name in "wxyz"))


@case(r"index.csv: 2 of 2 paths lead outside .* \(../../outside.png, .*outside.png\).*--follow-links")
def leading_out(forms: Any, folder: Path) -> Path:
    outside = folder.parent / "outside.png"
    outside.write_bytes(forms.picture(3))
    return index(forms, folder, f"path,label\n../../outside.png,real\n{outside},real\n")


@case("images of one name: 1 .same")
def doubled_id(forms: Any, folder: Path) -> Path:
    return index(forms, folder, "path,label,file_id\na.png,real,same\nb.png,real,same\n")


@case("a real image with a generator: 1 .line 2.; label 'true', expected real or fake, 0 or 1: 1 .line 3")
def contradiction(forms: Any, folder: Path) -> Path:
    return index(forms, folder, "path,label,generator\na.png,real,DDPM\nb.png,true,\n")


@case("split 'val', expected train, validation, test: 1 .line 2")
def unknown_split(forms: Any, folder: Path) -> Path:
    return index(forms, folder, "path,label,split\na.png,real,val\n")


@case("a.parquet is damaged")
def damaged_parquet(forms: Any, folder: Path) -> Path:
    path = forms.parquet(folder / "a.parquet", forms.files(2, 2))
    path.write_bytes(path.read_bytes()[:-100])
    return folder


@case("a.parquet is damaged")
def text_that_is_none(forms: Any, folder: Path) -> Path:
    pq.write_table(forms.table(forms.rows(forms.files(1, 2))), folder / "a.parquet", compression="none")
    data = (folder / "a.parquet").read_bytes()
    (folder / "a.parquet").write_bytes(data.replace(b"what real", b"what\xffreal"))
    return folder


@case("members whose names lead out of the archive: 1")
def member_without_name(forms: Any, folder: Path) -> Path:
    path = forms.zip(folder / "a.zip", {"real/a.png": forms.picture(1), "QQ.png": b""})
    path.write_bytes(path.read_bytes().replace(b"QQ.png", b"\0Q.png"))
    return path


@case("no column 'image' or 'path'; found url")
def parquet_of_something_else(forms: Any, folder: Path) -> Path:
    pq.write_table(forms.table([{"url": "x"}]), folder / "a.parquet")
    return folder / "a.parquet"


@case("images that cannot be read: the row holds no image: 1 .a/a.parquet/0")
def row_without_image(forms: Any, folder: Path) -> Path:
    rows = [{"image": None, "label": 0}, {"image": {"bytes": forms.picture(1), "path": None}, "label": 0}]
    pq.write_table(forms.table(rows), folder / "a.parquet")
    return folder / "a.parquet"


@case("its indices name row 70 of")
def indices_beyond(forms: Any, folder: Path) -> Path:
    saved = import_data(forms.folder(folder / "x", forms.files(1, 3)), out=folder / "saved", validation=0).path
    write_indices(folder / "part", saved, [0, 70])
    return folder / "part"


@case("train/state.json is not readable JSON")
def damaged_state(forms: Any, folder: Path) -> Path:
    return forms.folder(folder, {"dataset_dict.json": b'{"splits": ["train"]}', "train/state.json": b"{"})


@case("is a picture .GIF.; give its folder")
def no_source(forms: Any, folder: Path) -> Path:
    return forms.folder(folder, {"a": b"GIF89a"}) / "a"


@case("a.tar.gz is compressed; unpack it")
def compressed(forms: Any, folder: Path) -> Path:
    path = forms.tar(folder / "a.tar", {"real/a.png": forms.picture(1)})
    return forms.folder(folder, {"a.tar.gz": gzip.compress(path.read_bytes())}) / "a.tar.gz"


@case(r"links that lead nowhere: 2 \(real/gone.png, real/round.png\)")
def broken_links(forms: Any, folder: Path) -> Path:
    forms.folder(folder, {"real/a.png": forms.picture(1)})
    for name, target in (("gone.png", "elsewhere.png"), ("round.png", "round.png"), ("latest", "nothing")):
        (folder / "real" / name).symlink_to(target)
    return folder


@case(r"split 's0', .*: 1 \(line 2\); .*split 's5', [^;]*; and 14 other faults; set that right")
def many_faults(forms: Any, folder: Path) -> Path:
    rows = "".join(f"{name}.png,real,s{number}\n" for number, name in enumerate("ab" * 10))
    return index(forms, folder, f"path,label,split\n{rows}")


@pytest.mark.parametrize("name", CASES)
def test_is_told_in_one_line_and_leaves_nothing(
    name: str, forms: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, message = CASES[name]
    (tmp_path / "a").mkdir()
    source = make(forms, tmp_path / "a")
    before = sorted(tmp_path.rglob("*"))
    assert main(["data", "import", str(source), "-o", str(tmp_path / "set"), "--workers", "1"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert re.search(message, line), line
    assert sorted(tmp_path.rglob("*")) == before


def test_links_are_followed_when_asked(forms: Any, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    shutil.rmtree(links(forms, tmp_path / "a") / "real" / "linked", ignore_errors=True)
    (tmp_path / "a" / "real" / "linked").unlink(missing_ok=True)
    (tmp_path / "a" / "real" / "round").symlink_to(tmp_path / "a")
    imported = import_data(tmp_path / "a", out=tmp_path / "set", follow_links=True, validation=0)
    assert imported.counts == {"train": {"": 2, "DDPM": 2}}


def test_a_folder_that_cannot_be_read_is_told(forms: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = forms.folder(tmp_path / "source", forms.files(1, 1))
    scandir = os.scandir

    def forbidden(path: str) -> Any:
        if str(path).endswith("DDPM"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbidden)
    with pytest.raises(InputError, match=r"folders that cannot be read \(Permission denied\): 1 .*DDPM"):
        import_data(source, out=tmp_path / "set")


def test_what_exists_is_not_touched(forms: Any, tmp_path: Path) -> None:
    source = forms.folder(tmp_path / "source", forms.files(1, 1))
    forms.folder(tmp_path / "set", {"mine": b"mine"})
    with pytest.raises(InputError, match="exists and is not an empty folder"):
        import_data(source, out=tmp_path / "set")
    assert (tmp_path / "set" / "mine").read_bytes() == b"mine"
    (tmp_path / "empty").mkdir()
    assert import_data(source, out=tmp_path / "empty").path == tmp_path / "empty"


def test_unreadable_images_are_left_out_and_listed_when_asked(forms: Any, tmp_path: Path) -> None:
    source = truncated(forms, tmp_path / "source")
    out = import_data(source, out=tmp_path / "set", skip_unreadable=True, validation=0).path
    manifest = json.loads((out / "manifest.json").read_bytes())
    assert manifest["skipped"] == ["real/cut.png"]
    assert [line["file_id"] for line in manifest["images"]] == ["real/a.png"]


@pytest.mark.parametrize("doing", ["looking at images", "writing"])
def test_a_source_that_changes_meanwhile_is_told(forms: Any, tmp_path: Path, doing: str) -> None:
    source = forms.folder(tmp_path / "source", forms.files(1, 3))

    def progress(what: str, done: int, total: int) -> None:
        if what == doing and not done:
            (source / "real/r000.png").write_bytes(forms.picture(77))

    with pytest.raises(InputError, match=r"real/r000.png was changed while it was imported"):
        import_data(source, out=tmp_path / "set", progress=progress)
    assert {path.name for path in tmp_path.iterdir()} == {"source"}


def test_bytes_that_change_behind_the_same_stamp_are_told(
    forms: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = forms.folder(tmp_path / "source", {"real/a.bmp": forms.picture(1, "BMP")})
    monkeypatch.setattr(places, "stamp_of", lambda path: (0, 0))
    monkeypatch.setattr("aigenbench.curation.reading.trees.stamp_of", lambda path: (0, 0))

    def progress(what: str, done: int, total: int) -> None:
        if what == "writing":
            (source / "real/a.bmp").write_bytes(forms.picture(2, "BMP"))

    monkeypatch.setattr(
        "aigenbench.curation.reading.trees.Place",
        lambda kind, path, key, size, stamp: places.Place(kind, path, key, size, (0, 0)),
    )
    with pytest.raises(InputError, match="was changed while it was imported"):
        import_data(source, out=tmp_path / "set", progress=progress)


def test_a_full_disk_is_told_before_and_in_between(
    forms: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = forms.folder(tmp_path / "source", forms.files(3, 9))
    command = ["data", "import", str(source), "-o", str(tmp_path / "set"), "--workers", "1"]
    usage = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100))
        assert main(command) == 2
    assert "GB are free; make space" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr(shards, "data_file", full_disk)
        assert main(command) == 2
    assert "No space left" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()
    assert main(command) == 0


def full_disk(path: Path, features: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device", str(path))


def test_two_imports_into_one_place_do_not_meet(forms: Any, tmp_path: Path) -> None:
    source = forms.folder(tmp_path / "source", forms.files(1, 1))

    def progress(what: str, done: int, total: int) -> None:
        with pytest.raises(InputError, match="another process is importing into"):
            import_data(source, out=tmp_path / "set")

    import_data(source, out=tmp_path / "set", progress=progress)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation": 1.5}, "a share between 0 and 1"),
        ({"per_generator": 0}, "at least 1"),
        ({"defaults": {"licens": "CC0"}}, "defaults: no column 'licens'; did you mean 'license'"),
        ({"pattern": "{generator}/{colour}.png"}, "{colour} is no column"),
        ({"pattern": "{generator}/x/*.png"}, r"name is as --pattern .* found 4 \(fake/BigGAN"),
    ],
)
def test_options_out_of_range_are_refused(forms: Any, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    source = forms.folder(tmp_path / "source", forms.files(1, 1))
    with pytest.raises(InputError, match=message):
        import_data(source, out=tmp_path / "set", **options)
    for none in ((), ("",), (source, "")):
        with pytest.raises(InputError, match="no source is given"):
            import_data(*none, out=tmp_path / "set")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x", "--coco", "y"], "only 'data import benchmark' takes --coco"),
        (["benchmark", "--fakes", "y", "--ids", "z"], "--coco, --raise, --laion not given"),
        (["benchmark", "--skip-unreadable"], "the published benchmark takes no --skip-unreadable"),
        (["x", "--rename", "A"], "expected NAME=OTHER, found 'A'"),
        (["x", "--workers", "0"], "--workers: expected at least 1"),
    ],
)
def test_options_of_the_other_kind_are_refused(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "import", *arguments, "-o", str(tmp_path / "set")]) == 2
    assert message in capsys.readouterr().err


def test_another_import_left_unfinished_is_not_taken_over(
    forms: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = forms.folder(tmp_path / "source", forms.files(1, 3))

    def stop(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(work, "write_shards", stop)
        with pytest.raises(KeyboardInterrupt):
            import_data(source, out=tmp_path / "set")
    with pytest.raises(InputError, match="--restart begins anew"):
        import_data(source, out=tmp_path / "set", seed=3)
    import_data(source, out=tmp_path / "set", seed=3, restart=True)
    assert {path.name for path in tmp_path.iterdir()} == {"source", "set"}
