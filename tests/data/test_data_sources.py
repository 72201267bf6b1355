from __future__ import annotations

import json
import logging
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from aigenbench.data.plan import make_plan
from aigenbench.data.sources.opening import open_source
from aigenbench.errors import InputError
from aigenbench.protocol.timeline import PUBLISHED


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("paired_type", [pa.list_(pa.string()), pa.large_list(pa.string()), pa.list_(pa.string(), -1)])
def test_saved_datasets_open_whatever_their_types(made, tmp_path: Path, large: bool, paired_type: pa.DataType) -> None:
    source = open_source(made.default(tmp_path / "d", large=large, paired_type=paired_type))
    train = source.table("train")
    assert len(train) == 51
    assert train.counts[""] == 27
    assert source.generator_names == set(PUBLISHED.names[:6])
    assert train.store.name(12) == "train_12.png"
    assert set(train.columns["origin_dataset"][train.labels == 0]) == {"COCO"}
    again = pickle.loads(pickle.dumps(train.store))
    # across chunks, through a pickle
    assert all(bytes(again.read(i)) == bytes(train.store.read(i)) for i in (0, 6, 7, 50))


def test_fixture_in_the_older_format_opens(shared: Path) -> None:
    source = open_source(shared / "fixtures" / "large_image_dataset")
    assert len(source.table("train")) == 144
    assert len(source.table("validation")) == 72
    assert len(source.generator_names) == 36
    assert bytes(source.table("train").store.read(3)[:4])


@pytest.mark.parametrize("feature", ["List", "LargeList"])
def test_what_datasets_saves_opens(made, tmp_path: Path, feature: str) -> None:
    import datasets

    kinds = {"List": datasets.List, "LargeList": datasets.LargeList}
    if not hasattr(datasets, feature):
        pytest.skip("an older version of datasets")
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["real", "fake"]),
            "generator": datasets.Value("string"),
            "paired_real_images": kinds[feature](datasets.Value("string")),
        }
    )
    files, names = made.rows(["ADM"], 2, 3, 0)
    rows = {
        "image": [{"bytes": data, "path": None} for data in files],
        "label": [int(bool(name)) for name in names],
        "generator": names,
        "paired_real_images": [[] for _ in names],
    }
    split = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict({"train": split, "validation": split}).save_to_disk(str(tmp_path / "d"))
    table = open_source(tmp_path / "d").table("validation")
    assert [bytes(table.store.read(i)) for i in range(5)] == files
    assert table.labels.tolist() == [int(bool(name)) for name in names]


def test_test_split_is_validation_where_missing(small_dataset: Path) -> None:
    source = open_source(small_dataset)
    assert source.table("test") is source.table("validation")


