"""Which weights a window starts and ends with, and learning from the window before: plain definitions, runs, kills."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch import nn
from training_harness import Events, SignalledAt, arguments, outcome, run, run_together

import aigenbench as ab
from aigenbench.engine.exporting import export
from aigenbench.errors import InputError
from aigenbench.inference.detector import Detector
from aigenbench.models.finetune import LowRank, Residual
from aigenbench.training import BaseDeepfakeDetectionModel
from aigenbench.training.detector.teacher import Teacher
from aigenbench.training.detector.terms import Earlier, Rows
from aigenbench.training.strategies.distillation import FeatureDistillation, LogitDistillation
from aigenbench.training.strategies.ema import MeanOfSteps
from aigenbench.training.strategies.merging import best, mixed
from aigenbench.training.strategies.registry import Strategies
from aigenbench.training.strategies.weights import FinishContext, Interpolate, Soup

DRAWN = "--model.model_args.pretrained=false"
TINY = (DRAWN, "--model.model_input_size=160", "--data.augmentation_factor=1")
LORA = ("--model.model_name=timm/test_vit_tune", "--model.finetune={lora: {rank: 2}}", *TINY)
KINDS = {
    "reset": "{start: {weights: reset}}",
    "interpolate": "{interpolate: {alpha: 0.3}}",
    "fitted": "{interpolate: {alpha: fitted, grid: 3}}",
    "ema": "{ema: {decay: 0.5}}",
    "soup": "{soup: {}}",
    "greedy": "{soup: {selection: greedy}}",
    "distillation": "{distillation: {weight: 0.5}}",
}


class Network(nn.Module):
    """A layer, BatchNorm with its counter, and one change of each low-rank kind."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        made = torch.Generator().manual_seed(seed)
        fixed = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
        self.norm, self.lora, self.svd = nn.BatchNorm1d(3), LowRank(fixed, 2, 4.0), Residual(fixed, 2)
        for tensor in self.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.randn(tensor.shape, generator=made))
        assert self.norm.num_batches_tracked is not None
        self.norm.num_batches_tracked.fill_(seed)


def states(*seeds: int) -> list[dict[str, torch.Tensor]]:
    return [Network(seed).state_dict() for seed in seeds]


def nearest_of_rank(matrix: np.ndarray, rank: int) -> np.ndarray:
    left, values, right = np.linalg.svd(matrix)
    return sum(values[i] * np.outer(left[:, i], right[i]) for i in range(rank))


def test_a_mean_is_of_tensors_and_of_products() -> None:
    shares = (0.2, 0.3, 0.5)
    given = states(1, 2, 3)
    made = mixed(given, shares, Network(0))
    for name in ("norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"):
        expected = sum(s * one[name].numpy().astype(float) for s, one in zip(shares, given, strict=True))
        np.testing.assert_allclose(made[name].numpy(), expected, rtol=1e-6)
    assert made["norm.num_batches_tracked"] == 3, "the newest's"
    products: dict[str, Callable[[Mapping[str, torch.Tensor]], torch.Tensor]] = {
        "lora": lambda one: one["lora.up"].double() @ one["lora.down"].double(),
        "svd": lambda one: (one["svd.left"] * one["svd.values"]).double() @ one["svd.right"].double(),
    }
    for product in products.values():
        whole = sum(s * product(one).numpy() for s, one in zip(shares, given, strict=True))
        np.testing.assert_allclose(product(made).numpy(), nearest_of_rank(whole, 2), atol=1e-5)
    factors = sum(s * one["lora.up"] for s, one in zip(shares, given, strict=True))
    assert not torch.allclose(made["lora.up"], factors), "no mean of factors"


@pytest.mark.parametrize("end", [0, 1])
def test_the_ends_are_the_given_weights_bit_for_bit(end: int) -> None:
    given = states(1, 2)
    made = mixed(given, (1 - end, end), Network(0))
    assert all(torch.equal(made[name], tensor) for name, tensor in given[end].items())
    assert made["norm.weight"].data_ptr() != given[end]["norm.weight"].data_ptr(), "a copy"


def test_a_merge_of_equal_changes_is_that_change() -> None:
    (one,) = states(1)
    made = mixed((one, one), (0.5, 0.5), Network(0))
    torch.testing.assert_close(made["lora.up"] @ made["lora.down"], one["lora.up"] @ one["lora.down"])


