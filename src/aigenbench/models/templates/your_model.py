"""A model of your own: copy this file, change the network, and train it by name.

    aigenbench fit ... --import your_model.py --model.model_name your_cnn_tune

Nothing here is special to this package: any `torch.nn.Module` that gives one row of logits an image will do.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from aigenbench.models import ModelFactoryRegistry


def convolution(inside: int, outside: int) -> list[nn.Module]:
    """Half the height and width, ``outside`` channels."""
    return [nn.Conv2d(inside, outside, 3, stride=2, padding=1), nn.BatchNorm2d(outside), nn.ReLU()]


class YourCnn(nn.Module):
    """Three convolutions and a linear layer; gives logits (N, num_classes) of images (N, 3, H, W).

    Args:
        num_classes: Logits an image; 1 for a binary detector.
        width: Channels of the first convolution.
    """

    def __init__(self, num_classes: int, width: int = 32) -> None:
        super().__init__()
        # Optional: what the network expects of its images. Fields left out are ImageNet's.
        self.preprocessing = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "input_size": [224, 224]}
        self.num_features = 4 * width
        self.body = nn.Sequential(
            *convolution(3, width),
            *convolution(width, 2 * width),
            *convolution(2 * width, 4 * width),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(self.num_features, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, num_classes)."""
        return self.head(self.get_features(images))

    def get_features(self, images: torch.Tensor) -> torch.Tensor:
        """Features (N, D). Optional: with this method, `your_cnn_probe` works too, without another line."""
        return self.body(images)


def make_your_model(model_name: str, pretrained: bool = True, **kwargs: Any) -> nn.Module | None:
    """The factory: a module for a name it knows, None for any other.

    Args:
        model_name: As typed. `your_cnn_tune` and `your_cnn_probe` are offered as `your_cnn` after all factories
            declined them.
        pretrained: Whether weights are wanted. This network has none to load.
        kwargs: `num_classes`, and whatever the config gives under `model_args`.
    """
    if model_name != "your_cnn":
        return None
    return YourCnn(kwargs["num_classes"], width=kwargs.get("width", 32))


ModelFactoryRegistry().register_model_factory("yours", make_your_model)
