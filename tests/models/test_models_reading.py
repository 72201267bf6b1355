"""Every format that weights come in, and what must not be opened."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from aigenbench.errors import InputError
from aigenbench.models.weights.reading import read_weights

STATE = {"conv.weight": torch.arange(6.0).view(2, 3), "conv.bias": torch.ones(2)}


def same(state: dict[str, torch.Tensor]) -> bool:
    return list(state) == list(STATE) and all(torch.equal(state[k], v) for k, v in STATE.items())


def saved(path: Path, content: Any, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"state_dict": STATE, "epoch": 3},
        {"model": STATE},
        {"teacher": {f"module.{k}": v for k, v in STATE.items()}},
        {f"module.{k}": v for k, v in STATE.items()},
        {"model": {"other": torch.zeros(1)}, "model_ema": STATE},
        {"state_dict": {f"_orig_mod.{k}": v for k, v in STATE.items()}},
    ],
)
@pytest.mark.parametrize("name", ["weights.pt", "weights.pth", "pytorch_model.bin"])
def test_state_dicts_of_torch_save(content: Any, name: str, tmp_path: Path) -> None:
    assert same(read_weights(saved(tmp_path / name, content)))


def test_old_format_of_torch_save(tmp_path: Path) -> None:
    assert same(read_weights(saved(tmp_path / "old.pth", STATE, _use_new_zipfile_serialization=False)))


def test_safetensors(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "model.safetensors")
    state = read_weights(tmp_path / "model.safetensors")
    assert {k: v.tolist() for k, v in state.items()} == {k: v.tolist() for k, v in STATE.items()}


def test_format_versions_survive(tmp_path: Path) -> None:
    module = torch.nn.BatchNorm2d(2)
    state = read_weights(saved(tmp_path / "a.pt", module.state_dict()))
    assert state._metadata[""]["version"] == 2  # type: ignore[attr-defined]


class Malicious:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.marker,))


@pytest.mark.parametrize("zipped", [True, False])
def test_pickle_that_would_run_code_is_refused(zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "bad.pt"
    saved(path, {"a": Malicious(tmp_path / "ran")}, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=r"bad\.pt holds more than tensors and would run code"):
        read_weights(path)
    assert not (tmp_path / "ran").exists()
    with pytest.raises(InputError):
        read_weights(path, trusted=True)  # trust is for TorchScript alone
    assert not (tmp_path / "ran").exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_plain_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.pth").write_bytes(pickle.dumps(Malicious(tmp_path / "ran")))
    with pytest.raises(InputError, match=r"bad\.pth"):
        read_weights(tmp_path / "bad.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("name", ["a.pt", "old.pth", "a.safetensors"])
def test_truncated_files(name: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "a.safetensors":
        save_file(STATE, path)
    else:
        saved(path, STATE, _use_new_zipfile_serialization=name == "a.pt")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError) as caught:
        read_weights(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < 400


@pytest.mark.parametrize("content", [b"", b"<html>404</html>" * 20, b"\x89PNG\r\n\x1a\n" + bytes(100), b"PK\x03\x04"])
@pytest.mark.parametrize("name", ["a.pt", "a.safetensors", "a"])
def test_files_that_are_not_weights(content: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        read_weights(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([1, 2], "holds a list"),
        ({}, "expected a state dict"),
        (torch.zeros(2), "holds a Tensor"),
        ({"epoch": 3, "loss": 0.1}, "'epoch' is no tensor"),
    ],
)
def test_content_that_is_no_state_dict(content: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=told):
        read_weights(saved(tmp_path / "a.pt", content))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.pt", tmp_path):
        with pytest.raises(InputError, match="no file"):
            read_weights(path)
