from __future__ import annotations

import numpy as np
import pytest
import torch

from aigenbench.data.plan import Plan
from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.fusion import Fusion, sigmoid
from aigenbench.protocol.pairing import EvaluationSet
from aigenbench.protocol.timeline import PUBLISHED
from aigenbench.protocol.windows import TrainingSelection, generator_windows
from aigenbench.training.detector.base import BaseDeepfakeDetectionModel
from aigenbench.training.detector.own_metrics import own_metrics
from aigenbench.training.detector.stage import EvaluationOutput
from aigenbench.training.detector.tasks import BinaryTask, MulticlassTask
from aigenbench.training.window.collect import make_predictions

WINDOWS = generator_windows(PUBLISHED, 4)


@pytest.mark.parametrize("window", [0, 8])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_multiclass_as_binary_is_a_softmax_over_the_classes_seen_and_a_sum(window: int, scale: float) -> None:
    outputs = scale * np.random.default_rng(window).standard_normal((1000, 37)).astype(np.float32)
    seen = [0, *sorted(PUBLISHED.ids[name] for names in WINDOWS[: window + 1] for name in names)]
    assert len(seen) == 1 + 4 * (window + 1)
    task = MulticlassTask(37, seen)

    wide = outputs.astype(np.float64)[:, seen]
    exponentials = np.exp(wide - wide.max(axis=1, keepdims=True))
    softmax = exponentials / exponentials.sum(axis=1, keepdims=True)
    fake = softmax[:, 1:].sum(axis=1)

    logits = task.fake_logits(torch.from_numpy(outputs)).numpy()
    assert np.abs(sigmoid(logits) - fake).max() < 1e-6
    probabilities = task.class_probabilities(torch.from_numpy(outputs)).numpy()
    assert np.abs(probabilities[:, seen] - softmax).max() < 1e-6
    assert (np.delete(probabilities, seen, axis=1) == 0).all()


def test_targets() -> None:
    labels, generators = torch.tensor([0, 1, 1]), torch.tensor([0, 3, 2])
    outputs = torch.randn(3, 4, dtype=torch.float64)
    task = MulticlassTask(4, (1, 2, 3))
    expected = -outputs.log_softmax(1)[torch.arange(3), generators]
    assert torch.allclose(task.losses(outputs, labels, generators), expected)
    # where it is judged as binary, the target is the label
    fake = 1 - outputs.softmax(1)[:, 0]
    expected = -torch.where(labels == 1, fake, 1 - fake).log()
    assert torch.allclose(task.evaluation_losses(outputs, labels, generators), expected)
    binary = BinaryTask().losses(outputs[:, :1], labels, generators)
    p = outputs[:, 0].sigmoid()
    assert torch.allclose(binary, -torch.where(labels == 1, p, 1 - p).log())


def test_wrong_shapes_are_told() -> None:
    with pytest.raises(InputError, match=r"shape \(2, 5\) for a binary task"):
        BinaryTask().fake_logits(torch.zeros(2, 5))
    with pytest.raises(InputError, match="for 37 classes"):
        MulticlassTask(37).fake_logits(torch.zeros(2, 5))


class Bare(BaseDeepfakeDetectionModel):
    """A detector without a network."""

    def __init__(self, task: BinaryTask | MulticlassTask) -> None:
        torch.nn.Module.__init__(self)
        self.task = task
        self.registered_metrics, self.evaluation_type, self.fusion = [], "binary", Fusion()


def rows(detector: Bare, crops: int = 5) -> tuple[dict, EvaluationSet]:
    rng = np.random.default_rng(0)
    ids = rng.permutation(40)[:20]
    generators = np.where(np.arange(20) < 10, 0, 3)
    pairing = np.where(generators == 0, 3, -1)
    logits = rng.standard_normal(20 * crops).astype(np.float32) * 4
    per_crop = {
        "logits": logits,
        "labels": np.repeat((generators > 0).astype(np.int64), crops),
        "generator_ids": np.repeat(generators, crops),
        "identifiers": np.repeat(ids, crops),
        "losses": rng.random(20 * crops).astype(np.float32),
    }
    # as gathered from two processes: every other image, then the rest
    order = np.argsort(np.repeat(np.arange(20), crops) % 2, kind="stable")
    gathered = {name: column[order] for name, column in per_crop.items()}
    return gathered, EvaluationSet(ids.astype(np.int64), generators.astype(np.int64), pairing.astype(np.int64))


def plan() -> Plan:
    return Plan(PUBLISHED, WINDOWS, "cumulative", TrainingSelection((), "cumulative"), None, {})  # type: ignore[arg-type]


def test_crops_are_put_in_order_and_fused() -> None:
    detector = Bare(BinaryTask())
    gathered, chosen = rows(detector)
    predictions = make_predictions(detector, gathered, chosen, plan(), 3, "f" * 16)
    assert predictions.fused_identifiers.tolist() == chosen.ids.tolist()
    assert predictions.crop_identifiers.tolist() == np.repeat(chosen.ids, 5).tolist()
    p = 1 / (1 + np.exp(-predictions.crop_logits.astype(np.float64).reshape(20, 5)))
    assert np.allclose(predictions.fused_scores, p.mean(axis=1), atol=1e-7)
    assert np.allclose(predictions.fused_logits, np.log(p.mean(1)) - np.log1p(-p.mean(1)), atol=1e-5)
    assert predictions.fused_scores.dtype == np.float32


def test_an_image_evaluated_twice_or_never_does_not_pass() -> None:
    detector = Bare(BinaryTask())
    gathered, chosen = rows(detector, crops=1)
    missing = {name: column[1:] for name, column in gathered.items()}
    with pytest.raises(InputError, match="0 rows are of other images, 1 images have none"):
        make_predictions(detector, missing, chosen, plan(), 3, "f" * 16)
    gathered["identifiers"][0] = 999
    with pytest.raises(InputError, match="1 rows are of other images, 1 images have none"):
        make_predictions(detector, gathered, chosen, plan(), 3, "f" * 16)


def test_fusion_of_ones_own() -> None:
    class Highest(Bare):
        def scores_fusion(self, crop_scores: torch.Tensor) -> torch.Tensor:
            return crop_scores.max()

    detector = Highest(BinaryTask())
    gathered, chosen = rows(detector)
    predictions = make_predictions(detector, gathered, chosen, plan(), 3, "f" * 16)
    assert np.allclose(predictions.fused_scores, predictions.crop_scores.reshape(20, 5).max(axis=1), atol=1e-7)


def test_metrics_of_ones_own_are_fed_gathered_arrays() -> None:
    import torchmetrics

    class Setup:
        detector = Bare(BinaryTask())

    setup = Setup()
    setup.detector.classification_threshold = 0.5
    setup.detector.extra_metrics = {
        "torch": torchmetrics.AUROC(task="binary"),
        "own": lambda labels, scores: float(scores[labels == 1].mean()),
    }
    gathered, chosen = rows(setup.detector, crops=1)
    predictions = make_predictions(setup.detector, gathered, chosen, plan(), 8, "f" * 16)
    values = own_metrics(setup.detector, predictions, 8, "validate")
    fakes = predictions.fused_labels == 1
    assert values["validate/all/own"] == pytest.approx(predictions.fused_scores[fakes].mean())
    from sklearn.metrics import roc_auc_score

    assert values["validate/all/torch"] == pytest.approx(
        roc_auc_score(predictions.fused_labels, predictions.fused_scores), abs=1e-6
    )


def test_output_is_a_plain_tuple_of_five() -> None:
    assert EvaluationOutput._fields == ("logits", "labels", "generator_ids", "image_identifiers", "losses")
