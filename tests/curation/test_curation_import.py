from __future__ import annotations

import hashlib
import io
import json
import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from curation_forms import write_indices
from PIL import Image

import aigenbench as ab
from aigenbench.cli import main
from aigenbench.curation import import_data, shards
from aigenbench.data.sources.opening import open_source
from aigenbench.errors import InputError
from small_run import FEW, PIPELINE


def images_of(folder: Path) -> dict[str, bytes]:
    """Bytes of every image by its file_id, as ``datasets`` reads them."""
    found = {}
    for split in datasets.load_from_disk(str(folder)).values():
        rows = split.cast_column("image", datasets.Image(decode=False))
        found.update({row["file_id"]: row["image"]["bytes"] for row in rows})
    return found


def manifest_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())
    return content


@pytest.fixture(scope="module")
def imported(forms: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("import")
    return import_data(forms.folder(folder / "source", forms.files()), out=folder / "set").path


def test_bytes_are_kept_and_the_manifest_says_what_they_are(imported: Path, forms: Any) -> None:
    files = forms.files()
    assert images_of(imported) == files
    manifest = manifest_of(imported)
    assert {line["file_id"]: line["sha256"] for line in manifest["images"]} == {
        name: hashlib.sha256(data).hexdigest() for name, data in files.items()
    }
    assert {(line["height"], line["width"]) for line in manifest["images"]} == {(20, 24)}
    text = (imported / "manifest.json").read_bytes()
    assert hashlib.sha256(text[: text.rindex(b'"hash"')]).hexdigest() == manifest["hash"]


def test_our_own_reader_and_datasets_open_it(imported: Path) -> None:
    tables = open_source(imported)
    for split, counts in manifest_of(imported)["counts"].items():
        assert tables.table(split).counts == counts
    opened = datasets.load_from_disk(str(imported))
    assert isinstance(opened["train"].features["image"], datasets.Image)
    assert opened["train"].features["label"].names == ["real", "fake"]
    row = opened["validation"][0]
    assert row["image"].size == (24, 20)
    assert row["sha256"]
    assert row["paired_real_images"] == []


def test_a_share_of_each_generator_and_of_the_reals_is_for_validation(imported: Path) -> None:
    assert manifest_of(imported)["counts"]["validation"] == {"": 3, "BigGAN": 1, "CycleGAN": 1, "DDPM": 1}


def test_order_of_files_and_number_of_workers_change_nothing(
    forms: Any, content: Callable[[Path], dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 4000)
    files = forms.files()
    parts: list[dict[str, bytes]] = [{}, {}]
    for number, name in enumerate(sorted(files)):
        parts[number % 2][name] = files[name]
    forward = [forms.folder(tmp_path / f"a{i}", part) for i, part in enumerate(parts)]
    backward = [forms.folder(tmp_path / "elsewhere" / f"b{i}", part, True) for i, part in enumerate(parts)]
    one = import_data(*forward, out=tmp_path / "one")
    other = import_data(*reversed(backward), out=tmp_path / "other", workers=2)
    assert one.manifest_hash == other.manifest_hash
    assert len(list((tmp_path / "one" / "train").glob("*.arrow"))) > 2
    assert content(one.path) == content(other.path)


def test_every_form_gives_the_same_images(forms: Any, tmp_path: Path) -> None:
    files = forms.files()
    shuffled = dict(random.Random(1).sample(list(files.items()), len(files)))
    expected = import_data(forms.folder(tmp_path / "folder", files), out=tmp_path / "set").manifest_hash
    names = sorted(files)
    index = "path;label;generator\n" + "".join(
        f"{name};{name[:4]};{name.split('/')[1] if name[:4] == 'fake' else ''}\n" for name in reversed(names)
    )
    (forms.folder(tmp_path / "indexed", files) / "index.csv").write_text(index, encoding="utf-16")
    sources = {
        "zip": forms.zip(tmp_path / "a.zip", shuffled),
        "stored": forms.zip(tmp_path / "b.zip", shuffled, method=zipfile.ZIP_STORED),
        "tar": forms.tar(tmp_path / "c.tar", shuffled),
        "indexed": tmp_path / "indexed",
        "zip with index": forms.zip(tmp_path / "d.zip", {**shuffled, "index.csv": index.encode()}),
    }
    for name, source in sources.items():
        assert import_data(source, out=tmp_path / f"set {name}").manifest_hash == expected, name


def test_what_wraps_an_archive_does_not_count_and_several_stand_side_by_side(forms: Any, tmp_path: Path) -> None:
    files = forms.files(each=2, reals=4)
    forms.tar(tmp_path / "shards" / "00000.tar", files, prefix="photos/")
    forms.tar(tmp_path / "shards" / "00001.tar", files, prefix="photos/")
    (tmp_path / "shards" / "stats.json").write_text("{}")
    out = import_data(tmp_path / "shards", out=tmp_path / "set").path
    assert images_of(out) == {
        f"{shard}/photos/{name}": data for shard in ("00000", "00001") for name, data in files.items()
    }


def test_parquet_shards_and_saved_sets_keep_their_columns_and_order(forms: Any, tmp_path: Path) -> None:
    files = forms.files(each=4, reals=9)
    names = random.Random(2).sample(sorted(files), len(files))
    for split, part in (("train", names[:14]), ("validation", names[14:])):
        for number, some in enumerate((part[:5], part[5:])):
            path = tmp_path / "hub" / "data" / f"{split}-{number:05d}-of-00002.parquet"
            forms.parquet(path, {name: files[name] for name in some})
    one = import_data(tmp_path / "hub", out=tmp_path / "one").path
    ids = {split: list(rows["file_id"]) for split, rows in datasets.load_from_disk(str(one)).items()}
    assert ids["train"] == sorted(names[:14], key=lambda name: (name[:4] == "real", names.index(name)))
    assert images_of(one) == files
    other = import_data(one, out=tmp_path / "other")
    assert other.manifest_hash == manifest_of(one)["hash"]
    rows = datasets.load_from_disk(str(other.path))["train"]
    assert set(rows["description"]) == {f"what {name} shows" for name in names[:14]}


def test_a_selection_kept_as_indices_is_followed(forms: Any, tmp_path: Path) -> None:
    files = forms.files(each=4, reals=12)
    saved = import_data(forms.folder(tmp_path / "folder", files), out=tmp_path / "set", validation=0).path
    train = datasets.load_from_disk(str(saved))["train"]
    picked = train.select([5, 3, 20, 11, 2])
    datasets.DatasetDict({"train": picked, "validation": train.select([9, 1])}).save_to_disk(str(tmp_path / "part"))
    write_indices(tmp_path / "part2", saved, [5, 3, 20, 11, 2])
    for part in ("part", "part2"):
        out = import_data(tmp_path / part, out=tmp_path / f"set of {part}").path
        again = datasets.load_from_disk(str(out))["train"]
        assert sorted(again["file_id"]) == sorted(picked["file_id"])
        assert all(images_of(out)[name] == files[name] for name in picked["file_id"])


def test_a_saved_set_whose_description_is_damaged_goes_by_its_values(forms: Any, tmp_path: Path) -> None:
    files = forms.files(each=2, reals=4)
    saved = import_data(forms.folder(tmp_path / "folder", files), out=tmp_path / "set", validation=0)
    (saved.path / "train" / "dataset_info.json").write_text('{"features": [1]}')
    assert images_of(import_data(saved.path, out=tmp_path / "again").path) == files


def test_webdataset_members_beside_an_image_speak_of_it(forms: Any, tmp_path: Path) -> None:
    members = {}
    for number in range(6):
        facts = {"label": number % 2, "generator": "DDPM" if number % 2 else "", "caption": f"caption {number}"}
        facts |= {"split": "train", "license": "CC0", "id": 1000 + number}
        members[f"{number:04d}.json"] = json.dumps(facts).encode()
        members[f"{number:04d}.png"] = forms.picture(number)
    out = import_data(forms.tar(tmp_path / "a.tar", members), out=tmp_path / "set").path
    rows = {row["file_id"]: row for row in datasets.load_from_disk(str(out))["train"]}
    assert set(rows) == {str(1000 + number) for number in range(6)}
    assert rows["1003"]["description"] == "caption 3"
    assert rows["1003"]["generator"] == "DDPM"
    assert rows["1003"]["license"] == "CC0"


def test_a_pattern_says_what_parts_of_names_mean(forms: Any, tmp_path: Path) -> None:
    files = {
        f"{split}/{name}/{n}.png": forms.picture(n)
        for split in ("train", "test")
        for name in ("real", "DDPM")
        for n in (1, 2)
    }
    source = forms.folder(tmp_path / "source", {**files, "notes/x.png": forms.picture(9)})
    imported = import_data(
        source, out=tmp_path / "set", pattern="{split}/{generator}/*.png", defaults={"license": "CC0"}
    )
    assert imported.counts == {"train": {"": 2, "DDPM": 2}, "test": {"": 2, "DDPM": 2}}
    assert set(datasets.load_from_disk(str(imported.path))["test"]["license"]) == {"CC0"}


def test_a_folder_of_one_new_generator(forms: Any, tmp_path: Path) -> None:
    source = forms.folder(tmp_path / "outputs", {f"{n}.png": forms.picture(n) for n in range(4)})
    imported = import_data(source, out=tmp_path / "set", defaults={"generator": "Own", "split": "validation"})
    assert imported.counts == {"validation": {"Own": 4}}


def test_content_says_what_a_picture_is(forms: Any, tmp_path: Path) -> None:
    files = {"real/a.jpg": forms.picture(1), "fake/DDPM/b.bin": forms.picture(2, "JPEG"), "fake/DDPM/c.txt": b"words"}
    out = import_data(forms.folder(tmp_path / "source", files), out=tmp_path / "set", validation=0).path
    assert {line["file_id"]: line["format"] for line in manifest_of(out)["images"]} == {
        "real/a.jpg": "PNG",
        "fake/DDPM/b.bin": "JPEG",
    }


def test_names_and_words_that_are_no_text_become_text(forms: Any, tmp_path: Path) -> None:
    files = {"a.json": b'{"label": "fake", "generator": "A\\ud800", "caption": "b\\udfff"}', "a.png": forms.picture(1)}
    source = forms.folder(tmp_path / "source", files)
    (source / "fake" / os.fsdecode(b"caf\xe9")).mkdir(parents=True)
    (source / "fake" / os.fsdecode(b"caf\xe9") / "b.png").write_bytes(forms.picture(2))
    imported = import_data(source, out=tmp_path / "set", defaults={"split": "train"})
    assert imported.counts == {"train": {"A?": 1, "caf\\xe9": 1}}
    assert set(images_of(imported.path)) == {"a.png", "fake/caf\\xe9/b.png"}


def test_only_so_many_of_each_are_drawn_by_name(forms: Any, tmp_path: Path) -> None:
    source = forms.folder(tmp_path / "source", forms.files(each=10, reals=40))
    drawn = [import_data(source, out=tmp_path / f"set {n}", per_generator=n, seed=4) for n in (1, 2)]
    assert drawn[1].counts["train"] == {"": 6, "BigGAN": 2, "CycleGAN": 2, "DDPM": 2}
    ids = [{line["file_id"] for line in manifest_of(one.path)["images"]} for one in drawn]
    assert ids[0] < ids[1]
    other = import_data(source, out=tmp_path / "other", per_generator=2, seed=5).path
    assert {line["file_id"] for line in manifest_of(other)["images"]} != ids[1]


def test_names_on_a_timeline_of_ones_own_are_known(forms: Any, tmp_path: Path) -> None:
    names = ("Stable Diffusion 1.6", "frontier-model")
    files = {f"fake/{name}/a.png": forms.picture(seed) for seed, name in enumerate(names)}
    source = forms.folder(tmp_path / "source", {**files, "real/b.png": forms.picture(5)})
    (tmp_path / "own.csv").write_text("generator,date\nStable Diffusion 1.6,2024-01-01\nFrontier Model,2026-01-01\n")
    with pytest.raises(InputError, match=r"^generators: 'frontier-model' is near 'Frontier Model': "):
        import_data(source, out=tmp_path / "set", timeline=tmp_path / "own.csv")
    # another number is another generator, and names on no timeline are taken as they are
    assert import_data(source, out=tmp_path / "set").counts


def test_demo_data_stays_known_as_such(tmp_path: Path) -> None:
    ab.make_demo_data(tmp_path / "demo", generators=2, train=2, validation=2)
    out = ab.import_data(tmp_path / "demo", out=tmp_path / "set").path
    from aigenbench.data.sources.mark import is_synthetic

    assert is_synthetic(out)


def test_transparency_and_orientation_are_the_files_own(forms: Any, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(np.zeros((10, 30, 3), np.uint8)).save(buffer, "JPEG", exif=exif)
    files = {"real/turned.jpg": buffer.getvalue(), "real/clear.png": forms.picture(3, mode="RGBA")}
    out = import_data(forms.folder(tmp_path / "source", files), out=tmp_path / "set", validation=0).path
    assert images_of(out) == files
    sizes = {line["file_id"]: (line["height"], line["width"]) for line in manifest_of(out)["images"]}
    assert sizes == {"real/turned.jpg": (30, 10), "real/clear.png": (20, 24)}


def test_the_slice_of_real_data_imports_with_one_command(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = shared / "realslice"
    if not source.is_dir():
        pytest.skip(f"no folder {source}")
    out = tmp_path / "set"
    assert main(["data", "import", str(source), "-o", str(out), "--workers", "1"]) == 0
    assert "157 real images, 146 fakes of 26 generators" in capsys.readouterr().out
    assert all((source / name).read_bytes() == data for name, data in images_of(out).items())
    assert main(["data", "windows", str(out)]) == 0


@pytest.mark.slow
def test_a_run_on_what_was_imported(forms: Any, tmp_path: Path) -> None:
    files = forms.files(each=12, reals=40)
    out = ab.import_data(forms.folder(tmp_path / "source", files), out=tmp_path / "set", validation=0.4).path
    experiment = ab.fit(
        PIPELINE,
        overrides=FEW | {"dataset_path": out, "experiment_info.experiments_data_folder": str(tmp_path / "runs")},
    )
    assert experiment.scores().headline.mean is not None


def test_parquet_with_images_alone_takes_what_holds_where_nothing_is_said(forms: Any, tmp_path: Path) -> None:
    rows = [{"image": {"bytes": forms.picture(number), "path": None}} for number in range(3)]
    import pyarrow.parquet as pq

    (tmp_path / "own").mkdir()
    pq.write_table(forms.table(rows, class_label=False), tmp_path / "own" / "test-00000-of-00001.parquet")
    imported = import_data(tmp_path / "own", out=tmp_path / "set", defaults={"generator": "Own"})
    assert imported.counts == {"test": {"Own": 3}}
