"""Stored views are what computing on the fly gives, bit for bit, and are computed once."""

from __future__ import annotations

import multiprocessing
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from torchvision.transforms import v2

from aigenbench.augmentations import (
    BaselineTraining,
    EvaluationCrops,
    MandatoryEvaluation,
    Recipe,
    SoftTraining,
    StochasticTraining,
)
from aigenbench.augmentations.perturbations import perturbations
from aigenbench.data import AIGenBenchDatasetLoader, AIGenBenchPipeline
from aigenbench.data.samples.batches import BatchArithmetic, TrainingBatches
from aigenbench.data.store import identity, store, stores_in
from aigenbench.errors import InputError

SIZE = (32, 32)
WINDOWS = 3


class Darker(Recipe):
    """A user's own step."""

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return image // 2

    def describe(self) -> dict[str, Any]:
        return {}


class Hooks:
    """What a detector tells."""

    def __init__(self, training: Any = None, first: Any = None, second: Any = None, crops: Any = "resize") -> None:
        self.training = training or (BaselineTraining(), StochasticTraining("resize", SIZE))
        self.first, self.second = first, second
        self.crops = EvaluationCrops(crops, SIZE) if isinstance(crops, str) else crops

    def train_augmentation(self) -> Any:
        return self.training

    def evaluation_augmentation(self, stage: str) -> Any:
        return self.first, self.second

    def evaluation_crops(self, stage: str) -> Any:
        return self.crops


