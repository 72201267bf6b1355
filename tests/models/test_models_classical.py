from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from aigenbench.models import build_model
from aigenbench.models.registry import built_in_source
from aigenbench.models.sources.classical_networks import (
    FrequencyNetwork,
    NeighbouringPixels,
    SpectralMixing,
    TinyPatch,
    diagonal_gradients,
    high_frequencies,
    pixel_residuals,
)

NAMES = ("npr", "tiny_patch", "frequency")


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (40, 24)])
@pytest.mark.parametrize("network", [NeighbouringPixels(), TinyPatch(), FrequencyNetwork()])
def test_features_and_gradients_are_finite_even_where_an_image_is_flat(network, size) -> None:
    images = torch.randn(3, 3, *size)
    images[0] = 0.5
    features = network(images)
    assert features.shape == (3, network.num_features)
    network.zero_grad()
    features.square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def test_they_are_small_and_have_no_weights() -> None:
    source = built_in_source("classical")
    assert tuple(source.names()) == NAMES
    cards = [source.card(name) for name in NAMES]
    assert all(card is not None and card.weights == () for card in cards)
    sizes = [
        sum(p.numel() for p in build_model(f"classical/{n}_tune", 1, pretrained=False).parameters()) for n in NAMES
    ]
    assert [f"{size:.0e}" for size in sizes] == ["1e+06", "1e+03", "3e+05"]


def test_residuals_are_those_of_nearest_resizing_by_half_and_back() -> None:
    images = torch.randn(2, 3, 12, 10)
    small = F.interpolate(images, scale_factor=0.5, mode="nearest")
    torch.testing.assert_close(pixel_residuals(images), images - F.interpolate(small, scale_factor=2.0, mode="nearest"))
    assert pixel_residuals(images[..., :11, :9]).shape == (2, 3, 10, 8)
    # what was doubled by nearest neighbours has none
    assert pixel_residuals(F.interpolate(small, scale_factor=2.0, mode="nearest")).abs().max() == 0


def test_gradients_by_hand() -> None:
    ramp = torch.arange(12.0).reshape(1, 1, 3, 4)
    assert (diagonal_gradients(ramp) == -5).all()


def test_a_patch_speaks_for_itself() -> None:
    torch.manual_seed(0)
    network = TinyPatch().eval()
    images = torch.randn(1, 3, 32, 32)
    changed = images.clone()
    changed[..., 0, 0] += 1
    maps, others = (network.layers(diagonal_gradients(one)) for one in (images, changed))
    moved = (maps - others).abs().amax(dim=1)[0] > 0
    assert moved[0, 0]
    assert moved.sum() == 1, "the corner lies in one patch of 6 x 6 pixels"
    torch.testing.assert_close(network(images), maps.mean(dim=(2, 3)))


@pytest.mark.parametrize(("frequency", "kept"), [(2, False), (7, False), (8, True), (15, True)])
def test_low_frequencies_are_gone_and_high_ones_stay(frequency: int, kept: bool) -> None:
    wave = torch.cos(2 * np.pi * frequency * torch.arange(32) / 32).expand(1, 1, 32, 32)
    for maps in (wave, wave.transpose(2, 3)):
        found = high_frequencies(maps)
        torch.testing.assert_close(found, maps if kept else torch.zeros_like(maps), atol=1e-5, rtol=0)


def test_spectral_mixing_by_the_definition() -> None:
    torch.manual_seed(0)
    layer, maps = SpectralMixing(2), torch.randn(1, 2, 8, 6)
    spectrum = np.fft.rfft2(maps.numpy(), norm="ortho")
    mix = {}
    for name, one in (("amplitude", layer.amplitude), ("phase", layer.phase)):
        assert one.bias is not None
        mix[name] = one.weight.detach().numpy()[..., 0, 0], one.bias.detach().numpy()
    amplitude, phase = (
        np.einsum("oc,nchw->nohw", mix[name][0], values) + mix[name][1][:, None, None]
        for name, values in (("amplitude", np.abs(spectrum)), ("phase", np.angle(spectrum)))
    )
    expected = np.fft.irfft2(np.maximum(amplitude, 0) * np.exp(1j * phase), s=(8, 6), norm="ortho")
    np.testing.assert_allclose((layer(maps) - maps).detach().numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "steps", "lr"), [("npr", 15, 2e-3), ("tiny_patch", 60, 2e-2), ("frequency", 15, 2e-3)]
)
def test_a_few_steps_tell_doubled_pixels(name: str, steps: int, lr: float) -> None:
    rng = np.random.default_rng(0)
    grain = torch.from_numpy(rng.normal(0, 0.5, (64, 3, 32, 32)).astype(np.float32))
    labels = torch.arange(64) % 2 == 1
    smooth = F.interpolate(grain[labels][..., ::2, ::2], scale_factor=2.0, mode="bilinear")
    grain[labels] = smooth / smooth.std() * 0.5
    torch.manual_seed(0)
    model = build_model(f"classical/{name}_tune", 1, pretrained=False)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for _ in range(steps):
        loss = F.binary_cross_entropy_with_logits(model(grain[:40])[:, 0], labels[:40].float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        scores = model(grain[40:])[:, 0]
    assert scores[labels[40:]].min() > scores[~labels[40:]].max()
