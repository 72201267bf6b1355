from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms import v2

from aigenbench.augmentations import BaselineTraining, EvaluationCrops, StochasticTraining
from aigenbench.data import AIGenBenchDatasetLoader, AIGenBenchPipeline
from aigenbench.data.plan import Plan, images_digest
from aigenbench.data.samples.batches import BatchArithmetic, EvaluationBatches, TrainingBatches
from aigenbench.data.samples.randomness import seeded
from aigenbench.data.sources.opening import open_source
from aigenbench.errors import InputError
from aigenbench.protocol.timeline import PUBLISHED

SIZE = (32, 32)


class Hooks:
    """What a detector tells."""

    def __init__(self, first: Any = None, crops: str = "resize", training: str = "resize") -> None:
        self.first = BaselineTraining() if first is None else first
        self.crops = EvaluationCrops(crops, SIZE)
        self.training = StochasticTraining(training, SIZE)

    def train_augmentation(self) -> Any:
        return self.first, self.training

    def evaluation_augmentation(self, stage: str) -> Any:
        return None, None

    def evaluation_crops(self, stage: str) -> Any:
        return self.crops


def pipeline(folder: Path, **options: Any) -> AIGenBenchPipeline:
    return AIGenBenchPipeline(AIGenBenchDatasetLoader(str(folder)), **{"num_workers": 0, **options})


def plan_of(p: AIGenBenchPipeline) -> Plan:
    return p.plan(2)


def training_samples(
    p: AIGenBenchPipeline, window: int = 2, epoch: int = 0, hooks: Hooks | None = None, **batches: Any
) -> dict[tuple[int, int], bytes]:
    """Pixels of every training sample by (image id, how many times seen before)."""
    plan = plan_of(p)
    arithmetic = p.arithmetic()

    def sampler(n: int, copies: int) -> TrainingBatches:
        return TrainingBatches(n, copies, arithmetic, 1, window, epoch, **batches)

    loader = p.training_loader(plan, hooks or Hooks(), sampler(len(plan.training.rows(window)), 4), window)
    keys = [key for keys in sampler(len(plan.training.rows(window)), p.augmentation_factor) for key in keys]
    batches_read = list(loader)
    images = [image.numpy() for batch in batches_read for image in batch.images]
    ids = torch.cat([batch.image_ids for batch in batches_read]).tolist()
    rows = plan.training.rows(window)
    assert ids == [int(rows[position]) for position, _, _ in keys]
    return {(int(rows[k[0]]), k[1]): images[i].tobytes() for i, k in enumerate(keys)}


def evaluation_samples(p: AIGenBenchPipeline, hooks: Hooks | None = None) -> dict[int, bytes]:
    loader = p.evaluation_loader(plan_of(p), hooks or Hooks(), "validate")
    return {
        int(image_id): batch.images[batch.crop_to_image == i].numpy().tobytes()
        for batch in loader
        for i, image_id in enumerate(batch.image_ids)
    }


def test_training_samples_do_not_depend_on_workers_or_batches(small_dataset: Path) -> None:
    one = training_samples(pipeline(small_dataset, train_batch_size=16))
    assert len(one) == 192
    two = training_samples(pipeline(small_dataset, train_batch_size=24, num_workers=2))
    assert one == two


def test_training_samples_do_not_depend_on_the_subset(small_dataset: Path) -> None:
    whole = training_samples(pipeline(small_dataset, train_batch_size=16))
    part = training_samples(pipeline(small_dataset, train_batch_size=4, train_subset_size=0.5))
    assert 0 < len(part) < len(whole)
    assert part.items() <= whole.items()


def test_evaluation_samples_depend_on_nothing_but_the_image(small_dataset: Path) -> None:
    one = evaluation_samples(pipeline(small_dataset, eval_batch_size=5))
    two = evaluation_samples(pipeline(small_dataset, eval_batch_size=64, num_workers=2))
    part = evaluation_samples(pipeline(small_dataset, validation_subset_size=14))
    assert len(one) == 24
    assert one == two
    assert part.items() <= one.items()
    other = evaluation_samples(pipeline(small_dataset, augmentations_base_seed=1))
    assert one.keys() == other.keys()
    assert one != other


