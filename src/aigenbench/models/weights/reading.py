"""Weights files: safetensors, state dicts, TorchScript archives. Nothing in a file is ever run unseen."""

from __future__ import annotations

import logging
import pickle
import struct
import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError

from aigenbench.errors import InputError
from aigenbench.files import file_sha256
from aigenbench.models.weights.kinds import Kind, kind_of
from aigenbench.models.weights.locate import RemoteFile

logger = logging.getLogger(__name__)

StateDict = dict[str, torch.Tensor]

#: What reading a damaged file can raise, beside pickle's own error: torch.load lets through whatever goes wrong inside.
READING_ERRORS = (
    *(AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError, OverflowError, RuntimeError),
    *(TypeError, ValueError, struct.error, SafetensorError),
)
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
    kind = kind_of(path, "weights")
    if kind is Kind.SAFETENSORS:
        return read_safetensors(path, "weights")
    if kind is Kind.TORCHSCRIPT:
        return _read_torchscript(path, published, trusted)
    return _unwrapped(read_pickle(path, "weights"), path)


def read_safetensors(path: Path, key: str = "") -> StateDict:
    """The tensors of a file that ``kind_of`` calls safetensors.

    Raises:
        InputError: It is damaged.
    """
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except READING_ERRORS as error:
        raise InputError(f"{_label(key)}{path} is no whole safetensors file ({_short(error)}); get it again") from error


def read_pickle(path: Path, key: str = "") -> Any:
    """What ``torch.save`` wrote, tensors and plain values; nothing in the file is run.

    Raises:
        InputError: It holds more than that, is damaged, or is not whole.
    """
    try:
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore", UserWarning)  # what torch has to say of pickles by others
            # by its content: of a path, torch would believe the name
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Unsupported" in str(error) and "Unsupported operand" not in str(error):
            raise InputError(
                f"{_label(key)}{path} holds more than tensors and would run code when opened; what could run code is "
                "not opened. Save its state dict alone, best as safetensors"
            ) from error
        raise InputError(
            f"{_label(key)}{path} is damaged, or no checkpoint that torch.save wrote ({_short(error)})"
        ) from error
    except READING_ERRORS as error:
        raise InputError(
            f"{_label(key)}{path} is damaged, half a file or no checkpoint ({_short(error)}); get it again"
        ) from error


def check_finite(tensors: Mapping[str, torch.Tensor], buffers: Collection[str], where: str) -> None:
    """Refuse weights of which no score can come.

    Args:
        tensors: By name.
        buffers: Names of those that are no parameters: masks among them may hold minus infinity.
        where: The file, for the message.

    Raises:
        InputError: A tensor holds NaN or infinite values; the first is named.
    """
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or tensor.is_meta:
            continue
        wrong = ~torch.isfinite(tensor)
        if name in buffers:
            wrong &= ~torch.isneginf(tensor)
        if count := int(wrong.sum()):
            raise InputError(
                f"{where}: {count:,} of {tensor.numel():,} numbers of {name} are NaN or infinite, so it gives no "
                "scores; take weights from before that"
            )


class Use(NamedTuple):
    """What of a file a module's weights were taken from: for the line that says so.

    Attributes:
        used: Number of its tensors that the module has.
        left: Names of the others.
    """

    used: int
    left: list[str]

    @classmethod
    def of(cls, own: Collection[str], given: Collection[str], prefixes: Sequence[str] = ("",)) -> Use:
        """Of a file with tensors ``given`` in a module that has ``own``, where ``prefixes`` may stand before them."""
        left = [name for name in given if not any(f"{prefix}{name}" in own for prefix in prefixes)]
        return cls(len(given) - len(left), left)

    def told(self, path: Path) -> str:
        """``37 of 39 tensors of x.pt used; 2 left out: a, b``."""
        line = f"{self.used} of {self.used + len(self.left)} tensors of {path} used"
        return f"{line}; {len(self.left)} left out: {first_names(self.left)}" if self.left else line


def first_names(names: Collection[str], n: int = 3) -> str:
    """``"a, b, c and 4 more"``."""
    return ", ".join(list(names)[:n]) + (f" and {len(names) - n} more" if len(names) > n else "")


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


def _unwrapped(content: Any, path: Path) -> StateDict:
    if isinstance(content, dict) and {"schema", "model_name", "state_dict"} <= content.keys():
        raise InputError(
            f"weights: {path} is the checkpoint of a detector ({content['model_name']}), head included; give it as "
            "model.base_weights"
        )
    for key in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict) or not content:
        raise InputError(f"weights: {path} holds a {type(content).__name__}, expected a state dict")
    strangers = [key for key, one in content.items() if not (isinstance(key, str) and isinstance(one, torch.Tensor))]
    if strangers:
        raise InputError(f"weights: {path} is no state dict: its entry {strangers[0]!r} is no tensor with a name")
    for prefix in _PREFIXES:
        if all(key.startswith(prefix) for key in content):
            content = {key.removeprefix(prefix): value for key, value in content.items()}
    return content


def _label(key: str) -> str:
    return f"{key}: " if key else ""


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
