"""A made-up copy of the benchmark's published parts, in the layouts in which people have them."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

from aigenbench.cli import main
from aigenbench.curation import benchmark, import_benchmark
from aigenbench.data.sources.opening import open_source
from aigenbench.errors import InputError
from aigenbench.protocol.timeline import PUBLISHED

NAMES = PUBLISHED.names[:4]
COUNTS = {"train": 6, "validation": 3}
REALS = {
    "train": {"COCO2017_train": 14, "LAION-400M": 7, "RAISE": 3},
    "validation": {"COCO2017_train": 2, "COCO2017_val": 3, "LAION-400M": 6, "RAISE": 1},
}


@dataclass
class Parts:
    """The folders of the parts.

    Attributes:
        root: where they lie.
        files: bytes of every image by id.
        ids: the lists.
    """

    root: Path
    files: dict[str, bytes] = field(default_factory=dict)
    ids: dict[str, list[str]] = field(default_factory=dict)

    def arguments(self, **options: Any) -> dict[str, Any]:
        """For ``import_benchmark``."""
        folders = {name: self.root / name for name in ("fakes", "coco", "laion", "ids")}
        return {"out": self.root / "set", "raise_images": self.root / "raise", **folders, **options}


def write_fakes(parts: Parts, forms: Any) -> None:
    """Shards in the hub's layout, in no order of generators."""
    for split, count in COUNTS.items():
        names = [f"GenImage/{name}/{split}/ai/{n}" for name in NAMES for n in range(count)]
        rng = np.random.default_rng(len(split))
        names = [names[i] for i in rng.permutation(len(names))]
        rows = []
        for name in names:
            parts.files[name] = forms.picture(hash_of(name), "PNG", (30, 20))
            rows.append(
                {
                    "image": {"bytes": parts.files[name], "path": None},
                    "label": 1,
                    "generator": name.split("/")[1],
                    "file_id": name,
                    "positive_prompt": f"a prompt of {name}",
                    "origin_dataset": "GenImage",
                    "paired_real_images": ["COCO2017_train/1"],
                }
            )
        half = len(rows) // 2
        for number, some in enumerate((rows[:half], rows[half:])):
            path = parts.root / "fakes" / "data" / f"{split}-{number:05d}-of-00002.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            import pyarrow.parquet as pq

            pq.write_table(forms.table(some), path, row_group_size=5)


def hash_of(name: str) -> int:
    return sum(map(ord, name)) * 1000 + len(name)


def write_coco(parts: Parts, forms: Any) -> None:
    for origin, folder in (("COCO2017_train", "train2017"), ("COCO2017_val", "val2017")):
        numbers = range(1, 20) if origin.endswith("train") else range(501, 508)
        notes: dict[str, Any] = {
            "licenses": [{"id": 4, "name": "Attribution License"}],
            "images": [],
            "annotations": [],
        }
        for n in numbers:
            data = forms.picture(n, "JPEG", (240, 220))
            parts.files[f"{origin}/{n}"] = data
            forms.folder(parts.root / "coco" / folder, {f"{n:012d}.jpg": data})
            notes["images"].append({"id": n, "license": 4})
            notes["annotations"] += [
                {"id": 10 * n + 2, "image_id": n, "caption": f"second of {n}."},
                {"id": 10 * n + 1, "image_id": n, "caption": f"First of {n}.\n"},
            ]
        note = json.dumps(notes).encode()
        forms.folder(parts.root / "coco" / "annotations", {f"captions_{folder}.json": note})


def write_raise(parts: Parts, forms: Any) -> None:
    """One under its own name, the others numbered by a downloader and coded anew."""
    folder = parts.root / "raise"
    for n, name in enumerate(("r000da54ft", "r001d260dt", "r002fc3e2t", "r003b00a1t", "r004unused")):
        data = forms.picture(300 + n, "TIFF" if n == 0 else "PNG", (260, 210))
        parts.files[f"RAISE/{name}"] = data
        if n == 0:
            forms.folder(folder, {f"originals/{name}.TIF": data})
        else:
            url = f"http://example.org/RAISE/TIFF/{name}.TIF"
            note = json.dumps({"url": url, "key": f"{n:09d}"}).encode()
            forms.folder(folder, {f"00000/{n:09d}.png": data, f"00000/{n:09d}.json": note})


