"""Small pictures in every form that is imported."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

GENERATORS = ("CycleGAN", "BigGAN", "DDPM")
Files = dict[str, bytes]


class Forms:
    """Makes files, and puts them into folders, archives and tables."""

    @staticmethod
    def picture(seed: int, kind: str = "PNG", size: tuple[int, int] = (24, 20), mode: str = "RGB") -> bytes:
        """A small random picture of (width, height)."""
        coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, len(mode)), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(coarse, mode).resize(size).save(buffer, kind)
        return buffer.getvalue()

    def files(self, each: int = 5, reals: int = 15) -> Files:
        """``real/`` and ``fake/GENERATOR/`` files by name."""
        kinds = (("PNG", "png"), ("JPEG", "jpg"), ("WEBP", "webp"))
        files = {}
        for number in range(reals):
            kind, suffix = kinds[number % 3]
            files[f"real/r{number:03d}.{suffix}"] = self.picture(number, kind)
        for g, name in enumerate(GENERATORS):
            for number in range(each):
                kind, suffix = kinds[(number + g) % 3]
                files[f"fake/{name}/g{g}_{number:03d}.{suffix}"] = self.picture(1000 * (g + 1) + number, kind)
        return files

    @staticmethod
    def folder(root: Path, files: Mapping[str, bytes], backwards: bool = False) -> Path:
        """The files below a folder, written in this order or the other."""
        for name, data in sorted(files.items(), reverse=backwards):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return root

    @staticmethod
    def zip(path: Path, files: Mapping[str, bytes], prefix: str = "", method: int = zipfile.ZIP_DEFLATED) -> Path:
        """The files in a zip archive."""
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, data in files.items():
                archive.writestr(prefix + name, data)
        return path

    @staticmethod
    def tar(path: Path, files: Mapping[str, bytes], prefix: str = "") -> Path:
        """The files in a tar archive."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, "w") as archive:
            for name, data in files.items():
                member = tarfile.TarInfo(prefix + name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return path

    @staticmethod
    def table(rows: list[dict[str, Any]], class_label: bool = True) -> pa.Table:
        """Rows with an image's bytes, as ``datasets`` writes them."""
        image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        features = {"image": {"_type": "Image"}, "label": {"names": ["real", "fake"], "_type": "ClassLabel"}}
        metadata = {"huggingface": json.dumps({"info": {"features": features}})} if class_label else None
        columns = {name: [row.get(name) for row in rows] for name in rows[0]}
        arrays = {name: pa.array(values, image if name == "image" else None) for name, values in columns.items()}
        return pa.table(arrays).replace_schema_metadata(metadata)

    def rows(self, files: Files) -> list[dict[str, Any]]:
        """A row for every file, its name as ``file_id``."""
        rows = []
        for name, data in files.items():
            generator = name.split("/")[1] if name.startswith("fake") else ""
            rows.append(
                {
                    "image": {"bytes": data, "path": name},
                    "label": int(bool(generator)),
                    "generator": generator,
                    "file_id": name,
                    "description": f"what {name} shows",
                    "paired_real_images": [],
                }
            )
        return rows

    def parquet(self, path: Path, files: Files, group: int = 4) -> Path:
        """The rows in a Parquet file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(self.table(self.rows(files)), path, row_group_size=group)
        return path


def write_indices(folder: Path, saved: Path, rows: list[int]) -> None:
    """A copy of a split with a selection beside it, as older versions of ``datasets`` wrote it."""
    (folder / "train").mkdir(parents=True)
    for path in (saved / "train").iterdir():
        (folder / "train" / path.name).write_bytes(path.read_bytes())
    indices = pa.table({"indices": pa.array(rows, pa.uint64())})
    with pa.ipc.new_stream(str(folder / "train" / "indices.arrow"), indices.schema) as stream:
        stream.write_table(indices)
    state = json.loads((folder / "train" / "state.json").read_bytes())
    state["_indices_data_files"] = [{"filename": "indices.arrow"}]
    (folder / "train" / "state.json").write_text(json.dumps(state))
    (folder / "dataset_dict.json").write_text('{"splits": ["train"]}')