def test_deterministic_part_is_the_same_in_any_window_and_epoch_the_stochastic_is_not(small_dataset: Path) -> None:
    p = pipeline(small_dataset, train_batch_size=16)

    class Still(Hooks):
        def train_augmentation(self) -> Any:
            return (BaselineTraining(),)

    p1 = pipeline(small_dataset, train_batch_size=1)
    first = training_samples(p1, window=0, hooks=Still())
    later = training_samples(p1, window=2, epoch=1, hooks=Still())
    assert first.items() <= later.items()
    a, b, c = (training_samples(p, window=w, epoch=e) for w, e in ((1, 0), (2, 0), (2, 1)))
    shared = a.keys() & b.keys()
    assert sum(a[key] != b[key] for key in shared) > len(shared) / 2
    assert sum(b[key] != c[key] for key in b) > len(b) / 2


def test_without_deterministic_augmentations_everything_differs(small_dataset: Path) -> None:
    class Still(Hooks):
        def train_augmentation(self) -> Any:
            return (BaselineTraining(),)

    p = pipeline(small_dataset, train_batch_size=1, deterministic_augmentations=False)
    a, b = training_samples(p, epoch=0, hooks=Still()), training_samples(p, epoch=1, hooks=Still())
    assert sum(a[key] != b[key] for key in a) > len(a) / 2


@pytest.mark.parametrize("strategy", ["resize", "random_crop"])
@pytest.mark.parametrize("deterministic", [True, False])
def test_with_one_orientation_a_copy_only_what_is_not_deterministic_passes(
    small_dataset: Path, strategy: str, deterministic: bool
) -> None:
    def samples(hooks: Any, window: int, epoch: int, workers: int = 0) -> dict[tuple[int, int], bytes]:
        p = pipeline(
            small_dataset,
            train_batch_size=1,
            orientation="per_copy",
            deterministic_augmentations=deterministic,
            num_workers=workers,
        )
        return training_samples(p, window=window, epoch=epoch, hooks=hooks)

    first = None if deterministic else (lambda image: image)
    one = samples(Hooks(first, training=strategy), 0, 0)
    assert one.items() <= samples(Hooks(first, training=strategy), 2, 1, workers=2).items()
    # the orientations of an image's copies differ
    plain = samples(Hooks(lambda image: image, training=strategy), 0, 0)
    assert any(len({plain[i, copy] for copy in range(4)}) > 1 for i, _ in plain)
    if not deterministic:
        changing = samples(Hooks(training=strategy), 0, 0)
        assert changing != samples(Hooks(training=strategy), 0, 1)


def test_copies_of_an_image_differ(small_dataset: Path) -> None:
    samples = training_samples(pipeline(small_dataset, train_batch_size=16))
    ids = {image_id for image_id, _ in samples}
    assert all(len({samples[i, copy] for copy in range(4)}) > 1 for i in ids)