def laion_files(parts: Parts, forms: Any) -> dict[str, bytes]:
    """What img2dataset leaves: of listed images 100 to 112, the 103rd and 109th are gone; 900 to 905 are spares."""
    files = {}
    for n in (*range(100, 113), *range(900, 906)):
        if n in (103, 109):
            continue
        size = {104: (199, 400), 901: (400, 150)}.get(n, (230, 210))
        mode, kind = ("RGBA", "PNG") if n == 101 else ("RGB", "JPEG")
        data = forms.picture(n, kind, size, mode)
        if n in (105, 900):
            data = data[: len(data) // 2]
        parts.files[f"LAION-400M/{n}"] = data
        key = f"00000/{n:09d}"
        files[f"{key}.{'png' if n == 101 else 'jpg'}"] = data
        note = {"id": n, "caption": f"caption of {n}", "key": f"{n:09d}", "status": "success", "width": 1}
        files[f"{key}.json"] = json.dumps(note).encode()
        files[f"{key}.txt"] = f"caption of {n}".encode()
    return files


@pytest.fixture
def parts(forms: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parts:
    monkeypatch.setattr(benchmark, "FAKES", COUNTS)
    monkeypatch.setattr(benchmark, "PUBLISHED", PUBLISHED.restricted_to(NAMES))
    made = Parts(tmp_path)
    write_fakes(made, forms)
    write_coco(made, forms)
    write_raise(made, forms)
    forms.folder(tmp_path / "laion", laion_files(made, forms))
    names = {
        "COCO2017_train": [str(n) for n in range(1, 17)],
        "COCO2017_val": [str(n) for n in range(501, 504)],
        "LAION-400M": [str(n) for n in range(100, 113)],
        "RAISE": ["r000da54ft", "r001d260dt", "r002fc3e2t", "r003b00a1t"],
    }
    for split, counts in REALS.items():
        ids = [f"{origin}/{names[origin].pop(0)}" for origin, count in counts.items() for _ in range(count)]
        made.ids[split] = [ids[i] for i in np.random.default_rng(5).permutation(len(ids))]
        text = "\n".join(made.ids[split]) + "\n"
        forms.folder(tmp_path / "ids", {f"{split}_real_file_ids.txt": text.encode()})
    return made


REPLACED = {"LAION-400M/103": "902", "LAION-400M/104": "903", "LAION-400M/105": "904", "LAION-400M/109": "905"}


def rows_of(folder: Path, split: str) -> list[dict[str, Any]]:
    return list(datasets.load_from_disk(str(folder))[split].cast_column("image", datasets.Image(decode=False)))


def test_rows_are_the_published_fakes_then_the_listed_reals_then_spares(parts: Parts) -> None:
    out = import_benchmark(**parts.arguments()).path
    manifest = json.loads((out / "manifest.json").read_bytes())
    replaced = {one["file_id"]: one for one in manifest["substitutions"]}
    assert set(replaced) == set(REPLACED)
    assert sorted(one["by"] for one in replaced.values()) == [f"LAION-400M/{n}" for n in REPLACED.values()]
    assert replaced["LAION-400M/103"]["why"] == "not in the download"
    assert "shorter side is below 200" in replaced["LAION-400M/104"]["why"]
    for split in COUNTS:
        rows = rows_of(out, split)
        fakes = [row["file_id"] for row in rows if row["label"]]
        shards = sorted((parts.root / "fakes" / "data").glob(f"{split}-*"))
        assert fakes == [name for shard in shards for name in datasets.Dataset.from_parquet(str(shard))["file_id"]]
        there = [file_id for file_id in parts.ids[split] if file_id not in replaced]
        spares = [one["by"] for one in manifest["substitutions"] if one["split"] == split]
        assert [row["file_id"] for row in rows[len(fakes) :]] == [*there, *spares]
        assert len(rows) == 2 * len(fakes) == 2 * 4 * COUNTS[split]
        for row in rows:
            if row["file_id"] != "LAION-400M/101":
                assert row["image"]["bytes"] == parts.files[row["file_id"]]


def test_columns_are_the_published_ones(parts: Parts) -> None:
    out = import_benchmark(**parts.arguments()).path
    rows = {row["file_id"]: row for split in COUNTS for row in rows_of(out, split)}
    assert rows["COCO2017_train/3"]["description"] == "First of 3. second of 3."
    assert rows["COCO2017_train/3"]["license"] == "Attribution License"
    assert rows["RAISE/r001d260dt"]["description"] == ""
    assert rows["LAION-400M/110"]["description"] == "caption of 110"
    for file_id, row in rows.items():
        assert row["origin_dataset"] == (file_id.split("/")[0])
    fake = next(row for row in rows.values() if row["label"])
    assert fake["positive_prompt"] == f"a prompt of {fake['file_id']}"
    assert fake["paired_real_images"] == ["COCO2017_train/1"]
    assert (fake["height"], fake["width"]) == (20, 30)
    table = open_source(out).table("train")
    assert table.counts == {"": 24, **dict.fromkeys(NAMES, 6)}


def test_transparency_is_laid_over_white(parts: Parts) -> None:
    out = import_benchmark(**parts.arguments()).path
    (row,) = [row for row in rows_of(out, "train") if row["file_id"] == "LAION-400M/101"]
    layers = Image.open(io.BytesIO(parts.files["LAION-400M/101"]))
    white = Image.new("RGBA", layers.size, "white")
    white.alpha_composite(layers)
    stored = Image.open(io.BytesIO(row["image"]["bytes"]))
    assert np.array_equal(np.asarray(stored), np.asarray(white.convert("RGB")))
    manifest = json.loads((out / "manifest.json").read_bytes())
    (line,) = [line for line in manifest["images"] if "laid_on_white_from" in line]
    assert line["file_id"] == "LAION-400M/101"


def test_every_layout_of_laion_gives_the_same(parts: Parts, forms: Any) -> None:
    expected = import_benchmark(**parts.arguments(workers=2)).manifest_hash
    files = laion_files(parts, forms)
    forms.tar(parts.root / "tars" / "00000.tar", files)
    rows = [
        {
            "image": {"bytes": data, "path": None},
            "file_id": f"LAION-400M/{int(name[-13:-4])}",
            "description": f"caption of {int(name[-13:-4])}",
        }
        for name, data in files.items()
        if name.endswith(("jpg", "png"))
    ]
    saved = datasets.Dataset(forms.table(rows, class_label=False)).cast_column("image", datasets.Image())
    saved.save_to_disk(str(parts.root / "saved"))
    # one stands twice in a download
    forms.tar(parts.root / "tars" / "00001.tar", {name: data for name, data in files.items() if "902" in name})
    for form in ("tars", "saved"):
        arguments = parts.arguments(laion=parts.root / form, out=parts.root / f"set of {form}")
        assert import_benchmark(**arguments).manifest_hash == expected, form


def test_the_mini_subset_is_drawn_by_id(parts: Parts) -> None:
    whole = import_benchmark(**parts.arguments()).path
    mini = import_benchmark(**parts.arguments(out=parts.root / "mini", per_generator=2))
    assert mini.counts == {split: {"": 8, **dict.fromkeys(sorted(NAMES), 2)} for split in COUNTS}
    part = json.loads((mini.path / "manifest.json").read_bytes())["part"]
    assert part == {"name": "mini-2", "per_generator": 2, "seed": 0}
    for split in COUNTS:
        order = [row["file_id"] for row in rows_of(whole, split)]
        fakes = [row["file_id"] for row in rows_of(mini.path, split) if row["label"]]
        assert fakes == [file_id for file_id in order if file_id in fakes]


def test_all_that_is_missing_is_told_before_anything_is_written(parts: Parts) -> None:
    (parts.root / "coco/train2017" / f"{4:012d}.jpg").unlink()
    (parts.root / "coco/val2017" / f"{501:012d}.jpg").unlink()
    (parts.root / "raise/originals/r000da54ft.TIF").unlink()
    (parts.root / "fakes/data/train-00001-of-00002.parquet").unlink()
    before = sorted(parts.root.rglob("*"))
    with pytest.raises(InputError) as told:
        import_benchmark(**parts.arguments())
    assert "images missing in train2017, from train2017.zip" in str(told.value)
    assert "images of generators by split: 4" in str(told.value)
    assert "1 (000000000501.jpg)" in str(told.value)
    assert "RAISE, all images: 1 (r000da54ft)" in str(told.value)
    assert sorted(parts.root.rglob("*")) == before


def test_too_few_spares_are_told(parts: Parts) -> None:
    for n in (902, 903):
        for path in (parts.root / "laion/00000").glob(f"{n:09d}.*"):
            path.unlink()
    with pytest.raises(InputError, match="4 images of LAION-400M are missing or cannot be used, and 2 spares can"):
        import_benchmark(**parts.arguments())
    for path in (parts.root / "laion/00000").glob("0000009*"):
        path.unlink()
    with pytest.raises(InputError, match=r"images missing: 2 \(LAION-400M/103, LAION-400M/109\), with 0 spares"):
        import_benchmark(**parts.arguments())
    assert not list(parts.root.glob("*set*"))


def test_what_is_not_the_published_part_is_told(parts: Parts) -> None:
    list_ = parts.root / "ids" / "validation_real_file_ids.txt"
    text = list_.read_text()
    list_.write_text(text.partition("\n")[2])
    with pytest.raises(InputError, match=r"validation_real_file_ids.txt names 11 images, expected 12"):
        import_benchmark(**parts.arguments())
    list_.write_text(text.replace(text.split("\n")[0], "Flickr/7"))
    with pytest.raises(InputError, match="the lists of ids name 'Flickr/7'"):
        import_benchmark(**parts.arguments())
    list_.write_text(text.replace(text.split("\n")[0], text.split("\n")[1]))
    with pytest.raises(InputError, match="the lists name images twice: 1"):
        import_benchmark(**parts.arguments())
    list_.write_text(text)
    (parts.root / "fakes/data/train-00001-of-00002.parquet").unlink()
    with pytest.raises(InputError, match=r"images of generators by split: 4 \(.* in train: \d of 6"):
        import_benchmark(**parts.arguments())


def test_the_fakes_are_fetched_when_asked(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def fetch(repository: str, repo_type: str, local_dir: Path, allow_patterns: str) -> None:
        assert (repository, repo_type) == ("lrzpellegrini/AI-GenBench-fake_part", "dataset")
        (parts.root / "published").rename(local_dir)

    (parts.root / "fakes").rename(parts.root / "published")
    with monkeypatch.context() as patch:
        patch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        with pytest.raises(InputError, match="AI-GenBench-fake_part cannot be fetched"):
            import_benchmark(**parts.arguments(fetch_fakes=True))
    shutil.rmtree(parts.root / "fakes", ignore_errors=True)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert import_benchmark(**parts.arguments(fetch_fakes=True)).counts["train"][""] == 24


def test_a_damaged_image_that_cannot_be_replaced_is_told(parts: Parts) -> None:
    path = parts.root / "coco/train2017" / f"{4:012d}.jpg"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=r"images that cannot be used: .*1 .COCO2017_train/4.*get them again"):
        import_benchmark(**parts.arguments())
    assert not list(parts.root.glob("*set*"))


def test_captions_that_are_none_are_told(parts: Parts) -> None:
    path = parts.root / "coco/annotations/captions_val2017.json"
    path.write_text('{"annotations": [7]}')
    with pytest.raises(InputError, match=r"captions_val2017.json is no file of COCO's captions"):
        import_benchmark(**parts.arguments())
    path.unlink()
    with pytest.raises(InputError, match=r"captions_val2017.json is missing; it is in .*annotations_trainval2017.zip"):
        import_benchmark(**parts.arguments())


def test_from_the_command_line(parts: Parts, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [f"--{name}={parts.root / name}" for name in ("fakes", "coco", "raise", "laion", "ids")]
    out = str(parts.root / "set")
    assert main(["data", "import", "benchmark", *folders, "-o", out, "--workers", "1"]) == 0
    printed = capsys.readouterr()
    assert "train: 24 real images, 24 fakes of 4 generators" in printed.out
    assert "4 images of LAION-400M are replaced by spares" in printed.err
    assert main(["data", "windows", out]) == 0
