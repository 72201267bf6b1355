"""What a window costs is counted as it is defined, changes nothing, and survives kills."""

from __future__ import annotations

import copy
import json
import signal
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import timm
import torch
from test_training_features import CACHED, FIXED
from torch import nn
from training_harness import Events, arguments, outcome, run, run_together

from aigenbench.evaluation.report.compute import cost_of
from aigenbench.models.probe import Classifier
from aigenbench.training.lightning.counting import MOST_SIZES, BatchCounter
from aigenbench.training.lightning.operations import Operations, added
from aigenbench.training.processes import energy
from aigenbench.training.processes.energy import Energy
from aigenbench.training.window.budget import together

TIMES = ("device_seconds", "joules")


def untimed(budget: dict[str, Any]) -> dict[str, Any]:
    return {
        kind: {name: n for name, n in count.items() if name not in TIMES} if isinstance(count, dict) else count
        for kind, count in budget.items()
    }


# what an operation costs


def counted(make: Any, *shape: int, backward: bool = True) -> int:
    torch.manual_seed(0)
    module, images = make(), torch.randn(*shape)
    with Operations() as operations:
        result = module(images)
        if backward:
            result.sum().backward()
    return operations.flops


def test_a_linear_layer_by_hand() -> None:
    # 2 x 5 images x 7 inputs x 3 outputs forward; the same again for the weights' gradient; none for the input's
    assert counted(lambda: nn.Linear(7, 3), 5, 7) == 2 * (2 * 5 * 7 * 3)
    assert counted(lambda: nn.Linear(7, 3), 5, 7, backward=False) == 2 * 5 * 7 * 3


def test_a_convolution_by_hand() -> None:
    # 4 filters of 3 x 3 over 3 channels at 6 x 6 places
    assert counted(lambda: nn.Conv2d(3, 4, 3), 2, 3, 8, 8, backward=False) == 2 * (2 * 6 * 6 * 4 * 27)
    two = lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 1))  # noqa: E731
    forward = 2 * (2 * 6 * 6 * 4 * 27) + 2 * 2 * 144
    # the head's weights and input; the filters alone, as no gradient reaches the images
    assert counted(two, 2, 3, 8, 8) == forward + 2 * (2 * 2 * 144) + 2 * (2 * 6 * 6 * 4 * 27)


def test_attention_as_one_operation_costs_what_its_parts_do() -> None:
    torch.manual_seed(0)
    module = nn.MultiheadAttention(16, 2, batch_first=True).eval()
    words = torch.randn(3, 5, 16)
    with Operations() as parts:
        module(words, words, words, need_weights=False)
    with torch.inference_mode(), Operations() as whole:
        module(words, words, words, need_weights=False)
    assert parts.flops == whole.flops == 2 * 3 * (4 * 5 * 16 * 16 + 2 * 5 * 5 * 16)


def test_what_has_no_formula_is_told() -> None:
    with Operations() as operations:
        torch.fft.rfft(torch.relu(torch.ones(4, 8)).T.reshape(8, 4))
    assert operations.flops == 0
    assert operations.without == {"_fft_r2c"}


@pytest.mark.parametrize("name", ["test_efficientnet", "test_vit", "test_vit3", "test_resnet"])
@pytest.mark.parametrize("trains", [True, False])
def test_what_is_looked_at_is_the_same_to_the_bit(name: str, trains: bool) -> None:
    torch.manual_seed(0)
    model, images = timm.create_model(name), torch.randn(2, 3, 160, 160)
    found = []
    for look in (nullcontext(), Operations()):
        one = copy.deepcopy(model).train(trains)
        torch.manual_seed(1)
        with look, nullcontext() if trains else torch.inference_mode():
            outputs = one(images)
            if trains:
                outputs.square().mean().backward()
        gradients = [p.grad for p in one.parameters() if p.grad is not None]
        found.append([outputs.detach(), *gradients, *one.buffers()])
        assert trains == bool(gradients)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert look.flops > 1e7  # type: ignore[attr-defined]


# what a batch costs


