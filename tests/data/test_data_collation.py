from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from aigenbench.data.samples.collation import Batch, Sample, collate
from aigenbench.data.samples.loading import make_loader
from aigenbench.errors import InputError


def sample(i: int, crops: int = 1, side: int = 8) -> Sample:
    rng = np.random.default_rng(i)
    images = [rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for _ in range(crops)]
    return Sample(images, i % 2, 5 * i, 100 + i)


def samples() -> list[Sample]:
    return [sample(i, crops=1 + i % 3) for i in range(7)]


def assert_equal(one: Batch, other: Batch) -> None:
    for ours, theirs in zip(one, other, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.stride() == theirs.stride()
        assert torch.equal(ours, theirs)


def test_crops_of_an_image_stand_together() -> None:
    batch = collate(samples())
    assert batch.images.shape == (13, 3, 8, 8)
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert batch.crop_to_image.tolist() == [0, 1, 1, 2, 2, 2, 3, 4, 4, 5, 5, 5, 6]
    assert batch.image_ids.tolist() == list(range(100, 107))
    assert np.array_equal(batch.images[1].permute(1, 2, 0).numpy(), samples()[1].crops[0])


@pytest.mark.parametrize("kind", [torch.float32, torch.uint8])
def test_finished_tensors_are_stacked_as_they_are(kind: torch.dtype) -> None:
    crops = [torch.full((3, 4, 5), i).to(kind) for i in range(3)]
    batch = collate([Sample([crop], 0, 0, i) for i, crop in enumerate(crops)])
    assert batch.images.dtype == kind
    assert torch.equal(batch.images, torch.stack(crops))


def test_unequal_sizes_are_told() -> None:
    with pytest.raises(InputError, match="batch size of 1"):
        collate([sample(0, side=8), sample(1, side=9)])


def test_a_pickled_batch_comes_back_equal() -> None:
    batch = collate(samples())
    assert_equal(pickle.loads(pickle.dumps(batch)), batch)


def test_a_batch_on_another_device_is_copied_there() -> None:
    elsewhere = Batch(*(part.to("meta") for part in collate(samples())))
    for copied in (copy.copy(elsewhere), copy.deepcopy(elsewhere)):
        assert {part.device.type for part in copied} == {"meta"}
        assert [part.shape for part in copied] == [part.shape for part in elsewhere]


@pytest.mark.parametrize("finished", [False, True])
def test_a_worker_shares_the_images_and_sends_the_rest_by_value(finished: bool) -> None:
    made = samples()
    if finished:
        made = [Sample([torch.from_numpy(s.crops[0]).permute(2, 0, 1) / 255], *s[1:]) for s in made]
    batches = [[0, 1, 2], [3, 4, 5, 6]]
    loader: DataLoader[Sample] = make_loader(made, batches, collate, 2)
    for batch, positions in zip(loader, batches, strict=True):
        assert batch.images.is_shared()
        assert not batch.labels.is_shared()
        assert_equal(batch, collate([made[i] for i in positions]))
