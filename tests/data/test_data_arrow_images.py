from __future__ import annotations

import pickle
from pathlib import Path

import pyarrow as pa
import pytest

from aigenbench.data.sources.arrow_images import ArrowImages
from aigenbench.errors import InputError

FILES = [b"first", b"", b"the third", b"4" * 1000, b"last"]
WIDTHS = [(pa.binary(), pa.string()), (pa.large_binary(), pa.large_string())]


def write(path: Path, images: list[dict[str, object]], kinds: tuple = WIDTHS[0], **options: object) -> Path:
    image = pa.struct([("bytes", kinds[0]), ("path", kinds[1])])
    table = pa.table({"image": pa.array(images, image)})
    with pa.ipc.new_stream(str(path), table.schema, options=pa.ipc.IpcWriteOptions(**options)) as stream:
        stream.write_table(table, max_chunksize=2)
    return path


def stored(files: list[bytes]) -> list[dict[str, object]]:
    return [{"bytes": data, "path": f"{i}.png"} for i, data in enumerate(files)]


@pytest.mark.parametrize("kinds", WIDTHS, ids=["binary", "large_binary"])
@pytest.mark.parametrize("compression", [None, "zstd"])
def test_every_row_of_every_file_is_read(tmp_path: Path, kinds: tuple, compression: str | None) -> None:
    paths = [
        write(tmp_path / "a.arrow", stored(FILES), kinds, compression=compression),
        write(tmp_path / "none.arrow", [], kinds),
        write(tmp_path / "b.arrow", stored(FILES[::-1]), kinds, compression=compression),
    ]
    images = ArrowImages(paths)
    for one in (images, pickle.loads(pickle.dumps(images))):
        assert [bytes(one.read(i)) for i in range(10)] == FILES + FILES[::-1]
        assert one.sizes().tolist() == [len(data) for data in FILES + FILES[::-1]]
        assert [one.name(i) for i in (0, 4, 5, 9)] == ["0.png", "4.png", "0.png", "4.png"]


def test_a_row_with_a_path_alone_is_read_from_there(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"elsewhere")
    rows = [
        {"bytes": b"here", "path": None},
        {"bytes": None, "path": str(tmp_path / "x.png")},
        {"bytes": None, "path": None},
    ]
    images = ArrowImages([write(tmp_path / "a.arrow", rows)])
    assert [bytes(images.read(i)) for i in (0, 1)] == [b"here", b"elsewhere"]
    assert images.sizes().tolist() == [4, 9, -1]
    assert images.name(0) == ""
    with pytest.raises(OSError, match="neither bytes nor a path"):
        images.read(2)


def test_a_file_that_shrank_or_went_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.arrow", stored(FILES))
    images, content = ArrowImages([path]), path.read_bytes()
    path.write_bytes(content[: content.index(b"last") + 2])
    with pytest.raises(OSError, match=r"a\.arrow ends within the image"):
        images.read(4)
    again = pickle.dumps(images)
    path.write_bytes(content[:20])
    with pytest.raises(InputError, match="is damaged"):
        pickle.loads(again)
    path.unlink()
    with pytest.raises(InputError, match="is missing"):
        pickle.loads(again)


def test_reading_maps_no_file(tmp_path: Path) -> None:
    if not Path("/proc/self/maps").is_file():
        pytest.skip("no /proc")
    images = ArrowImages([write(tmp_path / "mapped.arrow", stored(FILES))])
    assert bytes(images.read(2)) == FILES[2]
    assert "mapped.arrow" not in Path("/proc/self/maps").read_text()


def test_a_file_of_arrows_other_form_is_told(tmp_path: Path) -> None:
    table = pa.table({"image": pa.array(stored(FILES))})
    with pa.ipc.new_file(str(tmp_path / "a.arrow"), table.schema) as file:
        file.write_table(table)
    with pytest.raises(InputError, match=r"a\.arrow is an Arrow file with an index"):
        ArrowImages([tmp_path / "a.arrow"])
