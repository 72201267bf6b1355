from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from aigenbench.augmentations import EvaluationCrops
from aigenbench.data.samples.collation import Batch
from aigenbench.errors import InputError
from aigenbench.models import ModelFactoryRegistry
from aigenbench.training.detector.base import BaseDeepfakeDetectionModel, SoftTrainAugmentationsModel
from aigenbench.training.detector.records import detector_record, load_detector
from aigenbench.training.detector.stage import Stage
from aigenbench.training.resume.checkpoints import load, save


def make_tiny(model_name: str, pretrained: bool = True, **kwargs: Any) -> nn.Module | None:
    if model_name not in ("tiny_net_tune", "bf16_net_tune"):
        return None
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, kwargs["num_classes"]))


@pytest.fixture(autouse=True)
def tiny() -> Any:
    registry = ModelFactoryRegistry()
    with registry.isolated():
        registry.register_model_factory("tiny-net", make_tiny)
        yield


def detector(cls: type = BaseDeepfakeDetectionModel, **options: Any) -> BaseDeepfakeDetectionModel:
    torch.manual_seed(0)
    return cls(**{"model_name": "tiny_net_tune", "model_input_size": 16, **options})


def batch(n: int = 6) -> Batch:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (n, 3, 16, 16), dtype=torch.uint8, generator=generator)
    labels = torch.arange(n) % 2
    return Batch(images, labels, labels * 5, torch.arange(n), torch.arange(n))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"training_cropping_strategy": "resiz"}, "'resize'"),
        ({"evaluation_cropping_strategy": "multicrops"}, "'multicrop'"),
        ({"training_task": "binry"}, "did you mean 'binary'"),
        ({"evaluation_type": "multiclass"}, "cannot be evaluated as multiclass"),
        ({"scheduler": "OneCycle"}, "did you mean 'OneCycleLR'"),
        ({"classification_threshold": 2.0}, "must lie in 0..1"),
        ({"model_input_size": 0}, r"model\.model_input_size: expected pixels a side"),
        ({"model_input_size": (16,)}, r"model\.model_input_size: expected pixels a side"),
        ({"model_name": "resnet5_tune"}, "did you mean"),
        ({"preprocessing": {"mena": [0, 0, 0]}}, "did you mean 'mean'"),
    ],
)
def test_wrong_values_name_the_nearest(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        detector(**options)


def test_pixels_are_normalised_with_the_preprocessing() -> None:
    d = detector(preprocessing={"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.25, 2.0]})
    images = batch().images
    expected = (images.double() / 255 - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / torch.tensor(
        [0.5, 0.25, 2.0]
    ).view(3, 1, 1)
    assert torch.allclose(d.normalise(images).double(), expected, atol=1e-6)
    as_loaded = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(d.normalise(as_loaded), d.normalise(images))
    assert d.normalise(as_loaded).stride() == as_loaded.stride()
    finished = torch.randn(2, 3, 4, 4)
    assert d.normalise(finished) is finished


def trained(threshold: float) -> dict[str, torch.Tensor]:
    d = detector(classification_threshold=threshold)
    d.log = lambda *args, **kwargs: None  # type: ignore[method-assign, assignment]
    optimizer = d.configure_optimizers()["optimizer"]
    for _ in range(3):
        optimizer.zero_grad()
        d.training_step(batch(), 0).backward()
        optimizer.step()
    return d.state_dict()


def test_the_threshold_changes_no_weight() -> None:
    a, b = trained(0.5), trained(0.9)
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("steps", [1, 2, 7, 250])
def test_one_cycle_over_exactly_the_windows_steps(steps: int) -> None:
    d = detector()
    d.begin(Stage(total_steps=steps))
    made = d.configure_optimizers()
    optimizer, scheduler = made["optimizer"], made["lr_scheduler"]["scheduler"]
    assert made["lr_scheduler"]["interval"] == "step"
    rates, momenta = [], []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        momenta.append(optimizer.param_groups[0]["momentum"])
        optimizer.step()
        scheduler.step()
    with pytest.raises(ValueError, match="Tried to step"):
        scheduler.step()
    if steps == 250:
        assert max(rates) == pytest.approx(1e-3)
        assert rates[0] == pytest.approx(1e-3 / 25)
        assert rates[-1] < 1e-7
        assert (min(momenta), max(momenta)) == (pytest.approx(0.85), pytest.approx(0.95))


def test_momentum_is_cycled_only_where_there_is_one() -> None:
    adam = detector(optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=1e-3))
    adam.begin(Stage(total_steps=10))
    made = adam.configure_optimizers()
    assert made["lr_scheduler"]["scheduler"].cycle_momentum is False
    assert made["optimizer"].param_groups[0]["betas"] == (0.9, 0.999)
    constant = detector(scheduler=None)
    assert isinstance(constant.configure_optimizers(), torch.optim.SGD)


def test_float32_logits_from_a_users_module_under_bf16() -> None:
    d = detector()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert d(batch().images).dtype == torch.float32


def test_crops_hook_takes_any_form_and_is_used_where_overridden() -> None:
    class Corner(BaseDeepfakeDetectionModel):
        def make_eval_crops(self, image: Any) -> Any:
            return [crop[:8] for crop in super().make_eval_crops(image)]

    plain, own = detector(), detector(Corner)
    assert isinstance(plain.evaluation_crops("validate"), EvaluationCrops)
    pixels = np.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=np.uint8)
    forms = [pixels, Image.fromarray(pixels), torch.from_numpy(pixels.transpose(2, 0, 1).copy())]
    for stage in ("validate", "test", "predict"):
        crops = [own.evaluation_crops(stage)(form) for form in forms]
        assert all(len(c) == 1 and c[0].shape == (8, 16, 3) for c in crops)
        assert np.array_equal(crops[0][0], crops[1][0])
        assert np.array_equal(crops[0][0], crops[2][0])


def test_soft_model_trains_on_the_soft_recipe() -> None:
    first, second = detector(SoftTrainAugmentationsModel).train_augmentation()
    assert type(first).__name__ == "SoftTraining"
    assert type(second).__name__ == "StochasticTraining"


def test_checkpoints_hold_plain_values_and_come_back(tmp_path: Path) -> None:
    d = detector(preprocessing={"mean": [0.1, 0.2, 0.3]})
    saved = save(tmp_path / "a.ckpt", detector_record(d))
    record = load(tmp_path / "a.ckpt")
    assert record["preprocessing"]["mean"] == [0.1, 0.2, 0.3]
    assert len(saved.sha256) == 64
    other = detector()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    load_detector(other, tmp_path / "a.ckpt")
    assert all(torch.equal(a, b) for a, b in zip(d.parameters(), other.parameters(), strict=True))
    # a plain state dict of the network alone is taken too
    torch.save(d.model.state_dict(), tmp_path / "plain.pt")
    load_detector(other, tmp_path / "plain.pt")


class RunsCode:
    def __reduce__(self) -> Any:
        return print, ("this must not run",)


def test_files_that_are_no_checkpoints_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    d = detector()
    torch.save({"state_dict": RunsCode()}, tmp_path / "code.ckpt")
    (tmp_path / "text.ckpt").write_text("hello")
    torch.save({"state_dict": {"model.9.weight": torch.zeros(3)}}, tmp_path / "other.ckpt")
    wrong = {name: torch.zeros(7) for name in d.state_dict()}
    torch.save({"state_dict": wrong}, tmp_path / "shapes.ckpt")
    torch.save({**detector_record(d), "schema": 99}, tmp_path / "version.ckpt")
    for name, said in (
        ("code.ckpt", "could run code"),
        ("text.ckpt", "no checkpoint"),
        ("none.ckpt", "no checkpoint"),
        ("other.ckpt", r"of another model than tiny_net_tune: missing model\.2\.weight.*unexpected model\.9\.weight"),
        ("version.ckpt", r"another version of aigenbench \(schema 99, this one has 1\)"),
        ("shapes.ckpt", r"shape \(7,\), expected"),
    ):
        with pytest.raises(InputError, match=said):
            load_detector(d, tmp_path / name)
    assert "this must not run" not in capsys.readouterr().out


def test_a_metric_named_like_a_built_in_is_refused() -> None:
    made = detector()
    with pytest.raises(InputError, match="the metric 'auroc' is one of aigenbench's own"):
        made.add_metric("auroc", lambda labels, scores: 0.123)
    made.add_metric("my_auroc", lambda labels, scores: 0.123)
