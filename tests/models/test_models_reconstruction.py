"""Autoencoders: what diffusers computes, what comes back of a picture, and files that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from aigenbench.errors import InputError
from aigenbench.models.reconstruction import open_autoencoder
from aigenbench.models.reconstruction.autoencoder_kl import Architecture, AutoencoderKL

WITH: dict[str, Any] = {"block_out_channels": [8, 16], "layers_per_block": 1, "latent_channels": 2}
WITHOUT: dict[str, Any] = {"block_out_channels": [8, 8, 16], "layers_per_block": 2, "latent_channels": 3}
WITH |= {"norm_num_groups": 4}
WITHOUT |= {"norm_num_groups": 2} | dict.fromkeys(
    ("use_quant_conv", "use_post_quant_conv", "mid_block_add_attention"), False
)
# every 41st number that diffusers 0.42.1 gives of `picture`, with the weights of `filled`
BY_DIFFUSERS = [
    (WITH, [0.513685, 0.596189, 0.613886, 0.412783, 0.40802, 0.583632, 0.571063, 0.628109]),
    (WITHOUT, [0.554255, 0.591758, 0.539055, 0.424402, 0.509595, 0.588962, 0.559972, 0.643731]),
]


def filled(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Weights by rule: no generator of random numbers that another version could change."""
    shapes = sorted((name, tensor.shape) for name, tensor in network.state_dict().items())
    return {
        name: 0.2 * torch.cos((k + 1) * 0.7 * torch.arange(shape.numel(), dtype=torch.float64)).reshape(shape).float()
        for k, (name, shape) in enumerate(shapes)
    }


def picture() -> torch.Tensor:
    values = 0.5 + 0.5 * torch.sin(torch.arange(3 * 8 * 12, dtype=torch.float64) * 0.37)
    return values.reshape(1, 3, 8, 12).float()


def written(folder: Path, config: dict[str, Any]) -> dict[str, torch.Tensor]:
    """A folder as diffusers writes it; returns its weights."""
    depth = len(config["block_out_channels"])
    types = {"down_block_types": ["DownEncoderBlock2D"] * depth, "up_block_types": ["UpDecoderBlock2D"] * depth}
    whole = {"_class_name": "AutoencoderKL", **types, **config}
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(whole))
    tensors = filled(AutoencoderKL(Architecture.of_config(whole, "config.json")))
    save_file(tensors, folder / "diffusion_pytorch_model.safetensors")
    return tensors


@pytest.mark.parametrize(("config", "expected"), BY_DIFFUSERS)
def test_it_computes_what_diffusers_does(tmp_path: Path, config: dict[str, Any], expected: list[float]) -> None:
    written(tmp_path, config)
    np.testing.assert_allclose(open_autoencoder(tmp_path)(picture()).flatten()[::41].numpy(), expected, atol=1e-5)


def test_against_diffusers_itself(tmp_path: Path) -> None:
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 3, up_block_types=["UpDecoderBlock2D"] * 3, **WITHOUT
    )
    theirs.eval().save_pretrained(tmp_path)
    with torch.no_grad():
        expected = theirs.decode(theirs.encode(2 * picture() - 1).latent_dist.mode()).sample / 2 + 0.5
    torch.testing.assert_close(open_autoencoder(tmp_path)(picture()), expected, atol=1e-5, rtol=0)


def test_sizes_are_taken_from_the_tensors_of_a_single_file(tmp_path: Path) -> None:
    config = {**WITH, "block_out_channels": [32, 32], "norm_num_groups": 32}
    tensors = written(tmp_path / "folder", config)
    expected = open_autoencoder(tmp_path / "folder")(picture())
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    renamed = {}
    for name, tensor in tensors.items():
        today = next((one for one in old if f".attentions.0.{one}." in name), None)
        is_matrix = today is not None and name.endswith("weight")
        renamed[name.replace(today, old[today]) if today else name] = tensor[..., None, None] if is_matrix else tensor
    for given in (tensors, renamed):
        save_file({name: tensor.contiguous() for name, tensor in given.items()}, tmp_path / "vae.safetensors")
        assert torch.equal(open_autoencoder(tmp_path / "vae.safetensors")(picture()), expected)


def test_the_tiny_form_brings_a_real_picture_back(shared: Path) -> None:
    autoencoder = open_autoencoder(shared / "weights")
    (path,) = (shared / "realslice" / "real").rglob("biggan_real_105.jpg")
    image = np.asarray(Image.open(path).convert("RGB").resize((256, 256), Image.Resampling.BOX))
    given = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
    error = (autoencoder(given).clamp(0, 1) - given).square().mean()
    assert 33 < -10 * error.log10() < 39


def test_weights_without_pools_are_opened_by_their_names(tiny_vae: Path) -> None:
    made = open_autoencoder(tiny_vae)(torch.rand(1, 3, 16, 24))
    assert made.shape == (1, 3, 16, 24)
    assert made.dtype == torch.float32


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"_class_name": "AutoencoderKLFlux2"}, "is of a 'AutoencoderKLFlux2'; expected an AutoencoderKL"),
        ({"act_fn": "gelu"}, "act_fn 'gelu' is not built here; expected 'silu'"),
        ({"up_block_types": ["UpDecoderBlock2D", "AttnUpDecoderBlock2D"]}, "up_block_types .* is not built here"),
        ({"norm_num_groups": 3}, r"channels \[8, 16\] cannot be cut into 3 groups"),
        ({"layers_per_block": 0}, "whole numbers from 1"),
        ({"latent_channels": "many"}, "is damaged"),
        ({"layers_per_block": 2}, "are not those of its network: missing .*resnets.1"),
        ({"latent_channels": 3}, "of another shape"),
    ],
)
def test_a_config_of_something_else(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    written(tmp_path, WITH)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(InputError, match=rf"data\.reconstruct\.vae: .*{told}"):
        open_autoencoder(tmp_path)


def test_what_is_no_autoencoder(tmp_path: Path, tiny_vae: Path) -> None:
    with pytest.raises(InputError, match=r"one file with 'encoder' and one with 'decoder'.*encoder: none; decoder: no"):
        open_autoencoder(tmp_path)
    (tmp_path / "encoder.pth").write_bytes((tiny_vae / "tiny_encoder.pth").read_bytes())
    torch.save({"0.weight": torch.zeros(2)}, tmp_path / "decoder.pth")
    with pytest.raises(InputError, match="no encoder and decoder of TAESD's form"):
        open_autoencoder(tmp_path)
    with pytest.raises(InputError, match="no tensors by the names of an AutoencoderKL"):
        open_autoencoder(tmp_path / "encoder.pth")
    (tmp_path / "decoder.pth").write_bytes(b"\x80\x02cos\nsystem\n")
    with pytest.raises(InputError, match=r"decoder\.pth"):
        open_autoencoder(tmp_path)
    with pytest.raises(InputError, match=r"no file of weights .*absent"):
        open_autoencoder(tmp_path / "absent")
    written(tmp_path / "kl", WITH)
    (tmp_path / "kl" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(InputError, match=r"has a config.json and no diffusion_pytorch_model.safetensors or"):
        open_autoencoder(tmp_path / "kl")


def test_weights_that_are_no_numbers(tmp_path: Path) -> None:
    tensors = written(tmp_path, WITH)
    tensors["decoder.conv_out.bias"][1] = torch.nan
    save_file(tensors, tmp_path / "diffusion_pytorch_model.safetensors")
    with pytest.raises(InputError, match=r"1 of 3 numbers of decoder\.conv_out\.bias are NaN"):
        open_autoencoder(tmp_path)