def test_windows_of_other_shapes_are_not_merged() -> None:
    one, other = states(1, 2)
    with pytest.raises(InputError, match=r"strategy: norm\.bias is not of the same shape in every window"):
        mixed((one, {**other, "norm.bias": torch.zeros(4)}), (0.5, 0.5), Network(0))


class FakeTrainer:
    accumulate_grad_batches = 2


class Module(pl.LightningModule):
    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.layer, self.norm = nn.Linear(3, 2, dtype=dtype), nn.BatchNorm1d(2)


@pytest.mark.parametrize("decay", [0.0, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_mean_of_steps(decay: float, dtype: torch.dtype) -> None:
    trainer: Any = FakeTrainer()
    module, mean = Module(dtype), MeanOfSteps(decay)
    mean.on_train_start(trainer, module)
    expected = module.layer.weight.detach().double()
    for batch in range(12):
        if batch % 2:
            with torch.no_grad():
                module.layer.weight += torch.randn(2, 3, generator=torch.Generator().manual_seed(batch))
                module.norm.num_batches_tracked += 1  # type: ignore[operator]
            expected = decay * expected + (1 - decay) * module.layer.weight.detach().double()
        mean.on_train_batch_end(trainer, module, None, None, batch)
        if batch == 5:
            # as a resumed training has it
            state = {"mean": {name: tensor.clone() for name, tensor in mean.state_dict()["mean"].items()}}
            mean = MeanOfSteps(decay)
            mean.load_state_dict(state)
            mean.on_train_start(trainer, module)
    made = mean.weights(module.state_dict())
    assert made["layer.weight"].dtype == dtype
    torch.testing.assert_close(made["layer.weight"], expected.to(dtype))
    assert made["norm.num_batches_tracked"] == 6, "the newest's"
    if not decay:
        assert torch.equal(made["layer.weight"], module.layer.weight), "of decay 0, the last"


def context(window: int, past: Callable[[Any], float | None], said: Any = None) -> FinishContext:
    one, two = states(1, 2)
    return FinishContext(window, two, lambda: one, lambda: said or {}, Network(0), past)


def test_a_fitted_alpha_has_the_highest_past_score_and_is_the_larger_of_equals() -> None:
    one, two = (state["norm.weight"][0].item() for state in states(1, 2))

    def past(weights: Any) -> float:
        alpha = (weights["norm.weight"][0].item() - one) / (two - one)
        return 0.9 if 0.2 < alpha < 0.8 else 0.6

    made = Interpolate("fitted", grid=5).finish(context(1, past))
    assert made.told["alpha"] == 0.75
    assert made.told["past_auroc"] == {"0": 0.6, "0.25": 0.9, "0.5": 0.9, "0.75": 0.9, "1": 0.6}
    assert torch.equal(made.weights["norm.weight"], mixed(states(1, 2), (0.25, 0.75), Network(0))["norm.weight"])
    assert not made.goes_on
    assert best({0.0: None, 1.0: None}) == 1, "where Past is undefined, the trained ones"


def test_a_soup_of_windows() -> None:
    def never(_: Any) -> float:
        raise AssertionError("a uniform soup asks for no score")

    first = context(0, never)
    alone = Soup().finish(first)
    assert alone.weights is first.trained, "of one window"
    made = Soup().finish(context(3, never, {"windows": [0, 1, 2]}))
    one, two = states(1, 2)
    torch.testing.assert_close(made.weights["norm.weight"], 0.75 * one["norm.weight"] + 0.25 * two["norm.weight"])
    assert made.goes_on
    assert made.told == {"windows": [0, 1, 2, 3]}


@pytest.mark.parametrize("helps", [False, True])
def test_a_greedy_soup_takes_in_what_does_not_lower_past(helps: bool) -> None:
    one, _ = states(1, 2)
    made = Soup("greedy").finish(
        context(
            2, lambda w: 0.7 if helps or torch.equal(w["norm.weight"], one["norm.weight"]) else 0.6, {"windows": [1]}
        )
    )
    assert made.told["windows"] == ([1, 2] if helps else [1])
    assert torch.equal(made.weights["norm.weight"], one["norm.weight"]) is not helps


def rows(outputs: torch.Tensor, earlier: torch.Tensor, seen: tuple[int, ...] = ()) -> Rows:
    n = len(outputs)
    features = torch.arange(n * 3.0).reshape(n, 3)
    return Rows(outputs, features, torch.zeros(n), torch.zeros(n), (), Earlier(earlier, features + 2, seen))


def test_distillation_of_one_logit() -> None:
    z, teacher = torch.tensor([[0.5], [-2.0], [3.0]]), torch.tensor([[1.5], [-1.0], [3.0]])
    p, q = (1 / (1 + np.exp(-x.numpy()[:, 0].astype(float) / 2)) for x in (teacher, z))
    expected = 4 * np.mean(p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)))
    term = LogitDistillation(3, 1.0, 2.0)
    assert term(rows(z, teacher)).item() == pytest.approx(expected, rel=1e-5)
    assert term(rows(z, z)).item() == pytest.approx(0, abs=1e-7)