def test_missing_things_are_told(made, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no dataset_path given"):
        open_source(None)
    with pytest.raises(InputError, match="no folder"):
        open_source(tmp_path / "nothing")
    (tmp_path / "index.csv").touch()
    with pytest.raises(InputError, match=r"index\.csv is a file; give its folder"):
        open_source(tmp_path / "index.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"neither dataset_dict\.json"):
        open_source(tmp_path / "empty")
    with pytest.raises(InputError, match="single saved split"):
        open_source(made.default(tmp_path / "a") / "train")
    with pytest.raises(InputError, match=r"column generator is missing; found image"):
        open_source(made.default(tmp_path / "b", leave_out=("generator",)))
    files = made.rows(["ADM"], 1, 1, 0)
    source = open_source(made.write(tmp_path / "c", {"train": files}))
    with pytest.raises(InputError, match="no split 'validation'; found train"):
        make_plan(source)


def test_a_missing_test_split_is_told(made, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = open_source(made.default(tmp_path / "d"))
    for stage, told in (("validate", 0), ("test", 1)):
        caplog.clear()
        with caplog.at_level("INFO", "aigenbench"):
            make_plan(source, stage=stage)
        assert caplog.text.count("has no test split: its validation images are taken") == told


def test_damaged_files_are_told(made, tmp_path: Path) -> None:
    folder = made.default(tmp_path / "d")
    data = folder / "train" / "data-00000-of-00001.arrow"
    content = data.read_bytes()
    data.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="is damaged"):
        open_source(folder)
    data.unlink()
    with pytest.raises(InputError, match="is missing; the data set is incomplete"):
        open_source(folder)
    (folder / "train" / "state.json").write_text("{")
    with pytest.raises(InputError, match="not readable JSON"):
        open_source(folder)


def test_a_missing_generator_is_a_real_image(made, tmp_path: Path) -> None:
    files, names = made.rows(["ADM"], 2, 20, 0)
    folder = made.write(tmp_path / "d", {"train": (files, [name or None for name in names])})
    table = open_source(folder).table("train")
    assert table.counts == {"": 20, "ADM": 2}
    assert [table.generator_names[code] for code in table.generator_codes] == names


def test_columns_are_read_when_asked_for(small_dataset: Path) -> None:
    table = open_source(small_dataset).table("train")
    columns = pickle.loads(pickle.dumps(table.columns))
    assert set(columns) == {"height", "width", "origin_dataset"}
    assert columns["width"].tolist() == [48] * 51
    assert columns["origin_dataset"].tolist() == ["" if label else "COCO" for label in table.labels]


def test_opening_imports_no_pandas(small_dataset: Path) -> None:
    program = (
        "import sys; from aigenbench.data.sources.opening import open_source\n"
        f"open_source({str(small_dataset)!r}); print('pandas' in sys.modules, 'datasets' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


def test_label_that_contradicts_its_generator(made, tmp_path: Path) -> None:
    files, names = made.rows(["ADM"], 1, 1, 0)
    for labels, said in (([0, 0], "label real contradicts"), ([1, 1], "label fake contradicts"), ([0, 2], "label 2")):
        folder = made.write(tmp_path / str(labels), {"train": (files, ["", "ADM"])}, labels=labels)
        with pytest.raises(InputError, match=said):
            open_source(folder)
    assert names


def test_indexed_folder(made, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = ["path,label,generator,split,origin_dataset"]
    for i in range(6):
        name = "" if i % 2 else "ADM"
        (tmp_path / f"{i}.png").write_bytes(made.encoded(made.image(rng, bool(name))))
        lines.append(f"{i}.png,{'fake' if name else 'real'},{name},{'train' if i < 4 else 'validation'},{i % 3}")
    (tmp_path / "index.csv").write_text("\n".join(lines) + "\n")
    source = open_source(tmp_path)
    assert source.table("train").labels.tolist() == [1, 0, 1, 0]
    assert source.table("train").columns["origin_dataset"].tolist() == ["0", "1", "2", "0"]
    assert source.table("validation").store.name(1) == "5.png"
    assert bytes(source.table("validation").store.read(1)) == (tmp_path / "5.png").read_bytes()
    (tmp_path / "index.csv").write_text("path,label,generator,split\n0.png,maybe,,train\n")
    with pytest.raises(InputError, match="line 2: label 'maybe'"):
        open_source(tmp_path)
    (tmp_path / "index.csv").write_text("path,label,split\n")
    with pytest.raises(InputError, match="no column 'generator'; found path, label, split"):
        open_source(tmp_path)


def test_realslice_makes_seven_windows(shared: Path) -> None:
    plan = make_plan(open_source(shared / "realslice"))
    assert [len(names) for names in plan.windows] == [4] * 6 + [2]
    assert len(plan.timeline.id_to_name) == 27


def test_columns_file(tmp_path: Path) -> None:
    path = tmp_path / "columns.json"
    path.write_text(json.dumps({"train": ["", "ADM"], "validation": ["ADM", ""]}))
    source = open_source(path)
    assert source.table("validation").labels.tolist() == [1, 0]
    with pytest.raises(OSError, match="holds no images"):
        source.table("train").store.read(0)
    path.write_text("[1, 2]")
    with pytest.raises(InputError, match="expected"):
        open_source(path)


def test_unknown_generators_are_dropped_with_a_count(made, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = ["CycleGAN", "ProGAN", "Unheard Of"]
    splits = {"train": made.rows(names, 2, 9, 0), "validation": made.rows(names, 2, 6, 0)}
    with caplog.at_level(logging.WARNING):
        plan = make_plan(open_source(made.write(tmp_path / "d", splits)), 1)
    assert plan.dropped == {"train": {"Unheard Of": 2}, "validation": {"Unheard Of": 2}}
    assert "2 images are left out" in caplog.text
    assert "near" not in caplog.text
    assert plan.windows == (("CycleGAN",), ("ProGAN",))
    # identifiers stay row numbers of the split as it lies on disk
    generators = np.array(splits["validation"][1])
    assert set(generators[plan.evaluation.ids]) == {"", "CycleGAN", "ProGAN"}


def test_a_dropped_name_that_is_near_a_known_one_is_told(
    made, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = ["CycleGAN", "progan", "Kolors"]
    splits = {"train": made.rows(names, 2, 9, 0), "validation": made.rows(names, 2, 6, 0)}
    with caplog.at_level(logging.WARNING):
        make_plan(open_source(made.write(tmp_path / "d", splits)), 1)
    assert "(Kolors: 2, progan: 2, near 'ProGAN')" in caplog.text


NAMES = ["CycleGAN", "ProGAN", "", ""]


def columns(
    label: pa.DataType | None = None, generator: pa.DataType | None = None, order: tuple[str, ...] = ()
) -> pa.Table:
    """Four rows of a data set, each image's bytes its number."""
    image = pa.array([{"bytes": bytes([i]), "path": f"{i}.png"} for i in range(4)])
    table = pa.table(
        {
            "image": image,
            "label": pa.array([int(bool(name)) for name in NAMES], label or pa.int64()),
            "generator": pa.array(NAMES, pa.string()).cast(generator or pa.string()),
            "height": pa.array([8] * 4, pa.int32()),
        }
    )
    return table.select(order or table.column_names)


def save(folder: Path, *shards: pa.Table, features: object = None) -> Path:
    split = folder / "validation"
    split.mkdir(parents=True)
    files = [f"data-{i}.arrow" for i in range(len(shards))]
    for file, shard in zip(files, shards, strict=True):
        with pa.ipc.new_stream(str(split / file), shard.schema) as stream:
            stream.write_table(shard, max_chunksize=3)
    (split / "state.json").write_text(json.dumps({"_data_files": [{"filename": file} for file in files]}))
    if features is not None:
        (split / "dataset_info.json").write_text(json.dumps({"features": features}))
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": ["validation"]}))
    return folder


def check(folder: Path, shards: int = 2) -> None:
    table = open_source(folder).table("validation")
    assert table.labels.tolist() == [1, 1, 0, 0] * shards
    assert [table.generator_names[code] for code in table.generator_codes] == NAMES * shards
    assert [bytes(table.store.read(i)) for i in range(4 * shards)] == [bytes([i]) for i in range(4)] * shards
    again = pickle.loads(pickle.dumps(table.store))
    assert [again.name(i) for i in range(4)] == ["0.png", "1.png", "2.png", "3.png"]
    assert table.columns["height"].tolist() == [8] * 4 * shards


DICTIONARY = pa.dictionary(pa.int8(), pa.string())
SECOND = {
    "another order": lambda: columns(order=("generator", "height", "label", "image")),
    "a column more": lambda: columns().append_column("note", pa.array(["x"] * 4)),
    "a dictionary": lambda: columns(generator=DICTIONARY),
    "large text": lambda: columns(generator=pa.large_string()),
    "small labels": lambda: columns(label=pa.uint8()),
    "wide labels": lambda: columns(label=pa.uint64()),
    "labels as fractions": lambda: columns(label=pa.float64()),
    "labels in words": lambda: columns().set_column(1, "label", pa.array(["fake", "fake", "real", "real"])),
    "labels that are true": lambda: columns().set_column(1, "label", pa.array([True, True, False, False])),
    "a height of another type": lambda: columns().set_column(3, "height", pa.array([8] * 4, pa.uint64())),
    "a height with fractions": lambda: columns().set_column(3, "height", pa.array([8.0] * 4)),
    "missing generators": lambda: columns().set_column(2, "generator", pa.array(["CycleGAN", "ProGAN", None, None])),
    "large images": lambda: columns().set_column(
        0,
        "image",
        columns()["image"].cast(pa.struct([("bytes", pa.large_binary()), ("path", pa.large_string())])),
    ),
    "fields in another order": lambda: columns().set_column(
        0, "image", pa.array([{"path": f"{i}.png", "bytes": bytes([i])} for i in range(4)])
    ),
}


@pytest.mark.parametrize("second", SECOND)
@pytest.mark.parametrize("first", [False, True])
def test_files_of_a_split_may_differ(tmp_path: Path, second: str, first: bool) -> None:
    shards = [columns(), SECOND[second]()]
    check(save(tmp_path / "d", *(shards[::-1] if first else shards)))


def test_an_empty_file_among_others(tmp_path: Path) -> None:
    check(save(tmp_path / "d", columns(), columns().slice(0, 0), pa.table({"image": pa.nulls(0)})), 1)


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
def test_images_as_bytes_alone(tmp_path: Path, kind: pa.DataType) -> None:
    table = columns().set_column(0, "image", pa.array([bytes([i]) for i in range(4)], kind))
    store = open_source(save(tmp_path / "d", table)).table("validation").store
    assert [bytes(store.read(i)) for i in range(4)] == [bytes([i]) for i in range(4)]
    assert store.sizes().tolist() == [1] * 4
    assert store.name(0) == ""


def test_images_as_paths_and_no_image(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"here")
    paths = pa.array([str(tmp_path / "x.png"), None, "", "/nowhere.png"])
    source = open_source(save(tmp_path / "d", columns().set_column(0, "image", paths)), follow_links=True)
    store = source.table("validation").store
    assert bytes(store.read(0)) == b"here"
    assert store.sizes().tolist() == [4, -1, -1, -1]
    for row in (1, 2, 3):
        with pytest.raises(OSError, match=r"neither bytes nor a path|nowhere"):
            store.read(row)
    none = pa.array([{"bytes": b"a", "path": None}, None, {"bytes": None, "path": None}, {"bytes": b"", "path": ""}])
    store = open_source(save(tmp_path / "e", columns().set_column(0, "image", none))).table("validation").store
    assert store.sizes().tolist() == [1, -1, -1, 0]


@pytest.mark.parametrize("noted", ["dataset_info.json", "in the file"])
def test_generators_and_labels_as_classes(tmp_path: Path, noted: str) -> None:
    features = {
        "generator": {"names": ["ProGAN", "", "CycleGAN"], "_type": "ClassLabel"},
        # a label of another order than ours
        "label": {"names": ["fake", "real"], "_type": "ClassLabel"},
        "image": {"_type": "Image"},
    }
    table = columns().set_column(2, "generator", pa.array([2, 0, 1, -1])).set_column(1, "label", pa.array([0, 0, 1, 1]))
    if noted == "in the file":
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    check(save(tmp_path / "d", table, features=features if noted != "in the file" else None), 1)


def test_what_datasets_saves_with_classes_opens(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["real", "fake"]),
            "generator": datasets.ClassLabel(names=["CycleGAN", "ProGAN", ""]),
        }
    )
    rows = {
        "image": [{"bytes": bytes([i]), "path": None} for i in range(4)],
        "label": [1, 1, 0, 0],
        "generator": [0, 1, 2, 2],
    }
    split = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict({"validation": split}).save_to_disk(str(tmp_path / "d"))
    table = open_source(tmp_path / "d").table("validation")
    assert [table.generator_names[code] for code in table.generator_codes] == NAMES
    assert table.labels.tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (lambda: columns().drop_columns("label"), "the column label is missing; found image, generator, height"),
        (lambda: columns().drop_columns(["label", "generator"]), "the column label, generator is missing"),
        (
            lambda: columns().set_column(1, "label", pa.array([None, 1, 0, None], pa.uint8())),
            r"the label is missing in 2 of 4 rows \(row 0, 3\)",
        ),
        (lambda: columns().set_column(1, "label", pa.nulls(4)), r"missing in 4 of 4 rows \(row 0, 1, 2, ...\)"),
        (lambda: columns().set_column(1, "label", pa.array([1, 1, 0, float("nan")])), r"missing in 1 of 4 rows .row 3"),
        (lambda: columns().set_column(1, "label", pa.array([0.5, 1, 0, 0])), "'label' holds fractions"),
        (lambda: columns().set_column(1, "label", pa.array(["fake", "fake", "no", "real"])), "'label' holds 'no'"),
        (lambda: columns().set_column(1, "label", pa.array([[1], [1], [0], [0]])), "column 'label' holds list"),
        (lambda: columns().set_column(2, "generator", pa.array([1, 2, 0, 0])), "holds numbers .int64. whose names"),
        (lambda: columns().set_column(2, "generator", pa.array([0.5, 2, 0, 0])), "'generator' holds double"),
        (lambda: columns().set_column(0, "image", pa.array([1, 2, 3, 4])), "'image' holds int64"),
        (lambda: columns().set_column(0, "image", pa.array([{"x": 1}] * 4)), "'image' holds struct<x: int64>"),
        (lambda: columns().append_column("label", pa.array([1, 1, 0, 0])), "2 columns called 'label'"),
    ],
)
def test_what_does_not_open_is_told_in_a_line(tmp_path: Path, table, said: str) -> None:
    with pytest.raises(InputError, match=said) as told:
        open_source(save(tmp_path / "d", table()))
    assert "\n" not in str(told.value)


def test_labels_missing_in_one_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing in 4 of 8 rows \(row 4, 5, 6, ...\)"):
        open_source(save(tmp_path / "d", columns(), columns().drop_columns("label")))


def test_json_with_a_mark_and_of_another_form(tmp_path: Path) -> None:
    folder = save(tmp_path / "d", columns())
    state = folder / "validation" / "state.json"
    state.write_text(state.read_text(), encoding="utf-8-sig")
    check(folder, 1)
    for content, said in (
        ("{}", "names no data files"),
        ('{"_data_files": ["a"]}', "names no data files"),
        ("[]", "expected an object"),
    ):
        state.write_text(content)
        with pytest.raises(InputError, match=said):
            open_source(folder)
    (folder / "dataset_dict.json").write_text('{"splits": 3}')
    with pytest.raises(InputError, match="names no splits"):
        open_source(folder)


def test_an_index_saved_by_a_spreadsheet(made, tmp_path: Path) -> None:
    (tmp_path / "a, b.png").write_bytes(made.encoded(made.image(np.random.default_rng(0), False)))
    text = 'path;label;generator;split\r\n"a, b.png"; Real ;;validation\r\n;;;\r\n'
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / "index.csv").write_bytes(text.encode(encoding))
        table = open_source(tmp_path).table("validation")
        assert table.store.name(0) == "a, b.png"
        assert bytes(table.store.read(0))[:4] == b"\x89PNG"