class Twice(nn.Module):
    """A detector's step that runs a copy of its backbone too, as a teacher."""

    def __init__(self, frozen: bool = False) -> None:
        super().__init__()
        self.model = Classifier(nn.Linear(6, 4), 1, frozen, num_features=4)
        object.__setattr__(self, "teacher", copy.deepcopy(self.model).requires_grad_(False))

    def training_step(self, images: Any) -> Any:
        return (self.model(images) - self.teacher(images)).square().mean()


def batch(n: int, width: int = 6) -> tuple[Any, ...]:
    return (torch.ones(n, width), torch.zeros(n))


def counts_of(detector: Any, *sizes: int, accumulate: int = 1) -> tuple[dict[str, Any], list[bool]]:
    """What a training on batches of these sizes is counted as, and which of them were looked at."""
    counter, looked = BatchCounter(detector), []
    trainer: Any = SimpleNamespace(
        accumulate_grad_batches=accumulate,
        is_global_zero=True,
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
    )
    counter.on_train_start(trainer, detector)
    for i, n in enumerate(sizes):
        counter.on_train_batch_start(trainer, detector, batch(n), i)
        looked.append(torch.utils._python_dispatch._get_current_dispatch_mode() is not None)
        detector.training_step(batch(n)[0]).backward()
        counter.on_train_batch_end(trainer, detector, None, batch(n), i)
    assert torch.utils._python_dispatch._get_current_dispatch_mode() is None
    return untimed(counter.counts())["training"], looked


def test_a_teachers_passes_count_and_frozen_weights_have_none_back() -> None:
    found, looked = counts_of(Twice(), 4, 4, 2, 4, accumulate=2)
    assert looked == [True, False, True, False]
    # both through 6 x 4 and 4 x 1; back through the trained one: its head's weights and input, its backbone's weights
    of_image = 2 * 2 * (24 + 4) + 2 * (4 + 4 + 24)
    assert found == {
        "images": 14,
        "optimizer_steps": 2,
        "forward_passes": 28,
        "backward_passes": 14,
        "flops": 14 * of_image,
    }
    found, _ = counts_of(Twice(frozen=True), 4)
    assert (found["forward_passes"], found["backward_passes"]) == (8, 0)
    assert found["flops"] == 4 * (2 * 2 * (24 + 4) + 2 * 4)


def test_of_many_sizes_the_later_count_by_their_pixels() -> None:
    sizes = range(1, MOST_SIZES + 4)
    found, looked = counts_of(Twice(), *sizes)
    assert looked == [True] * MOST_SIZES + [False] * 3
    assert (found["images"], found["forward_passes"]) == (sum(sizes), 2 * sum(sizes))


def test_what_is_compiled_is_left_as_it_is() -> None:
    detector = Twice()
    detector.model.backbone._compiled_call_impl = detector.model.backbone._call_impl
    found, looked = counts_of(detector, 4)
    assert (found, looked) == ({"images": 4, "optimizer_steps": 1}, [False]), "absent, not 0"


def test_what_one_part_cannot_tell_is_not_told_of_the_sum() -> None:
    assert added({"images": 1, "joules": 2.0}, {"images": 3}) == {"images": 4}
    assert added({}, {"images": 3}) == {"images": 3}
    a, b = {"training": {"flops": 1}, "without_flops": ["mean"]}, {"training": {"flops": 2}, "without_flops": ["fft"]}
    assert together(a, b) == {"training": {"flops": 3}, "without_flops": ["fft", "mean"]}


def test_energy_of_the_packages_over_the_end_of_their_counter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    cpu = torch.device("cpu")
    assert Energy(cpu).joules() is None, "absent, not 0"
    place = tmp_path / "intel-rapl:0"
    (place / "intel-rapl:0:0").mkdir(parents=True)
    (place / "max_energy_range_uj").write_text("10000000\n")
    (place / "energy_uj").write_text("7000000\n")
    meter = Energy(cpu)
    (place / "energy_uj").write_text("9000000\n")
    assert meter.joules() == 2
    (place / "energy_uj").write_text("1000000\n")
    assert meter.joules() == 4
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert Energy(cpu).joules() == 0, "the first process counts them"


