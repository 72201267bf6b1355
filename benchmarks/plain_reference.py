"""The protocol's recipes as one would write them with torchvision, Pillow and SciPy, to time ours against.

Straightforward per-image code: a Pillow image goes from one library's transform to the next, converted where a library
asks for it, and ends as a normalised float tensor.
"""

from __future__ import annotations

import io
import random

import cv2
import numpy as np
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from torchvision.transforms import v2

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
MAXIMUM = 1080


def decode(data: bytes) -> Image.Image:
    """The picture in ``data``, as RGB."""
    return Image.open(io.BytesIO(data)).convert("RGB")


def jpeg(image: Image.Image, qualities: range | tuple[int, ...]) -> Image.Image:
    """``image`` after a JPEG round trip, codec and quality drawn."""
    quality = random.choice(qualities)
    if random.random() < 0.5:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        return decode(buffer.getvalue())
    _, encoded = cv2.imencode(".jpg", np.array(image)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return Image.fromarray(cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB))


def noise(image: Image.Image, low: float, high: float) -> Image.Image:
    """``image`` plus Gaussian noise, its standard deviation drawn from ``low``..``high`` of 255."""
    array = np.array(image).astype(np.float32)
    array += np.random.normal(0, 255 * random.uniform(low, high), array.shape)
    return Image.fromarray(np.clip(np.rint(array), 0, 255).astype(np.uint8))


def blur(image: Image.Image) -> Image.Image:
    """``image`` blurred by a Gaussian of 0 to 3 pixels."""
    sigma = random.uniform(0, 3)
    return Image.fromarray(gaussian_filter(np.array(image), sigma=(sigma, sigma, 0), mode="mirror", truncate=3))


def hole(image: Image.Image) -> Image.Image:
    """``image`` with one hole of at most 48 x 48 pixels, filled with 128."""
    array = np.array(image)
    height, width = random.randint(1, min(48, array.shape[0])), random.randint(1, min(48, array.shape[1]))
    top, left = random.randint(0, array.shape[0] - height), random.randint(0, array.shape[1] - width)
    array[top : top + height, left : left + width] = 128
    return Image.fromarray(array)


class PlainTraining:
    """Bytes -> normalised tensor: the mandatory training crop, the baseline recipe, ``resize`` to ``side`` pixels."""

    def __init__(self, side: int = 224) -> None:
        self.first = v2.Compose(
            [
                v2.RandomApply([v2.RandomResizedCrop(256, scale=(0.08, 1), ratio=(3 / 4, 4 / 3))], p=0.2),
                v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
                v2.RandomGrayscale(0.2),
                v2.RandomApply([v2.Lambda(hole)], p=0.2),
                v2.RandomApply([v2.Lambda(lambda image: noise(image, 0.2, 0.44))], p=0.2),
                v2.RandomApply([v2.Lambda(blur)], p=0.5),
                v2.RandomApply([v2.Lambda(lambda image: jpeg(image, range(30, 101)))], p=0.5),
            ]
        )
        self.then = v2.Compose([v2.RandomHorizontalFlip(), v2.Resize((side, side)), *to_tensor()])

    def __call__(self, data: bytes) -> torch.Tensor:
        """The sample made of an image file's bytes, other draws each time."""
        image = decode(data)
        if max(image.size) > MAXIMUM:
            image = v2.RandomCrop((min(image.height, MAXIMUM), min(image.width, MAXIMUM)))(image)
        image = self.first(image)
        return self.then(image.rotate(random.choice((0, 90, 180, 270)), expand=True))


class PlainEvaluation:
    """Bytes -> normalised tensor: the mandatory evaluation steps and ``resize`` to ``side`` pixels."""

    def __init__(self, side: int = 224) -> None:
        def degrade(probability: float) -> v2.Transform:
            return v2.RandomApply([v2.Lambda(lambda image: jpeg(image, (50, 100)))], p=probability)

        self.steps = v2.Compose(
            [
                v2.RandomGrayscale(0.1),
                degrade(0.5),
                v2.RandomApply([v2.Lambda(lambda image: noise(image, 0.015, 0.075))], p=0.3),
                degrade(0.2),
                v2.RandomApply([v2.Lambda(self.resized_crop)], p=0.25),
                degrade(0.1),
                v2.Resize((side, side)),
                *to_tensor(),
            ]
        )

    @staticmethod
    def resized_crop(image: Image.Image) -> Image.Image:
        """``image``, half of it or more, as a square of 256 to 512 pixels."""
        interpolation = random.choice(
            (v2.InterpolationMode.BILINEAR, v2.InterpolationMode.BICUBIC, v2.InterpolationMode.LANCZOS)
        )
        side = random.randint(256, 512)
        return v2.RandomResizedCrop(side, scale=(0.5, 1), ratio=(0.9, 1 / 0.9), interpolation=interpolation)(image)

    def __call__(self, data: bytes) -> torch.Tensor:
        """The evaluation sample made of an image file's bytes, other draws each time."""
        image = decode(data)
        if max(image.size) > MAXIMUM:
            image = v2.CenterCrop((min(image.height, MAXIMUM), min(image.width, MAXIMUM)))(image)
        return self.steps(image)


def to_tensor() -> list[v2.Transform]:
    """The last transforms of both: to float in [0, 1], normalised."""
    return [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
