"""Anybody's detector over all windows: the benchmark's pixels, ordinary predictions, marked, and gone on with."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import runpy
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import aigenbench as ab
from aigenbench.augmentations import EvaluationCrops
from aigenbench.cli.main import main
from aigenbench.data import AIGenBenchDatasetLoader, AIGenBenchPipeline
from aigenbench.engine.evaluating import evaluate
from aigenbench.evaluation.leaderboard.page import build_leaderboard
from aigenbench.evaluation.leaderboard.submission import make_submission
from aigenbench.evaluation.predictions.experiment import load_experiment
from aigenbench.evaluation.predictions.record import Predictions, load_predictions, save_predictions
from aigenbench.protocol.timeline import PUBLISHED

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "foreign_detector.py"
TWO = {"n_generators_per_window": 2, "workers": 0}
NAMES = PUBLISHED.names[:6]


def digest(pixels: np.ndarray) -> float:
    """A number in 0..1 that is another for any other pixel."""
    shape = np.array(pixels.shape, dtype=np.int64).tobytes()
    return int.from_bytes(hashlib.sha256(shape + pixels.tobytes()).digest()[:6]) / 2**48


def by_pixels(images: list[Image.Image]) -> list[float]:
    return [digest(np.asarray(image)) for image in images]


def predictions(experiment: ab.Experiment, window: int = 0) -> Predictions:
    return experiment.predictions(window)


class AsIs:
    """Hooks of a detector that looks at images as they come out of the mandatory steps."""

    def train_augmentation(self) -> Any:
        return (None,)

    def evaluation_augmentation(self, stage: str) -> Any:
        return None, None

    def evaluation_crops(self, stage: str) -> Any:
        return EvaluationCrops("as_is", (1, 1))


@pytest.fixture
def foreign(small_dataset: Path, tmp_path: Path) -> ab.Experiment:
    return evaluate(by_pixels, small_dataset, tmp_path / "experiment_foreign", knows_until="2017-10", **TWO)


def test_the_images_are_validates_bit_for_bit(foreign: ab.Experiment, small_dataset: Path) -> None:
    pipeline = AIGenBenchPipeline(AIGenBenchDatasetLoader(str(small_dataset)), eval_batch_size=1, num_workers=0)
    plan = pipeline.plan(2)
    expected = {}
    for batch in pipeline.evaluation_loader(plan, AsIs(), "validate"):
        expected[int(batch.image_ids[0])] = digest(np.ascontiguousarray(batch.images[0].permute(1, 2, 0).numpy()))
    p = predictions(foreign)
    assert dict(zip(p.fused_identifiers.tolist(), p.fused_scores, strict=True)) == {
        row: np.float32(value) for row, value in expected.items()
    }
    assert p.protocol_fingerprint == plan.fingerprint(pipeline.describe_mandatory_evaluation(), 4321)


def test_every_window_has_ordinary_predictions_marked_by_what_it_knows(foreign: ab.Experiment) -> None:
    assert [window.index for window in foreign.windows] == [0, 1, 2]
    first, last = predictions(foreign), predictions(foreign, 2)
    assert replace(last, window=0).equals(first)
    assert (first.window, last.window, first.benchmark_type) == (0, 2, "cumulative")
    assert first.seen_generators == NAMES[:3]  # ProGAN came out on 2017-10-27
    assert first.knowledge == "may know what was released until 2017-10-31"
    assert first.trained_windows is None
    assert first.period_generators("immediate_future", 0) == NAMES[2:4]
    assert first.image_key is not None


def test_nothing_said_is_unknown_and_never_unseen(small_dataset: Path, tmp_path: Path) -> None:
    experiment = evaluate(by_pixels, small_dataset, tmp_path / "experiment_x", **TWO)
    p = predictions(experiment)
    assert (p.knowledge, p.seen_generators) == ("unknown", None)
    foreign = experiment.scores().to_dict()["foreign"]
    assert list(foreign["groups"]) == ["unknown"]
    assert any("what it has seen is unknown" in note for note in experiment.scores().notes)


def test_what_is_contradictory_is_refused(small_dataset: Path, exported: Path, tmp_path: Path) -> None:
    output = tmp_path / "experiment_x"
    cases: list[tuple[Any, dict[str, Any], str]] = [
        (by_pixels, {"knows_until": "2020", "trained_on": ["ProGAN"]}, "two ways to say"),
        (by_pixels, {"trained_on": ["ProGan"]}, "did you mean 'ProGAN'"),
        (by_pixels, {"batch_size": 0}, "expected a batch size"),
        (exported, {"device": "cpu,gpu"}, "device: expected"),
        (by_pixels, {"device": "cpu"}, "--device says nothing of a function, which chooses its own"),
        (exported, {"knows_until": "2020"}, "says itself that it was trained on"),
        (by_pixels, {"fake_labels": ["x"]}, "--fake-label says nothing of a function"),
    ]
    for detector, options, said in cases:
        with pytest.raises(ab.InputError, match=said):
            evaluate(detector, small_dataset, output, **TWO | options)
        assert not output.exists()


def test_an_exported_detector_scores_as_its_experiments_validate(
    experiment: ab.Experiment, exported: Path, small_dataset: Path, tmp_path: Path
) -> None:
    found = evaluate(exported, small_dataset, tmp_path / "experiment_x", **TWO)
    own, p = experiment.predictions(0), predictions(found)
    assert np.array_equal(own.fused_identifiers, p.fused_identifiers)
    assert p.fused_logits == pytest.approx(own.fused_logits, abs=1e-5)
    assert p.fused_losses == pytest.approx(own.fused_losses, abs=1e-5)
    assert p.protocol_fingerprint == own.protocol_fingerprint
    assert p.seen_generators == NAMES[:2]
    assert p.knowledge == f"trained on {', '.join(NAMES[:2])}"


def test_devices_workers_and_batches_change_nothing(exported: Path, small_dataset: Path, tmp_path: Path) -> None:
    one = predictions(evaluate(exported, small_dataset, tmp_path / "a", **TWO))
    several = TWO | {"device": "cpu,cpu,cpu", "workers": 2, "batch_size": 4}
    other = predictions(evaluate(exported, small_dataset, tmp_path / "b", **several))
    assert other.fused_logits == pytest.approx(one.fused_logits, abs=1e-6)
    assert np.array_equal(other.fused_identifiers, one.fused_identifiers)


# going on


class Counting:
    """Scores by pixels, and kills its process at the image so many calls on."""

    def __init__(self, kill_at: int | None = None, log: Path | None = None) -> None:
        self.__name__ = "counting"
        self.calls, self.kill_at, self.log = 0, kill_at, log

    def __call__(self, images: list[Image.Image]) -> list[float]:
        if self.calls == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.calls += 1
        return by_pixels(images)


def killed(run: Callable[[], Any]) -> None:
    child = multiprocessing.get_context("fork").Process(target=run)
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("kill_at", [0, 1, 4])
def test_a_killed_run_goes_on_bit_for_bit(small_dataset: Path, tmp_path: Path, kill_at: int) -> None:
    options = TWO | {"batch_size": 4, "part_seconds": 0.0}
    whole, count = tmp_path / "whole", Counting()
    evaluate(count, small_dataset, whole, **options)
    output = tmp_path / "killed"
    killed(lambda: evaluate(Counting(kill_at), small_dataset, output, **options))
    assert not list(output.glob("window_*"))
    rest = Counting()
    found = evaluate(rest, small_dataset, output, **options)
    assert rest.calls == count.calls - kill_at
    for k in range(3):
        same = f"window_{k}/predictions_validate_all.npz"
        assert (output / same).read_bytes() == (whole / same).read_bytes()
    assert not (output / "scoring").exists()
    again = Counting()
    evaluate(again, small_dataset, output, **options)
    assert again.calls == 0
    assert found.folder == output


@pytest.mark.parametrize("name", ["write_json", "save_predictions", "Parts.remove"])
@pytest.mark.parametrize("nth", [0, 2])
def test_a_run_killed_while_it_writes_goes_on(small_dataset: Path, tmp_path: Path, name: str, nth: int) -> None:
    from aigenbench.engine import evaluating

    def run() -> None:
        owner, attribute = (evaluating.Parts, "remove") if name == "Parts.remove" else (evaluating, name)
        kept, calls = getattr(owner, attribute), []

        def killing(*arguments: Any) -> Any:
            calls.append(None)
            if len(calls) == nth + 1 or name == "Parts.remove":
                if name == "Parts.remove" and nth:
                    next(arguments[0]._folder.iterdir()).unlink()
                elif name != "Parts.remove":
                    # as a kill inside leaves it
                    Path(arguments[0]).parent.mkdir(parents=True, exist_ok=True)
                os.kill(os.getpid(), signal.SIGKILL)
            return kept(*arguments)

        setattr(owner, attribute, killing)
        evaluate(by_pixels, small_dataset, tmp_path / "x", **TWO)

    killed(run)
    found = evaluate(by_pixels, small_dataset, tmp_path / "x", **TWO)
    whole = evaluate(by_pixels, small_dataset, tmp_path / "whole", **TWO)
    for k in range(3):
        assert predictions(found, k).equals(predictions(whole, k))
    assert not (tmp_path / "x" / "scoring").exists()


def test_a_damaged_part_is_scored_again(small_dataset: Path, tmp_path: Path, caplog: Any) -> None:
    options = TWO | {"batch_size": 4, "part_seconds": 0.0}
    killed(lambda: evaluate(Counting(4), small_dataset, tmp_path / "x", **options))
    parts = sorted((tmp_path / "x" / "scoring").glob("*.npz"))
    assert len(parts) == 4
    parts[2].write_bytes(parts[2].read_bytes()[:100])
    rest = Counting()
    evaluate(rest, small_dataset, tmp_path / "x", **options)
    assert rest.calls == 4
    assert "scored again from there on" in caplog.text


def test_scores_of_another_detector_or_data_set_are_not_gone_on_with(
    small_dataset: Path, tmp_path: Path, foreign: ab.Experiment
) -> None:
    options = TWO | {"batch_size": 4, "part_seconds": 0.0}
    killed(lambda: evaluate(Counting(2), small_dataset, tmp_path / "x", **options))
    with pytest.raises(ab.InputError, match=r"unfinished scores of another evaluation \(detector"):
        evaluate(by_pixels, small_dataset, tmp_path / "x", **options)
    with pytest.raises(ab.InputError, match=r"unfinished scores of another evaluation \(protocol_fingerprint"):
        evaluate(Counting(), small_dataset, tmp_path / "x", **options, as_is=True)
    with pytest.raises(ab.InputError, match=r"results of another evaluation \(knowledge may know"):
        evaluate(by_pixels, small_dataset, foreign.folder, **TWO)


def test_a_failure_names_its_image_and_what_was_scored_is_kept(small_dataset: Path, tmp_path: Path) -> None:
    calls = []

    def fails(images: list[Image.Image]) -> list[float]:
        calls.append(len(images))
        if len(calls) == 3:
            return [0.5, 0.5, float("nan"), 0.5]
        return [0.5] * len(images)

    with pytest.raises(ab.InputError, match=r"image \d+ \(validation_\d+.png\): its score is nan") as caught:
        evaluate(fails, small_dataset, tmp_path / "x", **TWO, batch_size=4)
    plan = AIGenBenchPipeline(AIGenBenchDatasetLoader(str(small_dataset)), num_workers=0).plan(2)
    assert f"image {plan.evaluation.ids[10]} " in str(caught.value)
    assert not list((tmp_path / "x").glob("window_*"))
    evaluate(fails, small_dataset, tmp_path / "x", **TWO, batch_size=4)
    assert sum(calls) == 4 + len(plan.evaluation.ids)


def test_a_failure_before_any_score_leaves_the_place_free(small_dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(ab.InputError, match="returned 0 numbers"):
        evaluate(lambda images: [], small_dataset, tmp_path / "x", **TWO)
    assert not (tmp_path / "x").exists()
    assert evaluate(by_pixels, small_dataset, tmp_path / "x", **TWO).folder == tmp_path / "x"


# beside others


def test_an_experiment_is_never_written_over(experiment: ab.Experiment, small_dataset: Path) -> None:
    before = sorted(experiment.folder.rglob("*"))
    with pytest.raises(ab.InputError, match=r"holds config\.yaml, which is no such evaluation's; give another -o"):
        evaluate(by_pixels, small_dataset, experiment.folder, **TWO)
    assert sorted(experiment.folder.rglob("*")) == before


def test_a_training_does_not_write_over_it(foreign: ab.Experiment, small_dataset: Path) -> None:
    from inference_harness import FEW

    from small_run import PIPELINE

    places = {"experiment_info": {"experiments_data_folder": foreign.folder.parent, "experiment_id": "foreign"}}
    few = {key: value for key, value in FEW.items() if key != "experiment_info.experiment_id"}
    with pytest.raises(ab.InputError, match="which a training would write over"):
        ab.fit(PIPELINE, places, overrides=few | {"dataset_path": small_dataset})


def test_as_is_scores_compare_with_none_after_the_mandatory_steps(
    foreign: ab.Experiment, small_dataset: Path, tmp_path: Path
) -> None:
    as_is = evaluate(by_pixels, small_dataset, tmp_path / "experiment_as_is", as_is=True, **TWO)
    a, b = predictions(foreign), predictions(as_is)
    assert a.protocol_fingerprint != b.protocol_fingerprint
    assert b.evaluation_steps == "as is"
    assert any("scored as is, without the mandatory evaluation steps" in note for note in as_is.scores().notes)
    with pytest.raises(ab.InputError, match="as_is scored the images as is"):
        ab.compare(as_is, foreign)
    # two copies of the data have other fingerprints anyway: the steps alone must tell
    copies = tmp_path / "experiment_copy"
    for k in range(3):
        p = replace(predictions(foreign, k), protocol_fingerprint="f" * 16, pairing_fingerprint="0" * 16)
        save_predictions(copies / f"window_{k}" / "predictions_validate_all.npz", p)
    assert ab.compare(copies, foreign, replicates=20).differences
    with pytest.raises(ab.InputError, match="other pixels, so no comparison"):
        ab.compare(copies, as_is)


def test_score_compare_and_report_show_it_beside_a_trained_one(
    foreign: ab.Experiment, experiment: ab.Experiment, tmp_path: Path, capsys: Any
) -> None:
    assert main(["score", str(foreign.folder)]) == 0
    shown = capsys.readouterr().out
    assert f"{NAMES[0]}*, {NAMES[1]}*" in shown
    assert f"{NAMES[2]}*, {NAMES[3]}\n" in shown
    for text in ("Not trained by the protocol", "AUROC over the unseen:", "Next holds such at window 0"):
        assert text in shown
    assert main(["score", str(foreign.folder), "--json", "--replicates", "20"]) == 0
    values = json.loads(capsys.readouterr().out)["foreign"]
    assert (values["groups"]["seen"]["pairs"], values["groups"]["unseen"]["pairs"]) == (6, 6)
    assert main(["score", str(experiment.folder), "--json", "--replicates", "0"]) == 0
    assert "foreign" not in json.loads(capsys.readouterr().out)
    assert main(["compare", str(foreign.folder), str(experiment.folder), "--replicates", "20"]) == 0
    compared = capsys.readouterr().out
    assert "foreign: not trained by the protocol" in compared
    first, second = (line for line in compared.splitlines() if line.startswith(("  foreign  ", "  x  ")))
    assert first.endswith("]  not trained by the protocol")
    assert second.endswith("]")
    page = tmp_path / "r.html"
    folders = [str(foreign.folder), str(experiment.folder)]
    assert main(["report", *folders, "-o", str(page), "--replicates", "20"]) == 0
    text = page.read_text(encoding="utf-8")
    for part in ("its training: may know what was released until 2017-10-31", "AUROC (%) over what it had seen"):
        assert part in text
    # apart from what the protocol trained, which stands first
    assert text.index(">this report<") < text.index(">not trained by the protocol<")


def test_the_leaderboard_shows_it_apart_and_in_no_group(foreign: ab.Experiment, tmp_path: Path) -> None:
    submissions = tmp_path / "submissions"
    make_submission(foreign.folder, submissions / "foreign.zip", {"name": "Somebody's"})
    of_small = PUBLISHED.restricted_to(NAMES)
    windows = load_experiment(foreign.folder).first.windows_timeline
    assert len(windows) == 3
    import aigenbench.evaluation.leaderboard.rules as rules
    import aigenbench.evaluation.leaderboard.verify as verify

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "GENERATORS_PER_WINDOW", 2)
        patch.setattr(verify, "GENERATORS_PER_WINDOW", 2)
        entries, rejected = build_leaderboard(submissions, tmp_path / "site", None, timeline=of_small, replicates=20)
    assert rejected == {}
    assert [entry.title for entry in entries] == ["Somebody's"]
    page = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "Not trained by the protocol: mean AUROC" in page
    assert "may know what was released until 2017-10-31" in page
    record = json.loads((tmp_path / "site" / "leaderboard.json").read_text())[0]
    assert (record["group"], record["foreign"]) == (None, "may know what was released until 2017-10-31")


# the command


def test_the_command_evaluates_a_function_of_a_file(small_dataset: Path, tmp_path: Path, capsys: Any) -> None:
    output = tmp_path / "experiment_x"
    options = ["--dataset_path", str(small_dataset), "-o", str(output), "--n-generators-per-window", "2"]
    more = ["--scores", "logit", "--trained-on", f"{NAMES[0]}, {NAMES[5]}", "--workers", "0"]
    assert main(["evaluate", f"{EXAMPLE}:predict", *options, *more]) == 0
    assert f"experiment: {output}" in capsys.readouterr().out
    p = load_predictions(output / "window_1" / "predictions_validate_all.npz")
    assert p.seen_generators == (NAMES[0], NAMES[5])
    other = [*options[:3], str(tmp_path / "experiment_y"), *options[4:]]
    assert main(["evaluate", f"{EXAMPLE}:predict", *other]) == 2
    err = capsys.readouterr().err
    assert "aigenbench: error: image" in err
    assert "say --scores logit" in err


def test_forty_lines_bring_a_foreign_detector_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) <= 40
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    assert "Next-period AUROC: 0." in capsys.readouterr().out
    experiment = ab.Experiment("experiments_data/experiment_foreign")
    assert len(experiment.windows) == 2
    assert predictions(experiment).seen_generators == PUBLISHED.names[:8]
    record = json.loads(Path("experiments_data/experiment_foreign/window_0/predictions_validate_all.json").read_text())
    assert record["run"]["data"] == "synthetic"
