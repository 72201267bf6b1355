"""Opening an autoencoder: a folder or file that diffusers wrote, or the two state dicts of TAESD's form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from aigenbench.errors import InputError
from aigenbench.files import read_json
from aigenbench.models.reconstruction import autoencoder_kl, tiny
from aigenbench.models.weights.kinds import Kind, kind_of
from aigenbench.models.weights.reading import check_finite, first_names, read_pickle, read_safetensors

_KEY = "data.reconstruct.vae"
CONFIG = "config.json"
_WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
_SUFFIXES = (".pth", ".pt", ".safetensors")


def open_autoencoder(path: Path) -> nn.Module:
    """The autoencoder at ``path``, in float32, ready to use; called with pictures (n, 3, H, W) in 0..1.

    Args:
        path: a folder with ``config.json`` and the weights of an ``AutoencoderKL``, as diffusers writes it; a file of
            such weights, whose sizes are then taken from the tensors; or a folder with an encoder and a decoder of
            TAESD's form, by these words in their names. Sides must be multiples of its attribute ``factor``.

    Raises:
        InputError: there is no such thing at the path, or its weights are damaged or of another network.
    """
    if path.is_dir() and (path / CONFIG).is_file():
        config = autoencoder_kl.Architecture.of_config(read_json(path / CONFIG), f"{_KEY}: {path / CONFIG}")
        return _kl(_weights_in(path), config)
    if path.is_dir():
        return _tiny(path)
    return _kl(path, None)


def _kl(file: Path, architecture: autoencoder_kl.Architecture | None) -> nn.Module:
    tensors = autoencoder_kl.AutoencoderKL.renamed(_tensors(file))
    known = architecture or autoencoder_kl.Architecture.of_tensors(tensors, f"{_KEY}: {file}")
    return _loaded(autoencoder_kl.build(known), tensors, file)


def _weights_in(folder: Path) -> Path:
    found = [folder / name for name in _WEIGHTS if (folder / name).is_file()]
    if not found:
        raise InputError(f"{_KEY}: {folder} has a {CONFIG} and no {' or '.join(_WEIGHTS)}; name the file of weights")
    return found[0]


def _tiny(folder: Path) -> nn.Module:
    halves = {
        half: [one for one in sorted(folder.iterdir()) if one.suffix in _SUFFIXES and half in one.name]
        for half in ("encoder", "decoder")
    }
    if any(len(files) != 1 for files in halves.values()):
        told = "; ".join(f"{half}: {first_names([f.name for f in files]) or 'none'}" for half, files in halves.items())
        raise InputError(
            f"{_KEY}: expected {folder} to hold {CONFIG} and weights of an AutoencoderKL, or one file with 'encoder' "
            f"and one with 'decoder' in its name (TAESD's form); found {told}"
        )
    tensors = {f"{half}.{name}": t for half, files in halves.items() for name, t in _tensors(files[0]).items()}
    return _loaded(tiny.build(tensors, f"{_KEY}: {folder}"), tensors, folder)


def _tensors(file: Path) -> dict[str, Tensor]:
    if kind_of(file, _KEY, "file of weights") is Kind.SAFETENSORS:
        return read_safetensors(file, _KEY)
    found = read_pickle(file, _KEY)
    if not isinstance(found, Mapping) or not all(isinstance(one, Tensor) for one in found.values()):
        raise InputError(f"{_KEY}: {file} holds no state dict of an autoencoder")
    return dict(found)


def _loaded(network: nn.Module, tensors: Mapping[str, Tensor], place: Path) -> nn.Module:
    own = network.state_dict()
    missing, foreign = [n for n in own if n not in tensors], [n for n in tensors if n not in own]
    other = [n for n in own if n in tensors and tensors[n].shape != own[n].shape]
    if missing or foreign or other:
        raise InputError(
            f"{_KEY}: the tensors of {place} are not those of its network: missing {first_names(missing) or 'none'}; "
            f"unexpected {first_names(foreign) or 'none'}; of another shape {first_names(other) or 'none'}"
        )
    check_finite(tensors, (), f"{_KEY}: {place}")
    network.load_state_dict({name: tensor.to(torch.float32) for name, tensor in tensors.items()}, assign=True)
    return network.requires_grad_(False).eval()
