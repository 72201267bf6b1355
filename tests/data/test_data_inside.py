from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pytest

from aigenbench.data import AIGenBenchDatasetLoader, AIGenBenchPipeline
from aigenbench.data.predict import open_predict_set
from aigenbench.data.samples.dataset import read_image
from aigenbench.data.sources.dataset_dict import DatasetImages
from aigenbench.data.sources.inside import check_inside
from aigenbench.data.sources.opening import open_source
from aigenbench.errors import InputError

HEADER = "path,label,generator,split"


def indexed(folder: Path, *paths: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "index.csv").write_text("\n".join([HEADER, *(f"{path},real,,validation" for path in paths)]))
    return folder


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "x.png").write_bytes(b"x")
    return folder


@pytest.mark.parametrize(
    "name", ["../elsewhere/x.png", "{}/x.png", "sub/../../elsewhere/x.png", "linked.png", "in/x.png"]
)
def test_an_index_that_leads_outside_is_told(tmp_path: Path, outside: Path, name: str) -> None:
    folder = indexed(tmp_path / "data", "a.png", name.format(outside), "b.png")
    (folder / "sub").mkdir()
    (folder / "linked.png").symlink_to(outside / "x.png")
    (folder / "in").symlink_to(outside)
    for opened in (open_source, open_predict_set):
        with pytest.raises(
            InputError, match=r"index\.csv: 1 of 3 paths lead outside .*data \(.*\.png\); put the files"
        ):
            opened(folder)
        opened(folder, follow_links=True)
    loader = AIGenBenchDatasetLoader(str(folder), follow_links=True)
    pipeline = AIGenBenchPipeline(loader, predict_path=str(folder))
    assert bytes(pipeline.source.table("validation").store.read(1)) == b"x"
    assert len(pipeline.predict_set(lambda: pytest.fail("no plan is needed")).rows) == 3


def test_what_lies_inside_stays_readable(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.png").write_bytes(b"a")
    (folder / "link.png").symlink_to("sub/../a.png")
    (tmp_path / "data_link").symlink_to(folder)
    names = ["a.png", "sub/../a.png", "link.png", f"{folder}/a.png", f"{tmp_path}/data_link/a.png", "not/there.png"]
    for root in (folder, tmp_path / "data_link"):
        check_inside(root, names, "x")
    # told by who reads it
    assert len(open_source(indexed(folder, *names)).table("validation")) == len(names)


def test_many_are_counted_and_a_few_named(tmp_path: Path) -> None:
    names = [f"../{i}.png" for i in range(50)] + ["a.png", ".."]
    with pytest.raises(InputError) as caught:
        check_inside(tmp_path, names, "x")
    assert "51 of 52 paths" in str(caught.value)
    assert "(../0.png, ../1.png, ../2.png, ...)" in str(caught.value)


def test_the_hubs_cache_is_made_of_links(made, tmp_path: Path) -> None:
    repository = tmp_path / "datasets--someone--some"
    made.default(repository / "snapshots" / "0123abcd")
    (repository / "blobs").mkdir()
    for i, file in enumerate(sorted((repository / "snapshots").rglob("*.*"))):
        if file.is_file():
            file.rename(repository / "blobs" / str(i))
            file.symlink_to(os.path.relpath(repository / "blobs" / str(i), file.parent))
    assert len(open_source(repository / "snapshots" / "0123abcd").table("train")) == 51


@pytest.mark.parametrize("kind", ["absolute", "climbing", "link"])
def test_a_saved_data_set_that_leads_outside_is_told(made, tmp_path: Path, outside: Path, kind: str) -> None:
    folder = made.default(tmp_path / "data")
    file = folder / "train" / "data-00000-of-00001.arrow"
    file.rename(outside / "x.arrow")
    name = {"absolute": str(outside / "x.arrow"), "climbing": "../../elsewhere/x.arrow", "link": "x.arrow"}[kind]
    (folder / "train" / "x.arrow").symlink_to(outside / "x.arrow")
    (folder / "train" / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    with pytest.raises(InputError, match=r"state\.json: 1 of 1 paths lead outside"):
        open_source(folder)
    assert len(open_source(folder, follow_links=True).table("train")) == 51
    (folder / "train" / "state.json").write_text(json.dumps({"_data_files": [{"filename": 7}]}))
    with pytest.raises(InputError, match=r"state\.json names no data files"):
        open_source(folder)


def test_images_that_are_paths_alone_lie_inside(tmp_path: Path, outside: Path) -> None:
    folder = tmp_path / "data"
    (folder / "validation").mkdir(parents=True)
    (folder / "dataset_dict.json").write_text('{"splits": ["validation"]}')
    (folder / "validation" / "state.json").write_text('{"_data_files": [{"filename": "a.arrow"}]}')
    (folder / "own.png").write_bytes(b"own")
    paths = [str(folder / "own.png"), str(outside / "x.png"), "no\0name/x.png"]
    columns = {"image": pa.array(paths), "label": pa.array([0] * 3), "generator": pa.array([""] * 3)}
    with pa.ipc.new_stream(str(folder / "validation" / "a.arrow"), pa.table(columns).schema) as stream:
        stream.write_table(pa.table(columns))
    for opened in (open_source, open_predict_set):
        with pytest.raises(InputError, match=r"validation: images: 1 of 2 paths lead outside"):
            opened(folder)
    store = open_source(folder, follow_links=True).table("validation").store
    assert [bytes(store.read(i)) for i in range(2)] == [b"own", b"x"]
    assert store.sizes().tolist() == [3, 1, -1]
    with pytest.raises(OSError, match="null byte"):
        store.read(2)


@pytest.mark.parametrize("device", ["pipe", "/dev/zero"])
def test_pipes_and_devices_are_not_opened(tmp_path: Path, device: str) -> None:
    folder = indexed(tmp_path / "data", "a.png")
    if device == "pipe":
        os.mkfifo(folder / "a.png")
    else:
        (folder / "a.png").symlink_to(device)
    table = open_source(folder, follow_links=True).table("validation")
    assert table.store.sizes().tolist() == [-1]
    with pytest.raises(InputError, match="is no regular file"):
        read_image(table, 0)


def test_nor_by_a_loader_of_ones_own(tmp_path: Path) -> None:
    import datasets

    os.mkfifo(tmp_path / "a.png")
    features = datasets.Features({"image": datasets.Image(decode=False)})
    split = datasets.Dataset.from_dict({"image": [str(tmp_path / "a.png")]}, features=features)
    with pytest.raises(OSError, match="is no regular file"):
        DatasetImages(split).read(0)