def test_distillation_of_classes_is_over_those_that_the_earlier_window_knew() -> None:
    made = torch.Generator().manual_seed(1)
    outputs, teacher = torch.randn(4, 5, generator=made).requires_grad_(), torch.randn(4, 5, generator=made)
    seen = [0, 1, 3]
    p, q = (np.exp(x.detach().numpy().astype(float)[:, seen] / 3) for x in (teacher, outputs))
    p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
    value = LogitDistillation(3, 1.0, 3.0)(rows(outputs, teacher, tuple(seen)))
    assert value.item() == pytest.approx(9 * np.mean((p * np.log(p / q)).sum(axis=1)), rel=1e-5)
    value.backward()
    assert outputs.grad is not None
    assert not outputs.grad[:, [2, 4]].any(), "of classes to come"


def test_distillation_of_features() -> None:
    assert FeatureDistillation(3, 1.0)(rows(torch.zeros(4, 1), torch.zeros(4, 1))).item() == 4


@pytest.mark.parametrize("finetune", ["all", {"lora": {"rank": 2}}])
def test_a_teacher_is_the_detector_as_it_was(finetune: Any) -> None:
    torch.manual_seed(0)
    given = {"model_input_size": 160, "model_args": {"pretrained": False}, "finetune": finetune}
    detector = BaseDeepfakeDetectionModel("timm/test_vit_tune", **given)
    if finetune != "all":
        # or its change is none
        [nn.init.normal_(one) for name, one in detector.named_parameters() if name.endswith(".up")]
    images = torch.randint(0, 255, (3, 3, 160, 160), dtype=torch.uint8)
    with torch.no_grad():
        outputs, features = detector.eval().model(detector.normalise(images), with_features=True)
    teacher = Teacher({name: tensor.clone() for name, tensor in detector.state_dict().items()}, (0, 1))
    detector.train()
    detector.model.head.eval()
    with torch.no_grad():
        [one.add_(0.1) for one in detector.parameters()]
    now = {name: tensor.clone() for name, tensor in detector.state_dict().items()}
    said, alone = teacher(detector, images, True), teacher(detector, images, False)
    assert torch.equal(said.outputs, outputs)
    assert torch.equal(alone.outputs, outputs)
    assert said.features is not None
    assert torch.equal(said.features, features)
    assert alone.features is None
    assert not said.outputs.requires_grad
    assert same(now, detector.state_dict()), "the detector keeps its own weights"
    assert detector.training
    assert not detector.model.head.training, "and its modes"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"interpolate": {"alpha": 1.5}}, "interpolate alpha must be a number from 0 to 1 or fitted, found 1.5"),
        (
            {"interpolate": {"alpha": "fited"}},
            "must be a number from 0 to 1 or fitted, found 'fited'",
        ),
        ({"interpolate": {"alpha": True}}, "alpha must be a number"),
        ({"interpolate": {"alpha": 0.5, "grid": 3}}, "grid is of alpha: fitted"),
        ({"interpolate": {"alpha": "fitted", "grid": 1}}, "grid must be a whole number from 2 on, found 1"),
        ({"ema": {"decay": 1}}, "ema decay must be below 1"),
        ({"ema": {"decay": -0.1}}, "ema decay must be a number from 0 to 1, found -0.1"),
        ({"ema": {"decy": 0.1}}, "ema takes decay; unknown 'decy'; did you mean 'decay'"),
        (
            {"soup": {"selection": "gredy"}},
            "expected uniform or greedy, found 'gredy'; did you mean 'greedy'",
        ),
        (
            {"start": {"weights": "rest"}},
            "expected carried or reset, found 'rest'; did you mean 'reset'",
        ),
        ({"distillation": {"weight": 0}}, "distillation weight must be a number above 0, found 0"),
        ({"distillation": {"of": "logit"}}, "distillation of: expected logits or features"),
        ({"distillation": {"of": "features", "temperature": 3}}, "temperature is for of: logits"),
        ({"ema": {}, "soup": {}}, "ema and soup both say the weights that a window ends with"),
    ],
)
def test_what_cannot_be_is_refused_by_name(given: Any, told: str) -> None:
    with pytest.raises(InputError, match=rf"experiment_info\.strategy: .*{told}"):
        Strategies.of(given)


