from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.fft import dctn

from aigenbench.models import build_model, preprocessing_of
from aigenbench.models.registry import built_in_source
from aigenbench.models.sources.block_spectrum import BlockSpectrum, block_cosines


def test_the_first_layer_is_the_cosine_transform() -> None:
    block = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    ours = torch.nn.functional.conv2d(torch.from_numpy(block)[None, None], block_cosines()).reshape(8, 8)
    assert np.allclose(ours.numpy(), dctn(block, norm="ortho"), atol=1e-5)


@pytest.mark.parametrize("size", [(8, 8), (32, 40), (96, 96)])
def test_features_and_gradients_are_finite_even_where_an_image_is_flat(size: tuple[int, int]) -> None:
    network = BlockSpectrum()
    images = torch.randn(3, 3, *size)
    images[0] = 0.5
    features = network(images)
    assert features.shape == (3, network.num_features)
    features.square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def test_the_fixed_layer_is_in_no_checkpoint() -> None:
    assert "cosines" not in BlockSpectrum().state_dict()


def test_there_is_one_name_and_no_weights() -> None:
    source = built_in_source("small_cnn")
    assert list(source.names()) == ["small_cnn"]
    card = source.card("small_cnn")
    assert card is not None
    assert card.weights == ()
    model = build_model("small_cnn_tune", 1, pretrained=False)
    assert preprocessing_of(model) == card.preprocessing
    assert sum(p.numel() for p in model.parameters()) < 25_000


def test_a_few_steps_tell_a_faint_lattice() -> None:
    rng = np.random.default_rng(0)
    grain = rng.normal(0, 0.3, (96, 3, 48, 48)).astype(np.float32)
    labels = np.arange(96) % 2
    grain[labels == 1] += np.where(np.arange(48) % 4 == 0, 0.3, -0.1).astype(np.float32)
    images, targets = torch.from_numpy(grain), torch.from_numpy(labels.astype(np.float32))
    torch.manual_seed(0)
    model = build_model("small_cnn_tune", 1, pretrained=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(20):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(images[:64])[:, 0], targets[:64])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        scores = model.eval()(images[64:])[:, 0]
    assert ((scores > 0).float() == targets[64:]).float().mean() > 0.85
