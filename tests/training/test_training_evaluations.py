"""What an evaluation is of decides where its result goes and what its periods hold."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_harness import arguments, run

from aigenbench.evaluation.metrics.score import score_experiment
from aigenbench.evaluation.predictions.experiment import load_experiment
from aigenbench.evaluation.predictions.record import load_predictions, save_predictions
from aigenbench.protocol.timeline import PUBLISHED
from aigenbench.training.processes.collectives import SharedError
from aigenbench.training.window.evaluating import check_finite
from aigenbench.training.window.weights import read_weights

FIRST, SECOND, THIRD, FOURTH = PUBLISHED.names[:4]
FILE = "predictions_validate_all.npz"


@pytest.fixture(scope="module")
def two(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two generators, a window each."""
    return made.default(tmp_path_factory.mktemp("data") / "two", generators=2, fakes_each=4)


@pytest.fixture(scope="module")
def trained(two: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    code, _ = run(folder, arguments(two, folder))
    assert code == 0, (folder / "log.txt").read_text()[-3000:]
    return folder


@pytest.fixture
def fitted(trained: Path, tmp_path: Path) -> Path:
    """A copy of the working folder in which the experiment was trained."""
    return Path(shutil.copytree(trained, tmp_path / "fitted"))


def command(folder: Path, dataset: Path, *more: str, command: str = "validate") -> tuple[int, str]:
    """Exit code, and what this call printed."""
    before = len((folder / "log.txt").read_text())
    code, _ = run(folder, arguments(dataset, folder, *more), command=command)
    return code, (folder / "log.txt").read_text()[before:]


def weights(folder: Path, window: int) -> Path:
    return folder / f"experiments_data/experiment_x/window_{window}/final.ckpt"


def without_an_experiment(argv: list[str]) -> list[str]:
    return [a for a in argv if "experiment_id" not in a]


def test_a_checkpoint_says_what_it_was_trained_on_and_what_it_is_of(trained: Path) -> None:
    record = torch.load(weights(trained, 1), weights_only=True)
    assert record["trained_generators"] == [FIRST, SECOND]
    assert record["trained"]["windows"] == [[FIRST], [SECOND]]
    assert record["description"]["model"]["init_args"]["model_name"] == "tiny_tune"
    assert "optimizer" not in record["description"]["model"]["init_args"]
    first = read_weights(weights(trained, 0))
    assert (first.window, first.trained.following) == (0, (SECOND,))  # type: ignore[union-attr]


def test_two_checkpoints_of_one_name_keep_their_results(fitted: Path, two: Path) -> None:
    before = {p: p.read_bytes() for p in (fitted / "experiments_data").rglob("*.npz")}
    shutil.copy(weights(fitted, 0), fitted / "final.ckpt")
    for path in ("final.ckpt", str(weights(fitted, 1)), "final.ckpt"):
        code, told = command(fitted, two, f"--ckpt_path={path}")
        assert code == 0, told
    assert "reproduced, logits differ by at most 0" in told
    found = sorted((fitted / "experiments_data/experiment_x/evaluations").glob("final_*/window_*/*.npz"))
    assert {p.parent.name for p in found} == {"window_0", "window_1"}
    assert len(found) == 2, "a repeated evaluation is recognised"
    for path in found:
        record = json.loads(path.with_suffix(".json").read_text())
        assert record["weights_sha256"].startswith(path.parts[-3].removeprefix("final_"))
        assert record["protocol_fingerprint"] == load_predictions(path).protocol_fingerprint
        assert record["trained_generators"][0] == FIRST
    assert all(p.read_bytes() == content for p, content in before.items())


def test_results_on_another_data_set_stand_apart_and_say_next(fitted: Path, made, tmp_path: Path) -> None:
    later = made.write(tmp_path / "later", {"validation": made.rows([SECOND, THIRD], 3, 6, 9)})
    code, told = command(fitted, later, command="test")
    assert code == 0, told
    assert not list((fitted / "experiments_data/experiment_x").glob("window_*/predictions_test_all.npz"))
    assert not list((fitted / "experiments_data/experiment_x").glob("window_*/predictions_test_all.json"))
    (folder,) = (fitted / "experiments_data/experiment_x/evaluations").iterdir()
    found = load_experiment(folder, "test")
    assert [p.period_generators("growing", k) for k, p in found.windows.items()] == [(), (SECOND,)]
    assert [p.period_generators("immediate_future", k) for k, p in found.windows.items()] == [(SECOND,), (THIRD,)]
    assert "test window 0: AUROC Next" in told
    assert "Past" not in told.partition("test window 1")[0]


def test_generators_unseen_though_earlier_are_told(made, tmp_path: Path) -> None:
    own = made.write(tmp_path / "own", {s: made.rows([THIRD], 4, 5, i) for i, s in enumerate(("train", "validation"))})
    older = made.write(tmp_path / "older", {"validation": made.rows([FIRST, FOURTH], 3, 6, 9)})
    folder = tmp_path / "run"
    assert run(folder, arguments(own, folder))[0] == 0, (folder / "log.txt").read_text()[-3000:]
    code, told = command(folder, older)
    assert code == 0, told
    assert f"unseen though released earlier, in no period: {FIRST}" in told
    (path,) = folder.glob(f"experiments_data/experiment_x/evaluations/*/window_0/{FILE}")
    p = load_predictions(path)
    assert p.period_generators("immediate_future", 0) == (FOURTH,)
    assert p.period_generators("growing_whole", 0) == (FOURTH,)


def test_the_same_layout_with_other_images_is_another_data_set(fitted: Path, two: Path, made, tmp_path: Path) -> None:
    other = Path(shutil.copytree(two, tmp_path / "other"))
    shutil.rmtree(other / "validation")
    files, names = made.rows(list(PUBLISHED.names[:2]), 2, 6, 2)
    shuffled = [made.encoded(made.image(np.random.default_rng(i), bool(n))) for i, n in enumerate(names)]
    assert len(files) == len(shuffled)
    made.write(tmp_path / "new", {"validation": (shuffled, names)})
    shutil.move(tmp_path / "new" / "validation", other / "validation")
    code, told = command(fitted, other, command="test")
    assert code == 0, told
    found = sorted((fitted / "experiments_data/experiment_x").glob("**/predictions_test_all.npz"))
    assert {p.parts[-3] for p in found if "evaluations" in p.parts}, told
    assert all(p.parts[-3].startswith("data_") for p in found)


def test_data_without_a_train_split_are_enough(fitted: Path, two: Path, tmp_path: Path) -> None:
    only = tmp_path / "only"
    shutil.copytree(two / "validation", only / "validation")
    (only / "dataset_dict.json").write_text('{"splits": ["validation"]}')
    code, told = command(fitted, only)
    assert code == 0, told
    assert told.count("reproduced, logits differ by at most 0") == 2
    shutil.move(only / "validation", only / "test")
    (only / "dataset_dict.json").write_text('{"splits": ["test"]}')
    assert command(fitted, only, command="test")[0] == 0
    code, told = command(fitted, only)
    assert code == 2
    assert "has no split 'validation'; found test" in told


def test_weights_without_an_experiment(fitted: Path, two: Path) -> None:
    argv = without_an_experiment(arguments(two, fitted, f"--ckpt_path={weights(fitted, 0)}"))
    assert run(fitted, argv, command="validate")[0] == 0
    (path,) = (fitted / "experiments_data/evaluations").glob(f"final_*/window_0/{FILE}")
    own = weights(fitted, 0).with_name(FILE)
    assert np.array_equal(load_predictions(path).fused_logits, load_predictions(own).fused_logits)
    assert str(path.relative_to(fitted)) in (fitted / "log.txt").read_text().splitlines()[-1]


def test_given_weights_under_a_new_id_make_an_experiment(fitted: Path, two: Path) -> None:
    for window in (0, 1):
        argv = without_an_experiment(arguments(two, fitted))
        argv += [
            "--experiment_info.experiment_id=again",
            f"--experiment_info.sliding_windows_definition.current_window={window}",
            f"--model.base_weights={weights(fitted, window)}",
            "--experiment_info.logging_initial_step=4",
        ]
        assert run(fitted, argv, command="validate")[0] == 0, (fitted / "log.txt").read_text()[-2000:]
    told = score_experiment(fitted / "experiments_data/experiment_again")["notes"]
    assert [line.partition(" (")[0] for line in told] == [
        f"window {k}: no training's own result, but of final.ckpt" for k in (0, 1)
    ]
    again, own = (load_experiment(fitted / f"experiments_data/experiment_{e}") for e in ("again", "x"))
    assert all(again.windows[k].equals(own.windows[k]) for k in (0, 1))
    # another checkpoint for a window that is there goes beside it
    shutil.copy(weights(fitted, 0), fitted / "other.ckpt")
    record = torch.load(fitted / "other.ckpt", weights_only=True)
    torch.save({**record, "state_dict": {k: v * 1.01 for k, v in record["state_dict"].items()}}, fitted / "other.ckpt")
    argv[-2] = f"--model.base_weights={fitted / 'other.ckpt'}"
    argv.remove("--experiment_info.sliding_windows_definition.current_window=1")
    assert run(fitted, argv, command="validate")[0] == 0
    assert list((fitted / "experiments_data/experiment_again/evaluations").glob(f"other_*/window_0/{FILE}"))
    assert run(fitted, argv, command="fit")[0] == 2
    assert "holds evaluations of given weights" in (fitted / "log.txt").read_text()


def test_an_experiment_begun_from_weights_is_evaluated_by_its_own(fitted: Path, two: Path) -> None:
    shutil.copy(weights(fitted, 1), fitted / "begin.ckpt")
    argv = [a for a in arguments(two, fitted) if "experiment_id" not in a]
    argv += ["--experiment_info.experiment_id=begun", f"--model.base_weights={fitted / 'begin.ckpt'}"]
    assert run(fitted, argv)[0] == 0
    assert run(fitted, argv, command="validate")[0] == 0
    assert (fitted / "log.txt").read_text().count("reproduced, logits differ by at most 0") == 2
    # its first window's weights have seen the second's generator already: nothing is Next
    p = load_predictions(fitted / f"experiments_data/experiment_begun/window_0/{FILE}")
    assert p.period_generators("growing", 0) == (FIRST, SECOND)
    assert p.period_generators("immediate_future", 0) == ()


def test_older_checkpoints_go_by_the_windows_index(fitted: Path, two: Path) -> None:
    record = torch.load(weights(fitted, 0), weights_only=True)
    for key in ("trained", "trained_generators", "window", "description"):
        del record[key]
    torch.save(record, fitted / "old.ckpt")
    code, told = command(fitted, two, f"--ckpt_path={fitted / 'old.ckpt'}")
    assert code == 2
    assert "does not say up to which window it was trained" in told
    window = "--experiment_info.sliding_windows_definition.current_window=0"
    code, told = command(fitted, two, f"--ckpt_path={fitted / 'old.ckpt'}", window)
    assert code == 0, told
    assert "old.ckpt does not say what it was trained on" in told
    (path,) = (fitted / "experiments_data/experiment_x/evaluations").glob(f"old_*/window_0/{FILE}")
    assert load_predictions(path).period_generators("immediate_future", 0) == (SECOND,)


def test_another_way_to_evaluate_stands_apart(fitted: Path, two: Path) -> None:
    code, told = command(fitted, two, "--model.evaluation_cropping_strategy=multicrop")
    assert code == 0, told
    assert "model.init_args.evaluation_cropping_strategy: resize -> multicrop" in told
    assert len(list((fitted / "experiments_data/experiment_x/evaluations").glob(f"config_*/window_*/{FILE}"))) == 2


def test_a_result_of_another_protocol_that_lies_in_a_window_is_left_alone(fitted: Path, two: Path) -> None:
    # as earlier versions wrote it: without a record of what it is of
    own = weights(fitted, 0).with_name(FILE)
    tested = own.with_name("predictions_test_all.npz")
    save_predictions(tested, replace(load_predictions(own), protocol_fingerprint="f" * 16))
    before = tested.read_bytes()
    code, told = command(fitted, two, command="test")
    assert code == 0, told
    assert tested.read_bytes() == before
    assert list(
        (fitted / "experiments_data/experiment_x/evaluations").glob("final_*/window_0/predictions_test_all.npz")
    )
    assert weights(fitted, 1).with_name("predictions_test_all.npz").is_file()
    tested.unlink()
    assert score_experiment(fitted / "experiments_data/experiment_x", "test")["notes"] == [
        "no test predictions for window 0 of 0..1"
    ]


def test_scores_that_are_no_numbers_are_refused_by_name(fitted: Path, two: Path) -> None:
    record = torch.load(weights(fitted, 0), weights_only=True)
    record["state_dict"] = {
        # finite, but not what is computed with them
        k: v * 1e30 if v.is_floating_point() else v
        for k, v in record["state_dict"].items()
    }
    torch.save(record, fitted / "huge.ckpt")
    for name in ("validate", "test", "predict"):
        before = set(fitted.rglob("*"))
        code, told = command(fitted, two, f"--ckpt_path={fitted / 'huge.ckpt'}", command=name)
        assert code == 2
        assert "images is not a finite number: image " in told
        assert "(validation_" in told
        assert "Traceback" not in told
        assert {p for p in set(fitted.rglob("*")) - before if p.is_file()} == set()


def test_infinity_is_refused_too_and_an_images_crops_are_told_once() -> None:
    with pytest.raises(SharedError, match=r"the score of 1 of the images is not a finite number: image 5; nothing"):
        check_finite(np.array([0.0, np.inf, -np.inf, 1.0]), lambda row: f"image {(4, 5, 5, 6)[row]}")
    check_finite(np.array([-700.0, 700.0]), str)


def test_a_multiclass_detector_is_evaluated_on_its_own_classes(two: Path, made, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    argv = ("--model.training_task=multiclass", "--model.n_classes=37")
    assert run(folder, arguments(two, folder, *argv))[0] == 0, (folder / "log.txt").read_text()[-3000:]
    later = made.write(tmp_path / "later", {"validation": made.rows([THIRD], 3, 6, 9)})
    code, told = command(folder, later, *argv)
    assert code == 2
    assert "a multiclass detector is evaluated on the generators of its training" in told
    # what its outputs mean is in the checkpoint: no data set is needed to predict
    (folder / "pictures").mkdir()
    (folder / "pictures/a.png").write_bytes(made.encoded(made.image(np.random.default_rng(0), True)))
    options = [str(folder / "experiments_data/experiment_x"), "pictures", "--device=cpu", "--num-workers=0"]
    assert run(folder, [*options, f"--import={folder / 'tiny_model.py'}"], command="predict")[0] == 0
    older = [*arguments(Path("none"), folder, *argv), "--data.predict_path=pictures"]
    assert run(folder, older, command="predict")[0] == 0
    tables = [folder / "predictions_predict.csv", *folder.glob("experiments_data/*/window_1/predictions_predict.csv")]
    first, second = (table.read_text().splitlines()[1].split(",")[:3] for table in tables)
    assert first == second


def test_robustness_uses_the_weights_own_preprocessing(fitted: Path) -> None:
    config = fitted / "experiments_data/experiment_x/config.yaml"
    options = ["experiments_data/experiment_x", "--windows", "0", "--families", "social_network"]
    assert run(fitted, options, command="robustness")[0] == 0
    (path, _) = sorted(fitted.glob(f"experiments_data/experiment_x/robustness/*/window_0/{FILE}"))
    before = path.read_bytes()
    shutil.rmtree(path.parents[2])
    text = config.read_text()
    assert "preprocessing: null" in text
    config.write_text(text.replace("preprocessing: null", "preprocessing: {mean: [0.1, 0.1, 0.1]}"))
    # what somebody has written over is no run's own record
    assert run(fitted, [*options, "--trust-imports"], command="robustness")[0] == 0
    assert path.read_bytes() == before
