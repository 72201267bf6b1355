"""A detector's folder that is not what was exported: refused by name, and never random weights."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from aigenbench.cli import main
from aigenbench.errors import InputError
from aigenbench.inference.artefact import new_folder, read_info, write_info
from aigenbench.inference.detector import Detector

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 345000000\n"


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    """A detector's folder that may be changed."""
    return Path(shutil.copytree(exported, tmp_path / "copy"))


def flip(path: Path) -> None:
    """Another bit in the last tensor."""
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda d: (d / "model.safetensors").unlink(), "model.safetensors is missing; get the detector again"),
    "altered": (lambda d: flip(d / "model.safetensors"), "model.safetensors is not the file that was exported"),
    "another self-test": (lambda d: flip(d / "selftest.safetensors"), "selftest.safetensors is not the file"),
    "pointer": (lambda d: (d / "model.safetensors").write_text(POINTER), "is a Git LFS pointer to 345,000,000 bytes"),
    "half": (
        lambda d: (d / "model.safetensors").write_bytes((d / "model.safetensors").read_bytes()[:2000]),
        "model.safetensors is",
    ),
    "pickle": (lambda d: (d / "extra").write_bytes(pickle.dumps({"a": 1}, 4)), "extra is a pickle, which runs code"),
    "checkpoint": (lambda d: torch.save({"a": torch.zeros(1)}, d / "notes.txt"), "notes.txt is a pickle"),
    "pickle by name": (lambda d: (d / "model.pkl").write_bytes(b"x"), "model.pkl is a pickle"),
    "no folder": (shutil.rmtree, "is not a folder: there is no"),
    "no detector": (lambda d: (d / "detector.json").unlink(), "is no exported detector: there is no"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_folder_that_is_not_what_was_exported_is_refused(
    kind: str, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, said = BROKEN[kind]
    spoil(copy)
    assert main(["detector", "check", str(copy), "--device", "cpu"]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert not printed.out


def changed(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        record = json.loads((folder / "detector.json").read_text())
        change(record)
        (folder / "detector.json").write_text(json.dumps(record))

    return spoil


DAMAGED: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "newer": (lambda r: r.update(schema=99), "is of schema 99; this version reads up to 1: install a newer"),
    "no schema": (lambda r: r.pop("schema"), "has no schema number"),
    "no points": (lambda r: r.update(points=[]), "damaged .*no operating point"),
    "band": (lambda r: r["points"][0].update(low=1e9), "damaged .*low, 1000000000.0, lies above high"),
    "counts": (lambda r: r["points"][0]["measured"]["recall"].update(count=10**6), "damaged .*recall: 1000000 of"),
    "date": (lambda r: r.update(knows_until="soon"), "damaged"),
    "size": (lambda r: r["model"]["preprocessing"].update(input_size=[10**6, 9]), "damaged .*at most 4096 pixels"),
    "std": (lambda r: r["model"]["preprocessing"].update(std=[0, 1, 1]), "damaged .*std must be positive"),
    "weights": (lambda r: r["model"]["arguments"].update(weights="/x"), "damaged .*argument 'weights' does not belong"),
    "fusion": (lambda r: r["model"].update(fusion="median"), "damaged .*unknown rule of fusion 'median'"),
    "learned fusion": (
        lambda r: r["model"].update(fusion={"kind": "learned", "inputs": ["thumbnail"], "weights": [1], "offset": 0}),
        "damaged .*looks at a thumbnail where there is none",
    ),
    "tiles": (
        lambda r: r["model"].update(cropping={"strategy": "tiles", "tiles": {"n": 10**6}}),
        "damaged .*tiles n: expected a whole number from 1 to 64",
    ),
    "classes": (lambda r: r["model"].update(seen=[0, 5]), "damaged .*classes"),
    "crops": (lambda r: r["model"]["cropping"].update(strategy="resise"), "did you mean 'resize'"),
    "path": (lambda r: r["hashes"].update({"../../x": "0"}), "damaged .*no name of a file beside it"),
    "no hash": (lambda r: r["hashes"].pop("model.safetensors"), "does not name model.safetensors"),
    "model": (lambda r: r["model"].update(name="small_cnn/small_cmm_tune"), "did you mean 'small_cnn'"),
    "other": (lambda r: r["model"].update(name="timm/test_resnet_tune"), "are not those of timm/test_resnet_tune: "),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_description_is_refused(kind: str, copy: Path) -> None:
    change, said = DAMAGED[kind]
    changed(change)(copy)
    with pytest.raises(InputError, match=said):
        Detector.load(copy, "cpu")


def test_other_files_may_stand_beside_it_once_they_are_named(copy: Path) -> None:
    (copy / "model.onnx").write_bytes(b"\x08\x09pytorch")
    (copy / ".gitattributes").write_text("*.safetensors filter=lfs\n")
    Detector.load(copy, "cpu")
    info = write_info(copy, read_info(copy))
    assert "model.onnx" in info.hashes
    assert Detector.load(copy, "cpu").info == info
    (copy / "model.onnx").write_bytes(b"\x08\x09pytorcH")
    with pytest.raises(InputError, match=r"model\.onnx is not the file that was exported"):
        Detector.load(copy, "cpu")


def test_a_self_test_that_gives_other_logits_fails(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed(lambda record: record["model"]["preprocessing"].update(mean=[0.51, 0.5, 0.5]))(copy)
    assert main(["detector", "check", str(copy), "--device", "cpu"]) == 1
    assert "self-test failed on cpu: largest difference 0." in capsys.readouterr().out


def test_a_folder_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "detector"
    with pytest.raises(OSError, match="No such file"), new_folder(target) as staging:
        shutil.copy("/nowhere", staging / "model.safetensors")
    assert not list(tmp_path.iterdir())
    target.mkdir()
    with new_folder(target) as staging:
        (staging / "a").write_text("whole")
    assert [path.name for path in target.iterdir()] == ["a"]
    target.joinpath("a").write_text("mine")
    with pytest.raises(InputError, match="is there already"), new_folder(target):
        pass
    assert target.joinpath("a").read_text() == "mine"


def test_a_place_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" / "detector"
    with pytest.raises(InputError, match="cannot be made"), new_folder(place):
        pass
    for command in (["export", "nowhere"], ["evaluate", "nowhere", "--dataset_path", "nowhere"]):
        assert main([*command, "-o", str(place)]) == 2
        assert f"--output {place}: {tmp_path / 'file'} is no folder" in capsys.readouterr().err
