"""Weights files: safetensors, state dicts, TorchScript archives. Nothing in a file is ever run unseen."""

from __future__ import annotations

import logging
import pickle
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from aigenbench.errors import InputError
from aigenbench.models.weights import RemoteFile, file_sha256

logger = logging.getLogger(__name__)

StateDict = dict[str, torch.Tensor]

#: Under these keys, training scripts keep the state dict inside what they save; the averaged weights first.
_WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model", "teacher")
#: What data-parallel training and torch.compile put before every name.
_PREFIXES = ("module.", "_orig_mod.")


def read_weights(path: Path, published: Sequence[RemoteFile] = (), trusted: bool = False) -> StateDict:
    """The state dict in a safetensors file, a file of ``torch.save``, or a TorchScript archive.

    Pickles are read with ``weights_only=True``. A TorchScript archive is code; it is opened only where its
    SHA-256 is one that its source published, or where the user says that the file is trusted.

    Args:
        path: The file; its kind is taken from its content.
        published: What the source publishes, for the hashes of TorchScript archives.
        trusted: The user vouches for a TorchScript archive.

    Raises:
        InputError: The file is missing, empty, truncated, no weights, or would have to run code.
    """
    if not path.is_file():
        raise InputError(f"weights: no file {path}")
    if path.stat().st_size == 0:
        raise InputError(f"weights: {path} is empty; fetch it again")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if _is_torchscript(path):
        return _read_torchscript(path, published, trusted)
    return _read_pickle(path)


def _read_safetensors(path: Path) -> StateDict:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, ValueError) as error:
        raise InputError(f"weights: {path} is no whole safetensors file ({_short(error)}); fetch it again") from error


def _is_torchscript(path: Path) -> bool:
    """A zip archive with ``constants.pkl`` holds a program; ``torch.save`` writes none."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(Path(name).name == "constants.pkl" for name in archive.namelist())


def _read_torchscript(path: Path, published: Sequence[RemoteFile], trusted: bool) -> StateDict:
    hashes = [file.sha256 for file in published if file.sha256]
    if not trusted:
        found = file_sha256(path)
        if not any(len(known) == 64 and found == known for known in hashes):
            raise InputError(
                f"weights: {path} is a TorchScript archive, which is code, and its SHA-256 {found[:12]}... is not "
                "the published one; give safetensors or a state dict, or model_args trusted: true"
            )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # no other way to read what OpenAI published
            archive = torch.jit.load(path, map_location="cpu")
    except RuntimeError as error:
        raise InputError(f"weights: {path} is no whole TorchScript archive ({_short(error)})") from error
    return dict(archive.state_dict())


def _read_pickle(path: Path) -> StateDict:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Weights only load failed" in str(error) and "Unsupported" in str(error):
            raise InputError(
                f"weights: {path} holds more than tensors and would run code when opened; it is not opened. "
                "Save its state dict alone, best as safetensors"
            ) from error
        raise InputError(f"weights: {path} is not a weights file ({_short(error)})") from error
    except Exception as error:  # a damaged pickle can raise anything
        raise InputError(
            f"weights: {path} is damaged, truncated or not a weights file ({_short(error)}); fetch it again"
        ) from error
    return _unwrapped(content, path)


def _unwrapped(content: Any, path: Path) -> StateDict:
    for key in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict) or not content:
        raise InputError(f"weights: {path} holds a {type(content).__name__}, expected a state dict")
    strangers = [key for key, value in content.items() if not isinstance(value, torch.Tensor)]
    if strangers:
        raise InputError(f"weights: {path} is no state dict: its entry {strangers[0]!r} is no tensor")
    for prefix in _PREFIXES:
        if all(key.startswith(prefix) for key in content):
            content = {key.removeprefix(prefix): value for key, value in content.items()}
    return content


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
