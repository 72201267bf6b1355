"""Samples to batches, and batches from a loader's worker to the main process."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from aigenbench.errors import InputError

if TYPE_CHECKING:
    import torch


class Batch(NamedTuple):
    """A collated batch. Crops of one image stand together.

    Attributes:
        images: uint8 or float32 tensor (n_crops, 3, H, W); floats are finished, uint8 are still to be normalised.
        labels: 0 real, 1 fake; int64 (n_images,).
        generator_ids: int64 (n_images,).
        image_ids: row number in the split; int64 (n_images,).
        crop_to_image: position within this batch of every crop's image; int64 (n_crops,).
    """

    images: Any
    labels: Any
    generator_ids: Any
    image_ids: Any
    crop_to_image: Any

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the small tensors by value: shared, each costs a file descriptor and two connections to hand it on."""
        images, *small = self
        return _restored, (type(self), images, [t.numpy() if t.device.type == "cpu" else t for t in small])


class Sample(NamedTuple):
    """One image's finished crops (one in training) with its facts."""

    crops: list[Any]
    label: int
    generator_id: int
    image_id: int


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples into a batch, in a loader's worker straight into memory that the main process shares.

    Raises:
        InputError: the images' sizes differ (``as_is`` cropping with a batch of more than one).
    """
    import torch

    crops = [crop for sample in samples for crop in sample.crops]
    shapes = {tuple(crop.shape) for crop in crops}
    if len(shapes) > 1:
        raise InputError(
            f"images of unequal sizes in one batch ({', '.join(map(str, sorted(shapes)[:3]))}): cropping strategy "
            "'as_is' needs images of one size, or a batch size of 1"
        )
    if isinstance(crops[0], np.ndarray):
        # (N, H, W, 3) in memory, seen as (N, 3, H, W): no transposing copy, and the layout channels_last wants
        images = stack(crops).permute(0, 3, 1, 2)
    else:
        images = torch.stack(crops, out=_empty((len(crops), *crops[0].shape), crops[0].dtype))
    counts = torch.tensor([len(sample.crops) for sample in samples])
    return Batch(
        images,
        torch.tensor([sample.label for sample in samples]),
        torch.tensor([sample.generator_id for sample in samples]),
        torch.tensor([sample.image_id for sample in samples]),
        torch.repeat_interleave(torch.arange(len(samples)), counts),
    )


def stack(arrays: Sequence[np.ndarray]) -> torch.Tensor:
    """Arrays of one shape and type as a tensor (n, *shape), in a loader's worker in memory that others share."""
    import torch

    stacked = _empty((len(arrays), *arrays[0].shape), torch.from_numpy(np.empty(0, arrays[0].dtype)).dtype)
    np.stack(arrays, out=stacked.numpy())
    return stacked


def _empty(shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    """Memory for a batch; a worker's is shared from the start, as handing it on would copy it there."""
    import torch
    from torch.utils.data import get_worker_info

    if get_worker_info() is None:
        return torch.empty(shape, dtype=dtype)
    storage = torch.UntypedStorage._new_shared(prod(shape) * dtype.itemsize)
    return torch.empty(0, dtype=dtype).set_(storage).view(shape)


def _restored(kind: type[Batch], images: torch.Tensor, small: Sequence[np.ndarray | torch.Tensor]) -> Batch:
    import torch

    return kind(images, *map(torch.as_tensor, small))
