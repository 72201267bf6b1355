"""Where tests find what is shared and may be absent."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import settings
from PIL import Image

from aigenbench.models import ModelFactoryRegistry
from aigenbench.models.reconstruction.tiny import TinyAutoencoder
from aigenbench.protocol.timeline import PUBLISHED

# some tests fork, which OpenCV's thread pool does not survive
cv2.setNumThreads(1)

# examples are never timed: a loaded machine proves nothing
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

SHARED = Path(os.environ.get("AIGENBENCH_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="session")
def golden_files() -> Path:
    """Made-up inputs with what the benchmark's own published code computes from them."""
    return Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with fixtures, weights and real images beside the checkout; tests skip without it."""
    if not SHARED.is_dir():
        pytest.skip(f"no folder {SHARED}")
    return SHARED


@pytest.fixture(autouse=True)
def own_registry() -> Iterator[None]:
    """What a test registers ends with it."""
    with ModelFactoryRegistry().isolated():
        yield


@pytest.fixture(autouse=True)
def own_experiment_id() -> Iterator[None]:
    """An id that a run chose in this process is not handed on to the next test's."""
    yield
    os.environ.pop("AIGENBENCH_EXPERIMENT_ID", None)


@pytest.fixture(autouse=True, scope="session")
def own_state(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What runs record of themselves stays out of the home folder."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


class MadeData:
    """Writes small data sets in the real layout."""

    @staticmethod
    def image(rng: np.random.Generator, fake: bool, size: tuple[int, int] = (40, 48)) -> np.ndarray:
        """A smooth random picture; fakes carry a checkerboard."""
        coarse = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
        image = np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC)).astype(int)
        if fake:
            image += 24 * ((np.indices(size).sum(0) // 2) % 2)[..., None]
        return np.clip(image, 0, 255).astype(np.uint8)

    @staticmethod
    def encoded(image: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
        """The picture as a file's bytes."""
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, kind, **options)
        return buffer.getvalue()

    def rows(self, generators: list[str], fakes_each: int, reals: int, seed: int) -> tuple[list[bytes], list[str]]:
        """Image files and generator names in shuffled order."""
        rng = np.random.default_rng(seed)
        names = rng.permutation([*np.repeat(generators, fakes_each), *[""] * reals]).tolist()
        return [self.encoded(self.image(rng, bool(name))) for name in names], names

    def write(
        self,
        folder: Path,
        splits: dict[str, tuple[list[bytes], list[str]]],
        large: bool = False,
        labels: list[int] | None = None,
        leave_out: tuple[str, ...] = (),
        paired_type: pa.DataType | None = None,
        rows_a_chunk: int = 7,
    ) -> Path:
        """Save splits as ``save_to_disk`` would: Arrow streams and JSON."""
        text, binary = (pa.large_string(), pa.large_binary()) if large else (pa.string(), pa.binary())
        for split, (files, names) in splits.items():
            n = len(files)
            columns = {
                "image": pa.array(
                    [{"bytes": data, "path": f"{split}_{i}.png"} for i, data in enumerate(files)],
                    pa.struct([("bytes", binary), ("path", text)]),
                ),
                "height": pa.array([40] * n, pa.uint32()),
                "width": pa.array([48] * n, pa.uint32()),
                "label": pa.array(labels or [int(bool(name)) for name in names], pa.int64()),
                "generator": pa.array(names, text),
                "origin_dataset": pa.array(["" if name else "COCO" for name in names], text),
                "paired_real_images": pa.array([[]] * n, paired_type or pa.list_(text)),
            }
            table = pa.table({k: v for k, v in columns.items() if k not in leave_out})
            (folder / split).mkdir(parents=True)
            with pa.ipc.new_stream(str(folder / split / "data-00000-of-00001.arrow"), table.schema) as stream:
                stream.write_table(table, max_chunksize=rows_a_chunk)
            state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": split}
            (folder / split / "state.json").write_text(json.dumps(state))
        (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))
        return folder

    @staticmethod
    def shards(saved: Path, folder: Path, shards: int = 2, **options: object) -> Path:
        """The rows of a saved data set as the hub's Parquet shards."""
        folder.mkdir(parents=True)
        for split in ("train", "validation"):
            files = sorted((saved / split).glob("*.arrow"))
            table = pa.concat_tables([pa.ipc.open_stream(str(file)).read_all() for file in files])
            size = -(-len(table) // shards)
            for k in range(shards):
                name = f"{split}-{k:05d}-of-{shards:05d}.parquet"
                pq.write_table(table.slice(k * size, size), folder / name, **options)
        return folder

    def default(self, folder: Path, generators: int = 6, fakes_each: int = 4, **options: object) -> Path:
        """A data set of the timeline's first generators, with a few reals more than fakes."""
        names = list(PUBLISHED.names[:generators])
        n = generators * fakes_each
        splits = {
            "train": self.rows(names, fakes_each, n + 3, 1),
            "validation": self.rows(names, 2, 2 * generators + 2, 2),
        }
        return self.write(folder, splits, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def made() -> MadeData:
    """Makes small data sets."""
    return MadeData()


@pytest.fixture(scope="session")
def tiny_vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an autoencoder of TAESD's form, 8 channels wide, its weights drawn at random."""
    folder = tmp_path_factory.mktemp("vae")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = TinyAutoencoder(latents=4, width=8, pools=frozenset())
    for half in ("encoder", "decoder"):
        torch.save(getattr(network, half).state_dict(), folder / f"tiny_{half}.pth")
    return folder


@pytest.fixture(scope="session")
def small_dataset(made: MadeData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six generators, three windows of two; 24 fakes and 27 reals to train on, 12 and 14 to evaluate."""
    return made.default(tmp_path_factory.mktemp("data") / "small")