def test_energy_of_a_gpu_needs_its_own_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = iter([5000, 5000, 12000])
    nvml = SimpleNamespace(
        NVMLError=ValueError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: {"GPU-abc": lambda: next(taken)}[handle](),
    )
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="abc"))
    gpu = torch.device("cuda", 0)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert Energy(gpu).joules() is None
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    assert Energy(gpu).joules() == 7


# what a run costs


@pytest.fixture(scope="module")
def three(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three generators, a window each; four fakes of each, and as many reals."""
    return made.default(tmp_path_factory.mktemp("data") / "three", generators=3, fakes_each=4)


def budgets(folder: Path, experiment: str = "x") -> list[dict[str, Any]]:
    places = sorted((folder / "experiments_data" / f"experiment_{experiment}").glob("window_*/run.json"))
    return [json.loads(path.read_text())["budget"] for path in places]


def trained(folder: Path, argv: list[str], *kills: int) -> list[dict[str, Any]]:
    for kill_at in kills:
        assert run(folder, argv, Events(kill_at=kill_at))[0] == -signal.SIGKILL
    assert run(folder, argv)[0] == 0, (folder / "log.txt").read_text()[-3000:]
    return [untimed(budget) for budget in budgets(folder)]


# of the harness's network: 4 filters of 3 x 3 x 3 at 11 x 11 places, 16 numbers to 1
FORWARD = 2 * (11 * 11 * 4 * 27 + 16)


@pytest.mark.slow
def test_a_run_counts_what_it_does(three: Path, tmp_path: Path) -> None:
    found = trained(tmp_path, arguments(three, tmp_path, "--trainer.max_epochs=2"))
    for k, budget in enumerate(found):
        # 8 images a window so far, 2 copies, batches of 4 x 2, 2 epochs
        steps = 2 * (8 * (k + 1) * 2 // 8)
        samples = 8 * steps
        assert budget["training"] == {
            "images": samples,
            "optimizer_steps": steps,
            "forward_passes": samples,
            "backward_passes": samples,
            # no gradient of the images
            "flops": samples * (2 * FORWARD + 2 * 16),
        }
        evaluated = budget["evaluation"]["images"]
        assert budget["evaluation"] == {
            "images": evaluated,
            "forward_passes": evaluated,
            "backward_passes": 0,
            "flops": evaluated * FORWARD,
        }
        assert {"_native_batch_norm_legit", "native_batch_norm_backward", "mean"} < set(budget["without_flops"])
    timed = budgets(tmp_path)[0]
    assert 0 < timed["training"]["device_seconds"] < 60
    assert timed["evaluation"]["device_seconds"] > 0


@pytest.mark.slow
def test_a_killed_run_has_cost_what_an_undisturbed_one_has(three: Path, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("undisturbed", "killed")]
    argv = [arguments(three, folder, "--trainer.max_epochs=2") for folder in folders]
    assert trained(folders[1], argv[1], 50, 90, 70) == trained(folders[0], argv[0])
    assert outcome(folders[1]) == outcome(folders[0])


@pytest.mark.slow
def test_two_processes_cost_what_one_does(three: Path, tmp_path: Path) -> None:
    expected = trained(tmp_path / "one", arguments(three, tmp_path / "one", "--data.train_batch_size=8"))
    argv = arguments(three, tmp_path / "two")
    assert [code for code, _ in run_together(tmp_path / "two", argv)] == [0, 0]
    assert [untimed(budget) for budget in budgets(tmp_path / "two")] == expected


def probe(three: Path, folder: Path, *more: str) -> list[str]:
    argv = arguments(three, folder, "--model.model_name=fixed_probe", CACHED, *more)
    (folder / "fixed.py").write_text(FIXED)
    return [*argv, f"--import={folder / 'fixed.py'}"]


@pytest.mark.slow
def test_stored_features_count_for_whoever_uses_them(three: Path, tmp_path: Path) -> None:
    heads = "--experiment_info.heads=[{lr: 0.01}]"
    found = trained(tmp_path, probe(three, tmp_path, heads, "--data.orientation=per_copy"), 30, 60)
    for k, budget in enumerate(found):
        # what a window brings: 8 images, 2 copies
        assert budget["embedding"] == {
            "images": 16,
            "forward_passes": 16,
            "backward_passes": 0,
            "flops": 16 * 2 * 11 * 11 * 12 * 27,
        }
        assert ("evaluation_embedding" in budget) == (k == 0)
        assert budget["training"]["forward_passes"] == 0, "features, not images"
        # the head alone
        assert budget["training"]["flops"] == budget["training"]["images"] * 2 * 2 * 12
    assert [untimed(budget) for budget in budgets(tmp_path, "x_lr_0.01")] == found
    argv = probe(three, tmp_path, "--data.orientation=per_copy", "--experiment_info.experiment_id=again")
    assert run(tmp_path, argv)[0] == 0
    assert "embedding 0 of" not in (tmp_path / "log.txt").read_text()
    assert [untimed(budget) for budget in budgets(tmp_path, "again")] == found
    assert all(budget["embedding"]["device_seconds"] > 0 for budget in budgets(tmp_path, "again"))


@pytest.mark.slow
def test_an_evaluation_after_the_training_is_told_apart(three: Path, tmp_path: Path) -> None:
    found = trained(tmp_path, arguments(three, tmp_path, "--trainer.check_val_every_n_epoch=2"))
    assert all("evaluation" not in budget for budget in found)
    assert all(budget["last_evaluation"]["flops"] == budget["last_evaluation"]["images"] * FORWARD for budget in found)


@pytest.mark.slow
def test_each_backbone_counts_once_whichever_parts_were_stored(three: Path, tmp_path: Path) -> None:
    def argv(name: str, *more: str) -> list[str]:
        model = ["--model.model_name=timm/test_vit_probe", "--model.model_args.pretrained=false"]
        tiny = ["--model.model_input_size=160", "--data.augmentation_factor=1", "--data.orientation=per_copy"]
        return arguments(three, tmp_path, *model, *tiny, CACHED, f"--experiment_info.experiment_id={name}", *more)

    def found(name: str, *more: str) -> dict[str, Any]:
        assert run(tmp_path, argv(name, *more))[0] == 0, (tmp_path / "log.txt").read_text()[-3000:]
        return untimed(budgets(tmp_path, name)[1])["embedding"]

    def flops(name: str) -> int:
        with torch.no_grad(), Operations() as operations:
            timm.create_model(name, num_classes=0)(torch.zeros(1, 3, 160, 160))
        return operations.flops

    layers = "--model.features={layers: [1, -1]}"
    further = "--model.backbones=[{timm/test_resnet: {model_args: {pretrained: false}}}]"
    vit = {"images": 8, "forward_passes": 8, "backward_passes": 0, "flops": 8 * flops("test_vit")}
    assert found("alone") == vit
    # another part of the same backbone, which runs again for it
    assert found("layers", layers) == vit
    both = {**vit, "forward_passes": 16, "flops": 8 * (flops("test_vit") + flops("test_resnet"))}
    assert found("both", further) == both


@pytest.mark.slow
def test_teachers_and_weights_compared_on_past_count_as_learning(three: Path, tmp_path: Path) -> None:
    taught = trained(
        tmp_path / "taught", arguments(three, tmp_path / "taught", "--experiment_info.strategy={distillation: {}}")
    )
    passes = [budget["training"]["forward_passes"] / budget["training"]["images"] for budget in taught]
    assert passes == [1, 2, 2], "window 0 has no teacher"
    assert all(budget["training"]["backward_passes"] == budget["training"]["images"] for budget in taught)
    folder, fitted = tmp_path / "fitted", "{interpolate: {alpha: fitted, grid: 3}}"
    found = trained(folder, arguments(three, folder, f"--experiment_info.strategy={fitted}"), 70)
    assert "fitting" not in found[0]
    for budget in found[1:]:
        images = budget["fitting"]["images"]
        assert budget["fitting"] == {
            "images": images,
            "forward_passes": images,
            "backward_passes": 0,
            "flops": images * FORWARD,
        }
        assert images == 3 * budget["evaluation"]["images"], "each alpha of the grid, over all evaluation images"
    assert cost_of([{"budget": found[1]}])["flops"] == sum(found[1][kind]["flops"] for kind in ("training", "fitting"))
