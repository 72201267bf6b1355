"""Every shipped config trains and scores two windows, from weights in the source's own file format."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from aigenbench.config.packaged import packaged_configs
from aigenbench.evaluation.predictions.record import load_predictions
from aigenbench.models import build_model

# an archive of TorchScript is what OpenAI ships
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
CONFIGS = [name for name in packaged_configs() if name.startswith(("RN50_clip/", "ViTL14_openclip/", "dinov2/"))]


class Archive(nn.Module):
    """Tensors under dotted names, as a program that a TorchScript archive can hold."""

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            place: nn.Module = self
            *parents, last = name.split(".")
            for parent in parents:
                if not hasattr(place, parent):
                    place.add_module(parent, nn.Module())
                place = getattr(place, parent)
            place.register_buffer(last, tensor)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Random weights of each config's backbone, in the file its source ships."""
    import open_clip

    folder = tmp_path_factory.mktemp("weights")
    files = {
        "RN50_clip": folder / "RN50.pt",
        "ViTL14_openclip": folder / "open_clip_pytorch_model.bin",
        "dinov2": folder / "dinov2_vitl14_pretrain.pth",
    }
    clip = {f"visual.{k}": v for k, v in open_clip.create_model("RN50-quickgelu").visual.state_dict().items()}
    text = {"positional_embedding": torch.zeros(77, 8), "logit_scale": torch.tensor(4.6)}
    archive = {k: v.half() if v.is_floating_point() else v for k, v in {**clip, **text}.items()}
    torch.jit.save(torch.jit.trace(Archive(archive), torch.zeros(1)), files["RN50_clip"])
    torch.save(open_clip.create_model("ViT-L-14").state_dict(), files["ViTL14_openclip"])
    dinov2 = build_model("dinov2_vitl14_tune", 1, pretrained=False)
    torch.save(dinov2.backbone.state_dict(), files["dinov2"])  # type: ignore[union-attr, operator]
    del clip, archive, dinov2
    gc.collect()
    return files


@pytest.mark.campaign
@pytest.mark.parametrize("config", CONFIGS)
def test_two_windows(made, tmp_path: Path, weights: dict[str, Path], config: str) -> None:
    dataset = made.default(tmp_path / "data", generators=8, fakes_each=2)
    model_args = json.dumps({"weights": str(weights[config.split("/")[0]]), "trusted": True})
    argv = [
        "--config=benchmark_pipelines/base_benchmark_sliding_windows.yaml",
        f"--config={config}",
        f"--dataset_path={dataset}",
        f"--model.model_args={model_args}",
        "--data.train_batch_size=4",
        "--data.eval_batch_size=4",
        "--data.num_workers=0",
        "--data.augmentation_factor=1",
        "--trainer.accumulate_grad_batches=2",
        "--experiment_info.experiment_id=x",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "aigenbench", "fit", *argv],
        cwd=tmp_path,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    experiment = tmp_path / "experiments_data" / "experiment_x"
    several = config.endswith("_crop.yaml")
    for k in range(2):
        predictions = load_predictions(experiment / f"window_{k}" / "predictions_validate_all.npz")
        assert len(predictions) == 32
        # the mandatory steps enlarge a quarter of these small images, which then give five crops each
        assert (32 < len(predictions.crop_scores) <= 160) if several else len(predictions.crop_scores) == 32
        record = torch.load(experiment / f"window_{k}" / "final.ckpt", weights_only=True)
        if "_probe_" in config:
            assert set(record["state_dict"]) == {"model.head.weight", "model.head.bias"}
            assert len(record["backbone"]["sha256"]) == 64
    assert "Next-period AUROC, mean over 1 window" in done.stdout


def test_there_are_twelve() -> None:
    assert len(CONFIGS) == 12