@pytest.fixture(scope="module")
def dataset(made: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of many sizes, some smaller than the crops; three windows of two generators."""
    rng = np.random.default_rng(3)
    names = ["CycleGAN", "ProGAN", "StarGAN", "SN-PatchGAN", "BigGAN", "IMLE"]

    def split(each: int) -> tuple[list[bytes], list[str]]:
        generators = [*names, *[""] * len(names)] * each
        sizes = rng.integers(24, 70, (len(generators), 2))
        pairs = zip(generators, sizes.tolist(), strict=True)
        return [made.encoded(made.image(rng, bool(name), tuple(size))) for name, size in pairs], generators

    return made.write(tmp_path_factory.mktemp("views") / "d", {"train": split(2), "validation": split(2)})


@pytest.fixture
def make(dataset: Path, tmp_path: Path) -> Callable[..., AIGenBenchPipeline]:
    """Makes a pipeline whose cache lies in the test's folder."""

    def made(folder: Path | None = None, **options: Any) -> AIGenBenchPipeline:
        defaults = {"num_workers": 0, "eval_batch_size": 5, "train_batch_size": 4, "augmentation_factor": 2}
        loader = AIGenBenchDatasetLoader(str(folder or dataset))
        return AIGenBenchPipeline(loader, **{**defaults, "cache_folder": str(tmp_path / "cache"), **options})

    return made


def evaluated(p: AIGenBenchPipeline, hooks: Hooks, stage: str = "validate", **options: Any) -> list[tuple[Any, ...]]:
    """Everything a loop over the evaluation batches sees."""
    loader = p.evaluation_loader(p.plan(2), hooks, stage, **options)
    return [tuple((part.numpy().tobytes(), tuple(part.shape)) for part in batch) for batch in loader]


def trained(p: AIGenBenchPipeline, hooks: Hooks, window: int = 0, epoch: int = 0) -> list[tuple[Any, ...]]:
    """Likewise of an epoch of training."""
    plan = p.plan(2)
    rows = len(plan.training.rows(window))
    batches = TrainingBatches(rows, p.augmentation_factor, BatchArithmetic(p.train_batch_size), 1, window, epoch)
    loader = p.training_loader(plan, hooks, batches, window)
    return [tuple((part.numpy().tobytes(), tuple(part.shape)) for part in batch) for batch in loader]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Row numbers of the images decoded in this process."""
    from aigenbench.data.samples import dataset as samples
    from aigenbench.data.views import views

    rows: list[int] = []

    def counted(table: Any, row: int, original: Any = samples.read_image) -> Any:
        rows.append(row)
        return original(table, row)

    monkeypatch.setattr(samples, "read_image", counted)
    monkeypatch.setattr(views, "read_image", counted)
    return rows


EVALUATIONS = {
    "resize": Hooks(),
    "crop": Hooks(crops="crop"),
    "multicrop": Hooks(crops="multicrop"),
    "a step of the user's own": Hooks(first=Darker(), crops="multicrop"),
    "a second callable": Hooks(second=v2.ColorJitter(0.5), crops="multicrop"),
    "not square": Hooks(crops=EvaluationCrops("multicrop", (24, 31))),
}


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("name", EVALUATIONS)
def test_stored_evaluation_is_computed_evaluation(make: Any, name: str, workers: int, decoded: list[int]) -> None:
    hooks = EVALUATIONS[name]
    plain = evaluated(make(), hooks)
    first = evaluated(make(cache="evaluation", num_workers=workers), hooks)
    decoded.clear()
    again = evaluated(make(cache="evaluation", num_workers=workers), hooks)
    assert plain == first == again
    # callables of a user's are tried on one image, twice
    assert decoded == ([0, 0] if name == "a second callable" else [])
    if "multicrop" in name:
        counts = {shape[0] for *_, (_, shape) in plain}
        assert counts != {5}
        assert counts != {25}, "some images are smaller than a crop"


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("orientation", ["per_epoch", "per_copy"])
@pytest.mark.parametrize("first", [None, BaselineTraining(), SoftTraining()])
def test_stored_training_is_computed_training(
    make: Any, workers: int, orientation: str, first: Any, decoded: list[int]
) -> None:
    hooks = Hooks((first, StochasticTraining("resize", SIZE)))
    options = {"orientation": orientation, "num_workers": workers}
    for window, epoch in ((0, 0), (1, 1)):
        plain = trained(make(**options), hooks, window, epoch)
        stored = trained(make(cache="all", **options), hooks, window, epoch)
        assert plain == stored
        decoded.clear()
        assert trained(make(cache="all", **options), hooks, window, epoch) == plain
        assert not decoded


def test_each_image_is_decoded_once_for_all_windows_and_copies(make: Any, decoded: list[int]) -> None:
    p = make(cache="all")
    for window in range(WINDOWS):
        for epoch in range(2):
            trained(p, Hooks(), window, epoch)
        evaluated(p, Hooks())
    plan = p.plan(2)
    rows = [*plan.training.rows(WINDOWS - 1).tolist(), *plan.evaluation.ids.tolist()]
    assert sorted(decoded) == sorted(rows)


def test_other_runs_share_what_agrees(make: Any, decoded: list[int], tmp_path: Path) -> None:
    evaluated(make(cache="evaluation"), Hooks())
    trained(make(cache="all", augmentation_factor=2), Hooks(), WINDOWS - 1)
    decoded.clear()
    # a part of the images, test for validate, and fewer copies
    evaluated(make(cache="all", validation_subset_size=0.5), Hooks())
    evaluated(make(cache="evaluation"), Hooks(), "test")
    trained(make(cache="all", augmentation_factor=1, train_batch_size=2), Hooks(), 0)
    assert not decoded
    # more copies: only those are computed
    before = {s.folder: len(s.open()) for s in stores_in(tmp_path / "cache")}
    trained(make(cache="all", augmentation_factor=3), Hooks(), WINDOWS - 1)
    after = {s.folder: len(s.open()) for s in stores_in(tmp_path / "cache")}
    assert sum(after.values()) - sum(before.values()) == 24
    assert len(before) == len(after) == 2


def test_a_run_looks_into_each_file_once(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    p, hooks = make(cache="all"), Hooks()
    before = evaluated(p, hooks), trained(p, hooks)

    def never(path: Path, layout: Any) -> Any:
        raise AssertionError(f"{path} is read again")

    monkeypatch.setattr(store, "read_index", never)
    assert (evaluated(p, hooks), trained(p, hooks)) == before


def folders(make: Any, tmp_path: Path, hooks: Hooks, folder: Path | None = None, **options: Any) -> set[str]:
    """Names of the stores that a run uses which are not there yet."""
    before = {path.name for path in (tmp_path / "cache").glob("*")}
    evaluated(make(folder, cache="all", **options), hooks)
    trained(make(folder, cache="all", **options), hooks)
    return {path.name for path in (tmp_path / "cache").glob("*")} - before


def test_what_differs_is_stored_apart(
    make: Any, tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch, made: Any
) -> None:
    assert len(folders(make, tmp_path, Hooks())) == 2
    assert not folders(make, tmp_path, Hooks(), eval_batch_size=3, num_workers=2)
    assert len(folders(make, tmp_path, Hooks(), augmentations_base_seed=1)) == 2
    assert len(folders(make, tmp_path, Hooks(), maximum_processing_size=40)) == 2
    assert len(folders(make, tmp_path, Hooks(), evaluation_jpeg="uniform")) == 1
    assert len(folders(make, tmp_path, Hooks((SoftTraining(), StochasticTraining("resize", SIZE))))) == 1
    assert len(folders(make, tmp_path, Hooks((BaselineTraining(), StochasticTraining("resize", (24, 24)))))) == 1
    assert len(folders(make, tmp_path, Hooks(crops=EvaluationCrops("resize", (24, 24))))) == 1
    assert len(folders(make, tmp_path, Hooks(first=Darker()))) == 1
    # the same data set elsewhere
    moved = shutil.copytree(dataset, tmp_path / "elsewhere")
    assert not folders(make, tmp_path, Hooks(), moved)
    for module, name, value in ((identity, "SAMPLE_FORMAT", 99), (cv2, "__version__", "0.0")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            assert len(folders(make, tmp_path, Hooks())) == 2


def test_a_step_of_the_users_own_that_changes_is_noticed(make: Any, tmp_path: Path, monkeypatch: Any) -> None:
    assert len(folders(make, tmp_path, Hooks(first=Darker()))) == 2
    monkeypatch.setattr(identity.inspect, "getsource", lambda cls: "another text")
    assert len(folders(make, tmp_path, Hooks(first=Darker()))) == 1


def test_another_image_is_another_data_set(made: Any, make: Any, tmp_path: Path) -> None:
    files, names = made.rows(["CycleGAN", "ProGAN"], 2, 4, 0)
    changed = [*files[:-1], made.encoded(np.zeros((40, 48, 3), np.uint8))]
    swapped = [files[1], files[0], *files[2:]]
    seen = set()
    for i, content in enumerate((files, changed, swapped)):
        rows = (content, names)
        folder = made.write(tmp_path / str(i), {"train": rows, "validation": rows})
        new = folders(make, tmp_path, Hooks(), folder)
        assert len(new) == 2
        seen |= new
    assert len(seen) == 6


NOT_STORED = {
    "random_crop": (Hooks((BaselineTraining(), StochasticTraining("random_crop", SIZE))), {}, "'random_crop'"),
    "center_crop": (Hooks((BaselineTraining(), StochasticTraining("center_crop", SIZE))), {}, "'center_crop'"),
    "no square": (Hooks((BaselineTraining(), StochasticTraining("resize", (24, 32)))), {}, r"\(24, 32\)"),
    "foreign": (Hooks((v2.ColorJitter(0.5), StochasticTraining("resize", SIZE))), {}, r"no describe\(\)"),
    "second": (Hooks((BaselineTraining(), v2.Resize(SIZE))), {}, "not the benchmark's own"),
    "drawn anew": (Hooks(), {"deterministic_augmentations": False}, "deterministic_augmentations is false"),
}


@pytest.mark.parametrize("name", NOT_STORED)
def test_training_that_cannot_be_stored_says_so_once(
    make: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    hooks, options, said = NOT_STORED[name]
    plain = trained(make(**options), hooks)
    p = make(cache="all", **options)
    assert trained(p, hooks) == plain == trained(p, hooks)
    (record,) = [r for r in caplog.records if r.name == "aigenbench.data.views.cached"]
    assert "training images are not stored: " in record.message
    assert re.search(said, record.message)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("hooks", "said"),
    [
        (Hooks(crops="as_is"), "'as_is' have no fixed size"),
        (Hooks(crops=lambda image: [image.crop((0, 0, 20, 20))]), "crops hook is overridden"),
        (Hooks(first=v2.GaussianBlur(3)), "GaussianBlur, which has no describe()"),
    ],
)
def test_evaluation_that_cannot_be_stored_says_so_once(make: Any, caplog: Any, hooks: Hooks, said: str) -> None:
    options = {"eval_batch_size": 1}
    plain = evaluated(make(**options), hooks)
    p = make(cache="evaluation", **options)
    assert evaluated(p, hooks) == plain == evaluated(p, hooks)
    (record,) = [r for r in caplog.records if r.name == "aigenbench.data.views.cached"]
    assert said in record.message


def test_perturbed_evaluations_are_stored_with_all_alone(make: Any, decoded: list[int]) -> None:
    blur = perturbations(["blur"])[0]
    plain = evaluated(make(), Hooks(), perturbation=blur)
    for cache, stored in (("evaluation", False), ("all", True)):
        evaluated(make(cache=cache), Hooks(), perturbation=blur)
        decoded.clear()
        assert evaluated(make(cache=cache), Hooks(), perturbation=blur) == plain
        assert bool(decoded) is not stored
    assert evaluated(make(cache="all"), Hooks()) != plain


class StoppedError(BaseException):
    pass


@pytest.mark.parametrize("workers", [0, 2])
def test_an_interrupted_build_goes_on_where_it_stopped(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(store, "BLOCK_BYTES", 20 * 32 * 32 * 3)
    p = make(cache="evaluation", num_workers=workers)
    calls = []

    def stop() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise StoppedError

    p.views.between = stop
    with pytest.raises(StoppedError):
        evaluated(p, Hooks())
    (found,) = stores_in(tmp_path / "cache")
    # two batches are the first block, a third would be the second
    assert len(found.open()) == 20
    assert not [path for path in found.folder.iterdir() if "tmp" in path.name]
    calls.clear()
    p.views.between = lambda: calls.append(1)
    assert evaluated(p, Hooks()) == evaluated(make(), Hooks())
    assert len(found.open()) == 24
    assert len(calls) == 1


def _build(dataset: Path, cache: Path, counted: Any) -> None:
    store.BLOCK_BYTES = 3 * 32 * 32 * 3
    loader = AIGenBenchDatasetLoader(str(dataset))
    p = AIGenBenchPipeline(
        loader, num_workers=0, cache="all", cache_folder=str(cache), augmentation_factor=2, train_batch_size=4
    )
    p.store_views(p.plan(2), Hooks(), range(WINDOWS))
    counted.put((p.views.computed, evaluated(p, Hooks()), trained(p, Hooks(), WINDOWS - 1)))


@pytest.mark.slow
def test_processes_that_build_at_once_do_the_work_once(dataset: Path, make: Any, tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    counted = context.Queue()
    children = [context.Process(target=_build, args=(dataset, tmp_path / "cache", counted)) for _ in range(3)]
    for child in children:
        child.start()
    results = [counted.get(timeout=300) for _ in children]
    for child in children:
        child.join()
    assert sum(computed for computed, _, _ in results) == 24 + 48
    p = make(train_batch_size=4, eval_batch_size=64)
    plain = evaluated(p, Hooks()), trained(p, Hooks(), WINDOWS - 1)
    assert all((of_images, of_copies) == plain for _, of_images, of_copies in results)


def test_a_damaged_file_is_built_again(make: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plain = evaluated(make(cache="evaluation"), Hooks())
    (path,) = (tmp_path / "cache").glob("*/*.rows")
    path.write_bytes(path.read_bytes()[:-7])
    assert evaluated(make(cache="evaluation"), Hooks()) == plain
    assert f"{path} is damaged" in caplog.text
    content = bytearray(path.read_bytes())
    content[-7] ^= 4
    path.write_bytes(content)
    for workers in (0, 2):
        with pytest.raises(InputError, match=rf"{path.name}: the row of key \d+ is damaged"):
            evaluated(make(cache="evaluation", num_workers=workers), Hooks())


def test_no_room_is_told_before_anything_is_computed(make: Any, monkeypatch: Any, decoded: list[int]) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, 1000))
    with pytest.raises(InputError, match=r"make room, choose another data\.cache_folder, or build less"):
        evaluated(make(cache="evaluation"), Hooks())
    assert not decoded


BASELINE = [
    [135.1, 135.1, 135.1, 135.3, 94.9],
    [91.0, 91.0, 91.0, 91.0, 30.1],
    [135.0, 135.0, 135.0, 134.8, 65.1],
    [83.2, 83.2, 83.2, 83.1, 52.1],
    [128.2, 128.2, 128.2, 128.0, 70.1],
    [127.1, 127.7, 125.9, 126.8, 72.0],
]
EVALUATION = [
    [127.1, 126.8, 126.9, 126.7, 73.2],
    [126.8, 126.9, 126.7, 126.6, 72.4],
    [134.3, 134.3, 134.3, 134.3, 70.2],
    [126.9, 126.9, 126.9, 126.8, 73.1],
    [143.5, 143.5, 143.5, 143.4, 68.0],
    [132.1, 132.1, 132.1, 132.1, 70.4],
]


def test_the_pixels_are_those_of_the_sample_format() -> None:
    """Where this fails, samples are drawn or computed otherwise than before: raise SAMPLE_FORMAT with the change."""
    ramp = np.linspace(0, 255, 96 * 80 * 3).reshape(96, 80, 3)
    image = (ramp[::-1, :, [1, 2, 0]] * 0.5 + 127 * (np.indices((96, 80)).sum(0) // 12 % 2)[..., None]).astype(np.uint8)
    for recipe, expected in ((BaselineTraining(), BASELINE), (MandatoryEvaluation(), EVALUATION)):
        found = []
        for seed in range(6):
            made = recipe(image, np.random.Generator(np.random.Philox(key=seed)))
            found.append([*EvaluationCrops("resize", (8, 8))(made)[0].reshape(-1, 3).mean(0), made.mean(), made.std()])
        # libraries and processors may differ by rounding, not by more
        np.testing.assert_allclose(found, expected, atol=0.6)
