"""What may be given as a checkpoint, what of it is used, and what is refused in one line."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from training_harness import arguments, run

from aigenbench.errors import InputError
from aigenbench.models import ModelFactoryRegistry
from aigenbench.training.detector.base import BaseDeepfakeDetectionModel
from aigenbench.training.detector.base_weights import base_weights_later
from aigenbench.training.detector.records import detector_record, load_detector
from aigenbench.training.resume.checkpoints import load, refuse_checkpoint, save


def make_net(model_name: str, pretrained: bool = True, **kwargs: Any) -> nn.Module | None:
    if not model_name.startswith("net"):
        return None
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(3), nn.Linear(3, kwargs["num_classes"]))


@pytest.fixture(autouse=True)
def net() -> None:
    ModelFactoryRegistry().register_model_factory("net", make_net)


def detector(cls: type = BaseDeepfakeDetectionModel, seed: int = 0, **options: Any) -> BaseDeepfakeDetectionModel:
    torch.manual_seed(seed)
    return cls(**{"model_name": "net_tune", "model_input_size": 16, **options})


def same(a: BaseDeepfakeDetectionModel, b: BaseDeepfakeDetectionModel) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


BAD = {
    "zero.ckpt": (b"", "is empty"),
    "text.ckpt": (b"trainer: {}\n", "is a text file that begins"),
    "lfs.ckpt": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "is a Git LFS pointer"),
    "page.pt": (b"<html></html>", "is a web page"),
    "half.ckpt": (b"PK\x03\x04" + bytes(500), "is half a file"),
    "half.safetensors": ((100).to_bytes(8, "little") + b'{"a"', "is half a file"),
}


@pytest.mark.parametrize("name", BAD)
def test_files_that_are_no_checkpoints_say_what_they_are(name: str, tmp_path: Path) -> None:
    content, said = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"model\.base_weights: .*{said}") as caught:
        load_detector(detector(), tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_a_file_in_the_old_format_that_is_cut_off(share: float, tmp_path: Path) -> None:
    torch.save(detector().state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    whole = (tmp_path / "old.pth").read_bytes()
    (tmp_path / "old.pth").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match=r"ckpt_path: .*old\.pth is damaged"):
        load(tmp_path / "old.pth", "ckpt_path")


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_archives_of_code_and_folders_are_refused(tmp_path: Path) -> None:
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "script.pt"))
    with pytest.raises(InputError, match=r"script\.pt is a TorchScript archive, which is code"):
        load(tmp_path / "script.pt")
    (tmp_path / "run").mkdir()
    save(tmp_path / "run" / "final.ckpt", detector_record(detector()))
    with pytest.raises(InputError, match=r"no checkpoint .*a folder; it holds final\.ckpt: name one of them"):
        load(tmp_path / "run")


def test_what_is_loaded_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    d = detector()
    save(tmp_path / "a.ckpt", detector_record(d))
    with caplog.at_level(logging.INFO, "aigenbench"):
        load_detector(detector(seed=1), tmp_path / "a.ckpt")
    n = len(d.state_dict())
    assert f"{n} of {n} tensors of {tmp_path / 'a.ckpt'} used" in caplog.text


def test_safetensors_are_weights_like_any_other(tmp_path: Path) -> None:
    d, other = detector(), detector(seed=1)
    save_file({k: v.contiguous() for k, v in d.model.state_dict().items()}, tmp_path / "a.safetensors")
    load_detector(other, tmp_path / "a.safetensors")
    assert same(d, other)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_no_numbers_name_the_first(value: float, tmp_path: Path) -> None:
    d = detector()
    record = detector_record(d)
    record["state_dict"]["model.3.weight"] = torch.full((1, 3), value)
    torch.save(record, tmp_path / "nan.ckpt")
    before = {name: tensor.clone() for name, tensor in d.state_dict().items()}
    with pytest.raises(InputError, match=r"nan\.ckpt: 3 of 3 numbers of model\.3\.weight are NaN or infinite"):
        load_detector(d, tmp_path / "nan.ckpt")
    assert all(torch.equal(tensor, before[name]) for name, tensor in d.state_dict().items())


def test_a_buffer_may_mask_with_minus_infinity(tmp_path: Path) -> None:
    class Masking(BaseDeepfakeDetectionModel):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.register_buffer("mask", torch.full((2, 2), float("-inf")).triu(1))

    d = detector(Masking)
    save(tmp_path / "a.ckpt", detector_record(d))
    load_detector(detector(Masking, seed=1), tmp_path / "a.ckpt")


def test_weights_of_other_pixel_values_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(tmp_path / "a.ckpt", detector_record(detector(preprocessing={"mean": [0.5, 0.5, 0.5]})))
    load_detector(detector(), tmp_path / "a.ckpt")
    assert "was trained on pixels with mean [0.5, 0.5, 0.5], here it goes on with [0.48" in caplog.text


# base_weights


def test_base_weights_given_in_python_are_in_the_detector(tmp_path: Path) -> None:
    d = detector()
    save(tmp_path / "a.ckpt", detector_record(d))
    assert not same(d, detector(seed=1))
    assert same(d, detector(seed=1, base_weights=str(tmp_path / "a.ckpt")))

    class Longer(BaseDeepfakeDetectionModel):
        """Is complete only after the class it inherits from."""

        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.more = nn.Linear(2, 2)

    longer = detector(Longer)
    save(tmp_path / "b.ckpt", detector_record(longer))
    assert same(longer, detector(Longer, seed=1, base_weights=str(tmp_path / "b.ckpt")))
    with pytest.raises(InputError, match=r"model\.base_weights: no checkpoint nowhere\.ckpt"):
        detector(base_weights="nowhere.ckpt")
    with base_weights_later():
        assert not same(d, detector(seed=1, base_weights=str(tmp_path / "a.ckpt")))


def test_a_checkpoint_of_another_model_with_the_same_names_and_shapes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = {**detector_record(detector()), "model_name": "net2_tune"}
    torch.save(record, tmp_path / "a.ckpt")
    load_detector(detector(), tmp_path / "a.ckpt")
    assert "holds weights of net2_tune, whose names and shapes fit net_tune" in caplog.text
    # of built-in models it is known that they compute otherwise
    names = {"net2_tune": "openai/ViT-B/16", "net_tune": "openclip/clipB16laion2B"}
    monkeypatch.setattr("aigenbench.training.detector.records.network_of", names.__getitem__)
    with pytest.raises(InputError, match=r"holds weights of net2_tune; net_tune has the same names and shapes"):
        load_detector(detector(), tmp_path / "a.ckpt")


def test_networks_are_told_by_name() -> None:
    from aigenbench.models.catalogue import network_of

    with ModelFactoryRegistry().isolated():
        ModelFactoryRegistry._factories.clear()
        assert network_of("RN50_tune") == network_of("openai/RN50_probe") == "openai/RN50"
        assert network_of("timm/resnet18.a1_in1k_tune") == network_of("timm/resnet18") == "timm/resnet18"
        assert network_of("openclip/clipB16laion2B_tune") != network_of("ViT-B/16_tune")
        assert network_of("no_such_model") is None


# the commands


def test_fit_takes_no_ckpt_path(made: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"/x\.ckpt is not used by fit; model\.base_weights is the key"):
        refuse_checkpoint({"ckpt_path": "/x.ckpt"})
    dataset = made.default(tmp_path / "data", generators=2, fakes_each=4)
    code, _ = run(tmp_path, arguments(dataset, tmp_path, "--ckpt_path=/nothere.ckpt"))
    log = (tmp_path / "log.txt").read_text()
    assert code == 2, log
    assert "ckpt_path: /nothere.ckpt is not used by fit" in log
    assert not (tmp_path / "experiments_data").exists()


def test_a_users_module_that_does_not_work_is_told_at_set_up(made: Any, tmp_path: Path) -> None:
    dataset = made.default(tmp_path / "data", generators=2, fakes_each=4)
    (tmp_path / "wrong.py").write_text(WRONG)
    for model, said in (
        ("wrong_probe", r"num_features says 64, so features of an image must have shape (1, 64), found (1, 12)"),
        ("wrong_tune", f"a layer that takes 64 numbers is given 12: RuntimeError: .* ({tmp_path}/wrong.py:14))"),
        ("broken", f"has no attribute 'hed' ({tmp_path}/wrong.py:18))"),
        ("mine/factory", "KeyError: 'no such key' (wrong.py, line 22)"),
    ):
        more = ("--import=wrong.py", f"--model.model_name={model}", f"--experiment_info.experiment_id={model[:4]}")
        code, _ = run(tmp_path, arguments(dataset, tmp_path, *more))
        log = (tmp_path / "log.txt").read_text()
        assert code == 2, log
        assert all(part in log for part in said.split(".*")), (said, log)
        assert "Traceback" not in log
        assert "evaluation images" not in log
    assert not (tmp_path / "experiments_data").exists()


WRONG = """import torch
from torch import nn
from aigenbench.models import ModelFactoryRegistry
class Wrong(nn.Module):
    num_features = 64
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 3)
        self.head = nn.Linear(64, 1)
    def get_features(self, images):
        return self.conv(images).mean(dim=(2, 3))

    def forward(self, images):
        return self.head(self.get_features(images))

class Broken(Wrong):
    def forward(self, images):
        return self.hed(images)

def make(name, **kwargs):
    if name == "factory":
        raise KeyError("no such key")
    return {"wrong": Wrong, "broken": Broken}.get(name, lambda: None)()
ModelFactoryRegistry().register_model_factory("mine", make)
"""