@pytest.fixture(scope="module")
def three(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three generators, a window each."""
    return made.default(tmp_path_factory.mktemp("data") / "three", generators=3, fakes_each=4)


def argv_of(three: Path, folder: Path, strategy: str, *more: str) -> list[str]:
    return arguments(three, folder, f"--experiment_info.strategy={strategy}", *more)


def fitted(folder: Path, argv: list[str]) -> Path:
    assert run(folder, argv)[0] == 0, (folder / "log.txt").read_text()[-3000:]
    return folder / "experiments_data" / "experiment_x"


def record(experiment: Path, window: int) -> dict[str, Any]:
    return torch.load(experiment / f"window_{window}" / "final.ckpt", weights_only=True)


def told(experiment: Path, window: int) -> dict[str, Any]:
    return json.loads((experiment / f"window_{window}" / "run.json").read_text()).get("merged", {})


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_run_ends_as_an_undisturbed_one(kind: str, three: Path, tmp_path: Path) -> None:
    whole, folder = tmp_path / "undisturbed", tmp_path / "killed"
    code, events = run(whole, argv_of(three, whole, KINDS[kind]))
    assert code == 0, (whole / "log.txt").read_text()[-3000:]
    rng = np.random.default_rng(0)
    for _ in range(4):
        code, _ = run(folder, argv_of(three, folder, KINDS[kind]), Events(kill_at=int(rng.integers(20, events // 3))))
        assert code == -signal.SIGKILL
    fitted(folder, argv_of(three, folder, KINDS[kind]))
    assert outcome(folder) == outcome(whole)
    experiments = [one / "experiments_data" / "experiment_x" for one in (whole, folder)]
    assert told(experiments[0], 2) == told(experiments[1], 2)


@pytest.mark.slow
def test_a_window_whose_weights_are_missing_at_a_merge_is_trained_again(three: Path, tmp_path: Path) -> None:
    whole, folder = tmp_path / "undisturbed", tmp_path / "damaged"
    fitted(whole, argv_of(three, whole, KINDS["interpolate"]))
    argv = argv_of(three, folder, KINDS["interpolate"])
    assert run(folder, argv, SignalledAt("training", 1, 5, signal.SIGKILL))[0] == -signal.SIGKILL
    (folder / "experiments_data" / "experiment_x" / "window_0" / "final.ckpt").unlink()
    fitted(folder, argv)
    assert "final.ckpt is missing; moved to" in (folder / "log.txt").read_text()
    assert outcome(folder) == outcome(whole)


NOTES_STARTS = """
import lightning.pytorch as pl
import torch


class NotesStarts(pl.Callback):
    def on_train_start(self, trainer, module):
        torch.save(module.state_dict(), f"start_{module.stage.window}.pt")
"""


def noted(three: Path, folder: Path, strategy: str, *more: str) -> tuple[Path, list[dict[str, torch.Tensor]]]:
    """A finished run, and what each window started with."""
    folder.mkdir()
    (folder / "notes.py").write_text(NOTES_STARTS)
    callback = (f"--import={folder / 'notes.py'}", "--trainer.callbacks={class_path: notes.NotesStarts}")
    experiment = fitted(folder, argv_of(three, folder, strategy, *callback, *more))
    return experiment, [torch.load(folder / f"start_{k}.pt", weights_only=True) for k in range(3)]


def same(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.fixture(scope="module")
def carried(three: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("carried")
    fitted(folder, arguments(three, folder))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("ends", ["{interpolate: {alpha: 1}}", "{ema: {decay: 0}}", "{start: {weights: carried}}"])
def test_ends_that_change_nothing(ends: str, carried: Path, three: Path, tmp_path: Path) -> None:
    fitted(tmp_path, argv_of(three, tmp_path, ends))
    assert outcome(tmp_path) == outcome(carried)


@pytest.mark.slow
def test_an_alpha_of_0_keeps_the_first_window(carried: Path, three: Path, tmp_path: Path) -> None:
    experiment = fitted(tmp_path, argv_of(three, tmp_path, "{interpolate: {alpha: 0}}"))
    first = record(carried / "experiments_data" / "experiment_x", 0)["state_dict"]
    assert all(same(first, record(experiment, window)["state_dict"]) for window in range(3))


@pytest.mark.slow
def test_a_reset_window_starts_as_the_first_did(carried: Path, three: Path, tmp_path: Path) -> None:
    experiment, starts = noted(three, tmp_path / "drawn", KINDS["reset"])
    assert same(starts[0], starts[1])
    assert same(starts[0], starts[2])
    own = carried / "experiments_data" / "experiment_x"
    assert same(record(own, 0)["state_dict"], record(experiment, 0)["state_dict"])
    assert not same(record(own, 1)["state_dict"], record(experiment, 1)["state_dict"])
    base = own / "window_2" / "final.ckpt"
    _, starts = noted(three, tmp_path / "given", KINDS["reset"], f"--model.base_weights={base}")
    assert all(same(record(own, 2)["state_dict"], start) for start in starts)


@pytest.mark.slow
def test_what_windows_end_with_and_go_on_from(three: Path, tmp_path: Path) -> None:
    for kind in ("interpolate", "ema"):
        experiment, starts = noted(three, tmp_path / kind, KINDS[kind])
        for window in (0, 1):
            assert same(record(experiment, window)["state_dict"], starts[window + 1])
            assert "goes_on" not in record(experiment, window)
    assert told(experiment.parents[2] / "interpolate/experiments_data/experiment_x", 1) == {
        "interpolate": {"alpha": 0.3}
    }
    experiment, starts = noted(three, tmp_path / "soup", KINDS["soup"])
    finals = [record(experiment, window) for window in range(3)]
    assert "goes_on" not in finals[0]
    assert same(finals[0]["state_dict"], starts[1])
    assert same(finals[1]["goes_on"], starts[2])
    trained = [finals[0]["state_dict"], finals[1]["goes_on"], finals[2]["goes_on"]]
    for name, tensor in finals[2]["state_dict"].items():
        if tensor.is_floating_point():
            mean = torch.stack([one[name].double() for one in trained]).mean(dim=0)
            torch.testing.assert_close(tensor.double(), mean, rtol=1e-5, atol=1e-7)
        else:
            assert torch.equal(tensor, trained[-1][name])
    assert told(experiment, 2) == {"soup": {"windows": [0, 1, 2]}}


@pytest.mark.slow
def test_merged_weights_are_those_that_are_validated_and_exported(three: Path, tmp_path: Path) -> None:
    argv = argv_of(three, tmp_path, KINDS["soup"], *LORA)
    experiment = fitted(tmp_path, argv)
    assert "merged changes keep" in (tmp_path / "log.txt").read_text()
    assert run(tmp_path, argv, command="validate")[0] == 0
    assert (tmp_path / "log.txt").read_text().count("reproduced") == 3
    own = ab.Detector.load(experiment, device="cpu", trust_imports=True)
    detector = Detector.load(export(experiment, tmp_path / "detector", trust_imports=True), "cpu")
    pictures = [np.random.default_rng(i).integers(0, 255, (170, 180, 3), np.uint8) for i in range(3)]
    np.testing.assert_allclose(detector.logits(pictures), own.logits(pictures), atol=1e-5)


@pytest.mark.slow
def test_everything_together_on_stored_features_killed(three: Path, tmp_path: Path) -> None:
    weights = "start: {weights: reset}, interpolate: {alpha: fitted, grid: 3}"
    everything = f"{{{weights}, distillation: {{temperature: 3}}, new_window: {{}}}}"
    more = (
        "--model.model_name=timm/test_vit_probe",
        "--data.features=cache",
        "--model.training_task=multiclass",
        *TINY,
    )
    whole, folder = tmp_path / "undisturbed", tmp_path / "killed"
    experiment = fitted(whole, argv_of(three, whole, everything, *more))
    assert 0 <= told(experiment, 2)["interpolate"]["alpha"] <= 1
    for kill_at in (80, 60, 90):
        assert run(folder, argv_of(three, folder, everything, *more), Events(kill_at=kill_at))[0] == -signal.SIGKILL
    fitted(folder, argv_of(three, folder, everything, *more))
    assert outcome(folder) == outcome(whole)


@pytest.mark.slow
def test_distillation_of_features_of_a_tuned_backbone(three: Path, tmp_path: Path) -> None:
    logged = "--trainer.logger={class_path: CSVLogger, init_args: {save_dir: logs}}"
    argv = argv_of(three, tmp_path, "{distillation: {of: features}}", *LORA, logged)
    experiment = fitted(tmp_path, [one for one in argv if one != "--trainer.logger=false"])
    values = [
        [float(line.split(",")[-1]) for line in path.read_text().splitlines() if ",train/distillation," in line]
        for window in range(3)
        for path in [experiment / f"window_{window}" / "metrics.csv"]
    ]
    assert not values[0], "window 0 has nothing to learn from"
    assert values[1][0] == pytest.approx(0, abs=1e-6), "it starts as the window before ended"
    assert max(values[1]) > 1e-6


@pytest.mark.slow
def test_two_processes(three: Path, tmp_path: Path) -> None:
    strategy = "{interpolate: {alpha: fitted, grid: 3}, distillation: {}}"
    argv = argv_of(three, tmp_path, strategy, "--data.train_batch_size=2")
    assert [code for code, _ in run_together(tmp_path, argv)] == [0, 0], (tmp_path / "log.txt").read_text()[-3000:]
    experiment = tmp_path / "experiments_data" / "experiment_x"
    assert told(experiment, 2)["interpolate"]["past_auroc"].keys() == {"0", "0.5", "1"}
    argv = argv_of(three, tmp_path, strategy, "--data.train_batch_size=2")
    assert run(tmp_path, argv, command="validate")[0] == 0
    assert (tmp_path / "log.txt").read_text().count("reproduced") == 3


OWN_STRATEGY = """
from aigenbench.training import Finished, Strategy, Term, register_strategy


class Nearness(Term):
    needs_earlier = True

    def forward(self, rows):
        assert rows.earlier.seen[0] == 0
        return (rows.outputs - rows.earlier.outputs).square().mean()


class Own(Strategy):
    def start(self, context):
        context.reset() if context.window == 1 else context.carry()

    def finish(self, context):
        name = "6.bias"
        return Finished({k: v.fill_(7) if name in k else v for k, v in context.trained.items()}, told={"by": 7})

    def terms(self, context):
        return {"nearness": Nearness(context.num_features)} if context.window else {}


register_strategy("own", Own)
"""


@pytest.mark.slow
def test_a_strategy_of_ones_own(three: Path, tmp_path: Path) -> None:
    (tmp_path / "own_strategy.py").write_text(OWN_STRATEGY)
    experiment, starts = noted(three, tmp_path / "run", "own", f"--import={tmp_path / 'own_strategy.py'}")
    finals = [record(experiment, window)["state_dict"] for window in range(3)]
    assert [final["model.6.bias"].item() for final in finals] == [7, 7, 7]
    assert same(starts[0], starts[1])
    assert same(finals[1], starts[2])
    assert told(experiment, 2) == {"own": {"by": 7}}


OWN_STEP = """
from aigenbench.training import BaseDeepfakeDetectionModel


class OwnStep(BaseDeepfakeDetectionModel):
    def training_step(self, batch, batch_idx):
        return super().training_step(batch, batch_idx)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "more", "what"),
    [
        (
            "{distillation: {of: features}}",
            ["--model.model_name=small_cnn_probe", DRAWN],
            "distillation: it acts on the features",
        ),
        ("{distillation: {of: features}}", [], "distillation: tiny_tune is a module of its own"),
        ("{distillation: {}}", ["--model=own_step.OwnStep"], "OwnStep overrides training_step"),
        ("{ema: {}}", ["--trainer.strategy=fsdp"], "ema needs whole weights, trainer.strategy fsdp"),
        (
            "{start: {weights: reset}}",
            [
                "--model.model_name=small_cnn_probe",
                DRAWN,
                "--data.features=cache",
                "--experiment_info.heads=[{lr: 0.1}]",
            ],
            "start does not reach experiment_info.heads",
        ),
    ],
)
def test_what_a_strategy_does_not_reach_is_refused(
    strategy: str, more: list[str], what: str, three: Path, tmp_path: Path
) -> None:
    (tmp_path / "own_step.py").write_text(OWN_STEP)
    argv = argv_of(three, tmp_path, strategy, f"--import={tmp_path / 'own_step.py'}", *more)
    assert run(tmp_path, argv)[0] == 2
    assert what in (tmp_path / "log.txt").read_text()
    assert not (tmp_path / "experiments_data").exists()