FOREIGN = {
    "torchvision on PIL": v2.ColorJitter(0.5, 0.5, 0.5, 0.2),
    "torchvision on tensors": v2.Compose([v2.ToImage(), v2.RandomErasing(p=1.0)]),
    "random": lambda image: image.rotate(random.choice([0, 90, 180, 270])),
    "NumPy": lambda image: image[:, ::-1] if np.random.rand() < 0.5 else image + np.uint8(np.random.randint(9)),
    "torch": lambda image: image.float().mul(torch.rand(1)).byte(),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_callables_become_deterministic(small_dataset: Path, name: str) -> None:
    hooks = Hooks(first=FOREIGN[name])
    one = training_samples(pipeline(small_dataset, train_batch_size=16), hooks=hooks)
    torch.manual_seed(4)
    random.seed(4)
    two = training_samples(pipeline(small_dataset, train_batch_size=24, num_workers=2), hooks=hooks)
    assert one == two
    assert len(set(one.values())) > 96


def test_a_callable_that_takes_no_image_is_told(small_dataset: Path) -> None:
    def broken(image: Any) -> Any:
        raise RuntimeError("no")

    for first, said in ((broken, "takes no image we can give it"), ("text", "must return callables, found str")):
        with pytest.raises(InputError, match=said):
            training_samples(pipeline(small_dataset, train_batch_size=16), hooks=Hooks(first=first))
    with pytest.raises(InputError, match="the augmentation returned int"):
        training_samples(pipeline(small_dataset, train_batch_size=16), hooks=Hooks(first=lambda image: 3))


def test_multicrop_gives_five_crops_that_stand_together(small_dataset: Path) -> None:
    p = pipeline(small_dataset, eval_batch_size=4)
    batch = next(iter(p.evaluation_loader(plan_of(p), Hooks(crops="multicrop"), "validate")))
    counts = torch.bincount(batch.crop_to_image)
    assert set(counts.tolist()) <= {1, 5}
    assert batch.images.shape == (int(counts.sum()), 3, *SIZE)
    assert batch.crop_to_image.tolist() == sorted(batch.crop_to_image.tolist())


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unreadable_image_names_id_split_and_file(made, tmp_path: Path, workers: int) -> None:
    names = ["CycleGAN", "ProGAN"]
    files, generators = made.rows(names, 2, 4, 0)
    files[3] = files[3][:60]
    folder = made.write(tmp_path / "d", {"train": (files, generators), "validation": (files, generators)})
    p = pipeline(folder, num_workers=workers)
    with pytest.raises(InputError) as told:
        evaluation_samples(p)
    assert "image 3 of split 'validation' (validation_3.png) cannot be read" in str(told.value)
    assert "\n" not in str(told.value)


def test_unequal_sizes_as_they_are(made, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    files = [made.encoded(made.image(rng, bool(i % 2), (20 + i, 30))) for i in range(8)]
    rows = (files, ["" if i % 2 == 0 else "ADM" for i in range(8)])
    p = pipeline(made.write(tmp_path / "d", {"train": rows, "validation": rows}))
    with pytest.raises(InputError, match="'as_is' needs images of one size"):
        evaluation_samples(p, Hooks(crops="as_is"))
    p = pipeline(tmp_path / "d", eval_batch_size=1)
    assert len(evaluation_samples(p, Hooks(crops="as_is"))) == 8


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"train_batch_size": 0}, "train_batch_size must be at least 1"),
        ({"num_workers": -1}, "num_workers"),
        ({"evaluation_jpeg": "two_points"}, "two_point"),
        ({"timeline": "nowhere.yaml"}, "no file nowhere.yaml"),
        ({"cache": "al"}, "data.cache: one of none, evaluation, all, found 'al'; did you mean 'all'"),
        ({"features": "yes"}, "data.features: one of none, cache"),
        ({"features_dtype": "float32"}, "data.features_dtype: one of float16, bfloat16"),
        ({"orientation": "per_image"}, "data.orientation: one of per_epoch, per_copy"),
    ],
)
def test_wrong_options_are_told_before_any_data_is_read(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        pipeline(Path("/nowhere"), **options)


@given(
    st.integers(1, 30), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(0, 3)
)
def test_samples_of_a_step_do_not_depend_on_devices(
    rows: int, copies: int, accumulate: int, devices: int, per_device: int, epoch: int
) -> None:
    spread = BatchArithmetic(per_device, devices, accumulate)
    if rows * copies < spread.overall:
        with pytest.raises(InputError, match=f"largest overall batch that works is {rows * copies}"):
            spread.steps(rows, copies)
        return
    alone = TrainingBatches(rows, copies, BatchArithmetic(spread.overall), 7, 1, epoch)
    ranks = [list(TrainingBatches(rows, copies, spread, 7, 1, epoch, rank=r)) for r in range(devices)]
    for step, whole in enumerate(alone):
        parts = [p for r in ranks for p in r[step * accumulate : (step + 1) * accumulate]]
        assert all(len(p) == per_device for p in parts)
        assert sorted(s for p in parts for s in p) == sorted(whole)


@given(st.integers(4, 40), st.integers(0, 9))
def test_the_sampler_starts_anywhere(rows: int, start: int) -> None:
    arithmetic = BatchArithmetic(2, 1, 2)
    whole = list(TrainingBatches(rows, 1, arithmetic, 7, 0, 0))
    start = min(start, len(whole) // 2)
    rest = TrainingBatches(rows, 1, arithmetic, 7, 0, 0, start_step=start)
    assert list(rest) == whole[2 * start :]
    assert len(rest) == len(whole) - 2 * start
    assert len({s for batch in whole for s in batch}) == sum(map(len, whole))


@given(st.integers(0, 50), st.integers(1, 7), st.integers(1, 4))
def test_evaluation_shares_cover_each_image_once(n: int, batch: int, world: int) -> None:
    shares = [[i for b in EvaluationBatches(n, batch, r, world) for i in b] for r in range(world)]
    assert sorted(i for share in shares for i in share) == list(range(n))
    assert all(len(b) <= batch for b in EvaluationBatches(n, batch, 0, world))


def test_orders_differ_between_seeds_windows_and_epochs() -> None:
    orders = [
        TrainingBatches(50, 2, BatchArithmetic(2), seed, window, epoch).order().tolist()
        for seed, window, epoch in ((1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1))
    ]
    assert all(sorted(order) == list(range(100)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4


def test_predict_reads_a_folder_of_pictures(made, tmp_path: Path, small_dataset: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "sub").mkdir()
    for name in ("b.png", "sub/a.png"):
        (tmp_path / name).write_bytes(made.encoded(made.image(rng, False)))
    (tmp_path / "notes.txt").write_text("no picture")
    p = pipeline(small_dataset, predict_path=str(tmp_path))
    chosen = p.predict_set(lambda: plan_of(p))
    assert [chosen.name(i) for i in range(2)] == ["b.png", "sub/a.png"]
    batch = next(iter(p.predict_loader(chosen, Hooks())))
    assert batch.positions.tolist() == [0, 1]
    assert batch.batch.images.shape == (2, 3, *SIZE)
    # judged as they are: no mandatory steps
    plain = EvaluationCrops("resize", SIZE)(made.image(np.random.default_rng(0), False))[0]
    assert np.array_equal(batch.batch.images[0].permute(1, 2, 0).numpy(), plain)
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="no image in"):
        pipeline(small_dataset, predict_path=str(tmp_path / "none")).predict_set(lambda: plan_of(p))


def test_global_random_states_are_put_back() -> None:
    def states() -> tuple[Any, ...]:
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()

    before = states()
    with seeded(np.random.default_rng(0)):
        drawn = random.random(), np.random.rand(), torch.rand(1).item()
    assert states() == before
    with seeded(np.random.default_rng(0)):
        assert drawn == (random.random(), np.random.rand(), torch.rand(1).item())


def test_callables_are_tried_on_a_real_image_before_there_are_workers(made, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    files = [made.encoded(made.image(rng, False, (70, 70)))[:50], *[made.encoded(made.image(rng, False, (70, 70)))] * 2]
    rows = (files, ["", "", "ADM"])
    folder = made.write(tmp_path / "d", {"train": rows, "validation": rows})
    p = pipeline(folder)
    # the first image cannot be read, which is for those to tell who need it
    p.training_transforms(Hooks(v2.RandomCrop(60)))
    with pytest.raises(InputError, match=r"train_augmentation .*RandomCrop takes no image .* of 70 x 70 pixels"):
        p.training_transforms(Hooks(v2.RandomCrop(80)))


def test_what_is_drawn_when_callables_are_made(small_dataset: Path) -> None:
    class Drawn(Hooks):
        def __init__(self, draw: Any) -> None:
            super().__init__()
            self.draw = draw

        def train_augmentation(self) -> Any:
            angle = self.draw()
            return (lambda image: image.rotate(angle)), self.training

    p = pipeline(small_dataset, train_batch_size=16)
    one, two = (training_samples(p, hooks=Drawn(lambda: random.uniform(10, 80) + np.random.rand())) for _ in range(2))
    assert one == two
    with pytest.raises(InputError, match=r"train_augmentation \(.*: what the hook returns does something else each"):
        p.training_transforms(Drawn(lambda: np.random.default_rng().uniform(10, 80)))


def test_crops_hooks_do_not_depend_on_workers(small_dataset: Path) -> None:
    class Cropping(Hooks):
        def evaluation_crops(self, stage: str) -> Any:
            def crops(image: Any) -> Any:
                at = np.random.randint(8), random.randrange(8)
                return [image.crop((*at, at[0] + 16, at[1] + 16))]

            return crops

    one = evaluation_samples(pipeline(small_dataset), Cropping())
    assert one == evaluation_samples(pipeline(small_dataset, num_workers=2), Cropping())


def test_folders_in_the_home_folder(small_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert pipeline(small_dataset, cache_folder="~/cache").cache_folder == f"{tmp_path}/cache"


def test_a_picture_that_cannot_be_read_takes_part_and_is_told(made, tmp_path: Path, small_dataset: Path) -> None:
    for name in ("a.png", "c.png"):
        (tmp_path / name).write_bytes(made.encoded(made.image(np.random.default_rng(1), False)))
    (tmp_path / "b.png").write_bytes(b"no picture")
    p = pipeline(small_dataset, predict_path=str(tmp_path), eval_batch_size=2)
    loader = p.predict_loader(p.predict_set(lambda: plan_of(p)), Hooks())
    batches = list(loader)
    assert [b.positions.tolist() for b in batches] == [[0, 1], [2]]
    assert all(len(b.batch.images) == len(b.positions) for b in batches)
    assert [f.position for f in loader.failures] == [1]
    assert "not an image" in loader.failures[0].reason


def test_an_evaluation_needs_only_its_split(made, tmp_path: Path) -> None:
    rows = made.rows(list(PUBLISHED.names[:4]), 2, 8, 3)
    whole = pipeline(made.write(tmp_path / "whole", {"train": rows, "validation": rows}))
    for split in ("validation", "test"):
        only = pipeline(made.write(tmp_path / split, {split: rows}))
        stage = "validate" if split == "validation" else "test"
        plan = only.plan(2, stage=stage)
        assert plan.windows == whole.plan(2).windows
        assert plan.evaluation.ids.tolist() == whole.plan(2).evaluation.ids.tolist()
        assert only.evaluation_set(plan, stage) is not None
        with pytest.raises(InputError, match="has no split"):
            only.plan(2)


def test_images_of_another_data_set_of_one_layout_are_told_apart(made, tmp_path: Path) -> None:
    files, names = made.rows(list(PUBLISHED.names[:4]), 2, 8, 3)
    digests = []
    for i, content in enumerate((files, files, [f[:40] + bytes([f[40] ^ 1]) + f[41:] for f in files])):
        table = open_source(made.write(tmp_path / str(i), {"validation": (content, names)})).table("validation")
        digests.append(images_digest(table, np.arange(len(names))))
    assert digests[0] == digests[1] != digests[2]


def test_what_a_timeline_of_ones_own_finds_in_the_data_is_told(
    made: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = [*PUBLISHED.names[:4], "New"]
    splits = {"train": made.rows(names[:4], 2, 8, 0), "validation": made.rows(names, 2, 10, 0)}
    data = made.write(tmp_path / "data", splits)

    def planned(day: str, name: str = "New", stage: str = "validate") -> Any:
        (tmp_path / "own.csv").write_text(f"generator,date\n{name},{day}\n")
        return pipeline(data, timeline=str(tmp_path / "own.csv")).plan(2, stage=stage)

    with pytest.raises(InputError, match=r"holds none of the 1 generators that timeline own \w+ adds \(Other\)"):
        planned("2026-01-01", "Other")
    with pytest.raises(InputError, match="split train: no image of 'New', which timeline own"):
        planned("2026-01-01", stage="fit")
    assert planned("2026-01-01").windows[2:] == (("New",),)
    assert "than the published ones" not in caplog.text
    assert planned("2017-08-01").windows[1:] == (("New", "ProGAN"), ("StarGAN",))
    assert "with New (2017-08-01) the windows from 1 on are other than the published ones" in caplog.text
