"""Runs begun from Python: what they give back, record and refuse."""

from __future__ import annotations

import csv
import inspect
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from PIL import Image
from torchmetrics.classification import BinaryAUROC

import aigenbench as ab
from aigenbench.cli import main
from aigenbench.training import BaseDeepfakeDetectionModel
from small_run import FEW, PIPELINE


class Counting(Callback):
    """Counts batches; one object would go on counting over windows."""

    seen: list[int] = []

    def __init__(self) -> None:
        self.batches = 0

    def on_train_batch_end(self, *_: Any) -> None:
        self.batches += 1

    def on_train_end(self, *_: Any) -> None:
        self.seen.append(self.batches)


def wrong(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return float(((probabilities > 0.5) != labels).mean())


def in_a_function() -> type[BaseDeepfakeDetectionModel]:
    class Local(BaseDeepfakeDetectionModel):
        def __init__(self, note: str = "", **arguments: Any) -> None:
            super().__init__(**arguments)
            self.note = note

    return Local


def objects() -> dict[str, Any]:
    return {
        "detector": in_a_function(),
        "metrics": {"wrong": wrong, "area": BinaryAUROC(), "third": lambda labels, scores: 1 / 3},
        "callbacks": [Counting(), Counting, lambda: Counting()],
    }


@pytest.fixture(scope="module")
def fitted(small_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> ab.Experiment:
    """Three windows, with Python objects of every kind."""
    folder = tmp_path_factory.mktemp("fitted")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Counting.seen.clear()
        return ab.fit(
            PIPELINE,
            {"experiment_info": {"experiments_data_folder": folder / "experiments_data"}},
            overrides=FEW | {"dataset_path": small_dataset, "model.note": "kept"},
            **objects(),
        )


def test_an_experiment_tells_what_is_there(fitted: ab.Experiment, tmp_path: Path) -> None:
    assert [(w.index, w.finished, w.stages) for w in fitted.windows] == [(k, True, ("validate",)) for k in range(3)]
    assert fitted.name == "x"
    assert fitted.config["model"]["init_args"]["note"] == "kept"
    assert all(record["protocol_fingerprint"] for record in fitted.records.values())
    predictions = fitted.predictions(-1)
    assert predictions.window == 2
    assert fitted.predictions(0).fused_scores.shape == predictions.fused_scores.shape
    with pytest.raises(ab.InputError, match=r"no test predictions of window 0 \(there are: none\)"):
        fitted.predictions(0, "test")
    assert fitted.plot(tmp_path / "curves.svg").read_text().startswith("<?xml")
    with pytest.raises(ab.InputError, match="did you mean 'auroc'"):
        fitted.plot(tmp_path / "curves.svg", metric="auroq")


def test_scores_and_intervals_are_those_of_the_command(
    fitted: ab.Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    import json

    assert main(["score", str(fitted.folder), "--json", "--replicates=20"]) == 0
    printed = json.loads(capsys.readouterr().out)
    scores, intervals = fitted.scores(), fitted.intervals(replicates=20)
    assert intervals.to_dict() == printed.pop("intervals")
    assert scores.to_dict() == printed
    assert scores.next["auroc"][2] is None
    assert scores.headline.windows == 2
    assert intervals.headline is not None
    assert scores.headline.mean is not None
    assert intervals.headline.low <= scores.headline.mean <= intervals.headline.high


def test_metrics_of_ones_own_are_logged_in_every_period(fitted: ab.Experiment) -> None:
    scores = fitted.scores()
    assert scores.logged["growing"]["third"] == pytest.approx([1 / 3] * 3)
    assert scores.logged["growing_whole"]["area"] == pytest.approx(scores.whole["auroc"])
    assert scores.logged["growing"]["wrong"] == pytest.approx([1 - a for a in scores.past["accuracy"] if a is not None])


def test_callbacks_begin_every_window_alike(fitted: ab.Experiment) -> None:
    steps = [record["steps_per_epoch"] for record in fitted.records.values()]
    assert Counting.seen == [n for n in steps for _ in range(3)]


def test_a_frame_has_a_row_a_value(fitted: ab.Experiment) -> None:
    pytest.importorskip("pandas")
    table = fitted.scores().to_frame()
    row = table[(table["name"] == "growing") & (table.metric == "auroc") & (table.window == 1)]
    assert row.value.item() == fitted.scores().past["auroc"][1]


def test_without_pandas_a_frame_says_what_to_do(fitted: ab.Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ab.InputError, match="pip install pandas"):
        fitted.scores().to_frame()


def test_the_same_call_goes_on_and_another_is_refused(
    fitted: ab.Experiment, small_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(fitted.folder.parents[1])
    again = {"overrides": FEW | {"dataset_path": small_dataset, "model.note": "kept"}, **objects()}
    times = {w.index: (w.folder / "final.ckpt").stat().st_mtime_ns for w in fitted.windows}
    assert ab.fit(PIPELINE, **again).name == "x"
    assert {w.index: (w.folder / "final.ckpt").stat().st_mtime_ns for w in fitted.windows} == times
    with pytest.raises(ab.InputError, match=r"exists with another config \(metrics"):
        ab.fit(PIPELINE, **{**again, "metrics": None})
    with pytest.raises(ab.InputError, match=r"init_args\.note: kept -> other"):
        ab.fit(PIPELINE, **{**again, "overrides": {**again["overrides"], "model.note": "other"}})


@pytest.mark.slow
def test_the_shell_says_what_of_python_it_lacks(fitted: ab.Experiment) -> None:
    command = [sys.executable, "-m", "aigenbench", "fit", "--config", str(fitted.folder / "config.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=fitted.folder.parents[1])
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert "Local of test_engine_api_in_a_function was given from Python" in line


def test_a_detector_scores_as_the_command_does(
    fitted: ab.Experiment, small_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    benchmark = ab.Benchmark(small_dataset, generators_per_window=2)
    arrays = [benchmark.image("validation", row) for row in benchmark.evaluation_rows[:5]]
    for i, array in enumerate(arrays):
        Image.fromarray(array).save(f"{i}.png")
    paths = [Path(f"{i}.png") for i in range(5)]
    detector = fitted.detector(1)
    scores = detector.predict(arrays)
    assert scores.shape == (5,)
    assert scores.dtype == np.float64
    assert np.array_equal(detector.predict(paths), scores)
    assert np.array_equal(detector.predict([Image.open(path) for path in paths]), scores)
    assert np.array_equal(detector.predict(np.stack(arrays)), scores)
    # a batch of another size adds up in another order
    assert detector.predict(str(paths[0])) == pytest.approx(scores[:1])
    assert detector.predict([]).shape == (0,)
    assert main(["predict", str(fitted.folder), "--window=1", "--num-workers=0", *map(str, paths)]) == 0
    with Path("predictions_predict.csv").open() as lines:
        written = [float(row["logit"]) for row in csv.DictReader(lines)]
    assert detector.logits(paths) == pytest.approx(written, rel=1e-6)
    assert detector.window == 1
    assert detector.trained is not None
    assert len(detector.trained.windows) == 2
    assert detector.input_size == (32, 32)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (np.zeros((4, 4, 3)), r"image 0: expected a path.* an array of float64 \(4, 4, 3\)"),
        ([np.zeros((4, 4), np.uint8), 3], "image 1: .*found int"),
        ("nowhere.png", "image 0: nowhere.png is not there"),
        (Path(), r"image 0: \. is a folder"),
    ],
)
def test_what_is_no_image_is_told_by_its_place(fitted: ab.Experiment, given: Any, told: str) -> None:
    with pytest.raises(ab.InputError, match=told):
        fitted.detector().predict(given)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "YCbCr", "HSV"])
def test_pictures_of_every_mode_are_scored_as_their_files(fitted: ab.Experiment, mode: str, tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    picture = (
        Image.fromarray(array).convert("L").convert("I;16") if mode == "I;16" else Image.fromarray(array).convert(mode)
    )
    path = tmp_path / ("picture.tif" if mode == "CMYK" else "picture.png")
    (picture.convert("RGB") if mode in ("YCbCr", "HSV") else picture).save(path)
    picture.filename = ""  # type: ignore[attr-defined]
    detector = fitted.detector()
    assert np.array_equal(detector.predict([picture, array]), detector.predict([path, array]))


def test_loader_processes_read_what_was_given(fitted: ab.Experiment) -> None:
    arrays = [np.full((20, 24, 3), 50 * i, np.uint8) for i in range(3)]
    given: Any = [*arrays, Image.fromarray(arrays[0])]
    loaded = ab.Detector.load(fitted, num_workers=1, batch_size=2)
    assert loaded.predict(given) == pytest.approx(fitted.detector().predict(given))


def test_a_picture_that_cannot_be_read_is_named(fitted: ab.Experiment, tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ab.InputError, match=r"torn\.png cannot be read"):
        fitted.detector().predict([np.zeros((9, 9), np.uint8), tmp_path / "torn.png"])


def test_what_can_be_imported_goes_on_from_the_shell(
    small_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nameable.py").write_text(
        "import aigenbench as ab\nfrom lightning.pytorch import Callback\n"
        "class Own(ab.BaseDeepfakeDetectionModel):\n    pass\n"
        "class Quiet(Callback):\n    pass\n"
        "def third(labels, scores):\n    return 1 / 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    import nameable  # type: ignore[import-not-found]

    window = "experiment_info.sliding_windows_definition.current_window"
    experiment = ab.fit(
        PIPELINE,
        overrides=FEW | {"dataset_path": small_dataset, window: 0},
        detector=nameable.Own,
        metrics={"third": nameable.third},
        callbacks=[nameable.Quiet],
    )
    assert experiment.config["model"]["class_path"] == "nameable.Own"
    assert dict(experiment.config["metrics"]) == {"third": "nameable.third"}
    assert [node["class_path"] for node in experiment.config["trainer"]["callbacks"]] == ["nameable.Quiet"]
    assert main(["fit", f"--config={experiment.folder / 'config.yaml'}", f"--{window}=1"]) == 0
    assert [w.index for w in experiment.windows if w.finished] == [0, 1]
    assert experiment.scores().logged["growing"]["third"][:2] == pytest.approx([1 / 3] * 2)


@pytest.mark.slow
def test_weights_of_a_class_that_is_not_here_name_it(fitted: ab.Experiment) -> None:
    program = (
        f"import aigenbench as ab\ntry:\n    ab.Detector.load({str(fitted.folder)!r})\n"
        "except ab.InputError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "Local of test_engine_api_in_a_function was given from Python" in done.stdout


def test_a_detector_of_ones_own_file_loads_once_it_is_imported(small_dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "own_file.py").write_text(
        "import aigenbench as ab\nclass Own(ab.BaseDeepfakeDetectionModel):\n    pass\n"
    )
    begin = (
        f"import sys; sys.path.append('.')\nimport aigenbench as ab, own_file\n"
        f"ab.fit({PIPELINE!r}, overrides={FEW | {'dataset_path': str(small_dataset)}!r} | "
        "{'experiment_info.sliding_windows_definition.current_window': 0, 'imports': ['own_file.py']}, "
        "detector=own_file.Own)"
    )
    subprocess.run([sys.executable, "-c", begin], check=True, cwd=tmp_path, capture_output=True)
    checkpoint = tmp_path / "experiments_data" / "experiment_x" / "window_0" / "final.ckpt"
    with pytest.raises(ab.InputError, match=r"you may have to name: --import own_file\.py"):
        ab.Detector.load(checkpoint)
    detector = ab.Detector.load(checkpoint, imports=[tmp_path / "own_file.py"])
    assert isinstance(detector, ab.Detector)
    assert type(detector.module).__name__ == "Own"
    assert detector.window == 0
    assert repr(ab.Detector.load(checkpoint)) == repr(detector)


def test_a_call_leaves_the_process_as_it_was(
    small_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    overrides = FEW | {
        "dataset_path": str(small_dataset),
        "experiment_info.experiment_id": None,
        "experiment_info.sliding_windows_definition.current_window": 0,
    }
    states = (
        random.getstate(),
        str(np.random.get_state()),
        torch.random.get_rng_state().tolist(),
    )
    # a thread hears no signals, and a run without an id gets the next number each time
    found: list[ab.Experiment] = []
    thread = threading.Thread(target=lambda: found.append(ab.fit(PIPELINE, overrides=overrides)))
    thread.start()
    thread.join()
    assert found[0].name == "0"
    assert (
        random.getstate(),
        str(np.random.get_state()),
        torch.random.get_rng_state().tolist(),
    ) == states
    assert ab.fit(PIPELINE, overrides=overrides).name == "1"
    assert str(ab.compare(*found, tmp_path / "experiments_data" / "experiment_1", replicates=20))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"configs": ["nowhere.yaml"]}, "no config file 'nowhere.yaml'"),
        ({"configs": [3]}, "config 1: expected a file or a mapping of sections, found int"),
        ({"configs": [{"trainr": {}}]}, "config 1: unknown key 'trainr'; did you mean 'trainer'"),
        ({"overrides": {"trainer.max_epoch": 2}}, r"unknown key trainer\.max_epoch \(in overrides\)"),
        ({"overrides": {"trainer..max_epochs": 2}}, "a part of the key is empty"),
        ({"overrides": ["trainer.max_epochs=2"]}, "overrides: expected a mapping"),
        ({"overrides": {"trainer.logger": object()}}, "overrides: trainer.logger: expected text.* of type object"),
        ({"detector": torch.nn.Linear}, "detector: expected a subclass of BaseDeepfakeDetectionModel or a function"),
        ({"detector": 3}, "detector: expected a subclass .*found int"),
        ({"callbacks": "LearningRateMonitor"}, "callbacks: expected a list, found str"),
        ({"callbacks": [3]}, "callbacks 0: expected a subclass of Callback or a function, found int"),
        ({"callbacks": [torch.nn.Linear]}, "callbacks 0: expected a subclass of Callback"),
        ({"metrics": {"auroc": wrong}}, "auroc"),
        ({"metrics": {"mine": 3}}, "metrics: mine: expected a function"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: dict[str, Any], told: str, small_dataset: Path, tmp_path: Path) -> None:
    overrides = arguments.get("overrides", {})
    if isinstance(overrides, dict):
        folder = {"experiment_info.experiments_data_folder": str(tmp_path)}
        overrides = FEW | folder | {"dataset_path": str(small_dataset)} | overrides
    more = {key: value for key, value in arguments.items() if key not in ("configs", "overrides")}
    with pytest.raises(ab.InputError, match=told) as error:
        ab.fit(PIPELINE, *arguments.get("configs", []), overrides=overrides, **more)
    assert "\n" not in str(error.value)
    assert not any(tmp_path.iterdir())


def test_a_callback_that_cannot_work_here_is_refused_as_an_object_too() -> None:
    from lightning.pytorch.callbacks import StochasticWeightAveraging, Timer

    for callback, told in (
        (StochasticWeightAveraging(swa_lrs=0.1), "its average is in no checkpoint"),
        (Timer(duration="00:00:00:01"), "Timer with a duration"),
    ):
        with pytest.raises(ab.InputError, match=told):
            ab.fit(PIPELINE, overrides=FEW | {"dataset_path": "nowhere"}, callbacks=[callback])


def test_a_function_makes_the_detector_and_gets_what_it_names(caplog: pytest.LogCaptureFixture) -> None:
    from aigenbench.engine.calls import request_of

    def make(scheduler: str | None) -> BaseDeepfakeDetectionModel:
        assert scheduler is None
        return BaseDeepfakeDetectionModel("small_cnn_tune", scheduler=scheduler, model_args={"pretrained": False})

    asked = request_of([PIPELINE], {"model.scheduler": None}, make)
    made = asked.run("fit").instantiate_model()
    assert made.scheduler is None
    assert "does not take optimizer, model_input_size, classification_threshold: dropped" in caplog.text


def test_two_classes_of_one_path_are_two() -> None:
    from aigenbench.engine.calls import request_of

    def made(note: str) -> type[Callback]:
        class Noting(Callback):
            said = note

        return Noting

    for _ in range(2):
        run = request_of([PIPELINE], FEW, callbacks=[made("a"), made("b"), made("a")(), made("b")()]).run("fit")
        assert [one.said for one in run.trainer_arguments()["callbacks"]] == ["a", "b", "a", "b"]
        names = [node["class_path"].rpartition("__")[2] for node in run.config["trainer"]["callbacks"]]
        assert names == [
            "of_test_engine_api_test_two_classes_of_one_path_are_two_made",
            "as_2",
            "as_callbacks_2",
            "as_callbacks_3",
        ]


def test_a_function_may_be_the_optimizer() -> None:
    from aigenbench.engine.calls import request_of

    asked = request_of([PIPELINE], FEW | {"model.optimizer": lambda weights: torch.optim.AdamW(weights, lr=0.25)})
    detector = asked.run("fit").instantiate_model()
    assert detector.optimizer_factory(detector.parameters()).defaults["lr"] == 0.25
    asked = request_of([PIPELINE], FEW | {"model.optimizer": torch.optim.AdamW, "model.optimizer.lr": 0.5})
    detector = asked.run("fit").instantiate_model()
    assert detector.optimizer_factory(detector.parameters()).defaults["lr"] == 0.5


def test_a_detector_without_a_models_name_is_a_detector(small_dataset: Path) -> None:
    class Fixed(BaseDeepfakeDetectionModel):
        def __init__(self, model_input_size: int = 32) -> None:
            super().__init__("small_cnn_tune", model_input_size=model_input_size, model_args={"pretrained": False})

    from aigenbench.engine.calls import request_of

    run = request_of([PIPELINE], {"dataset_path": str(small_dataset)}, Fixed).run_with_weights("fit")
    assert run.instantiate_model().input_size == (224, 224)


@pytest.mark.parametrize("call", [ab.compare, ab.report, ab.robustness, ab.Detector.load])
def test_what_is_no_experiment_is_told(call: Any) -> None:
    with pytest.raises(ab.InputError, match="expected an experiment or its folder, found int"):
        call(3)


def test_a_fit_of_nothing_says_what_it_needs() -> None:
    with pytest.raises(ab.InputError, match=r"needs model\.init_args\.model_name"):
        ab.fit()


def test_an_experiment_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "experiment_x").mkdir()
    with pytest.raises(ab.InputError, match="did you mean 'experiment_x'"):
        ab.Experiment(tmp_path / "experiment_z")
    with pytest.raises(ab.InputError, match="is no experiment"):
        ab.Experiment(tmp_path / "experiment_x")


def test_the_benchmark_is_what_the_command_shows(small_dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    benchmark = ab.Benchmark(small_dataset, generators_per_window=2)
    assert main(["data", "windows", str(small_dataset), "--n-generators-per-window=2", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    plain = [{k: v for k, v in w.to_dict().items() if k != "index"} for w in benchmark.windows]
    assert json.loads(json.dumps(plain)) == shown["windows"]
    assert benchmark.fingerprint == shown["fingerprint"]
    table = benchmark.table("train")
    assert set(table["generator"][table["label"] == 0]) == {""}
    assert (table["generator_id"] > 0).sum() == 24
    assert len(benchmark.training_rows(0)) == benchmark.windows[0].train_images
    assert benchmark.image("validation", 0).shape == (40, 48, 3)
    for call, told in (
        (lambda: benchmark.image("validation", 10**6), "has no row"),
        (lambda: benchmark.table("nothing"), "no split 'nothing'"),
        (lambda: benchmark.training_rows(3), "there is no window 3"),
    ):
        with pytest.raises(ab.InputError, match=told):
            call()


def test_robustness_is_that_of_the_command(fitted: ab.Experiment) -> None:
    assert not inspect.signature(ab.robustness).parameters["overrides"].default
    (family,) = ab.robustness(fitted, families=["crop"], windows=[0])
    assert family.name == "crop"
    assert family.windows == (0,)


def test_the_package_imports_nothing_heavy() -> None:
    program = (
        "import sys, aigenbench as ab; ab.InputError; ab.Benchmark; dir(ab); "
        "print([m for m in ('torch', 'lightning', 'jsonargparse') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_report_is_written(fitted: ab.Experiment, tmp_path: Path) -> None:
    page = ab.report(fitted, output=tmp_path / "page.html", replicates=20)
    assert "<html" in page.read_text()
    with pytest.raises(ab.InputError, match="name an experiment"):
        ab.report()


def test_trainers_get_the_objects_that_were_given() -> None:
    from aigenbench.engine.calls import request_of

    run = request_of([PIPELINE], FEW, callbacks=[Counting()]).run("fit")
    first, second = (run.trainer_arguments()["callbacks"][-1] for _ in range(2))
    assert type(first) is Counting
    assert first is not second
    assert isinstance(Trainer(callbacks=[first], logger=False, enable_checkpointing=False), Trainer)
