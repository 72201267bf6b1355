"""Which images windows train on under each strategy, against plain definitions; what is refused; runs with them."""

from __future__ import annotations

import json
import math
import random
import re
import shutil
import signal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from training_harness import Events, arguments, outcome, run, run_together

from aigenbench.config.experiment import experiment_info
from aigenbench.config.layer import layer
from aigenbench.engine.assembly.request import Request
from aigenbench.errors import InputError
from aigenbench.protocol.identity import training_fingerprint
from aigenbench.protocol.randomness import sample_rng
from aigenbench.protocol.windows import Rows, TrainingSelection
from aigenbench.training import Strategy
from aigenbench.training.strategies import registry
from aigenbench.training.strategies.base import RowsContext
from aigenbench.training.strategies.features import check_features
from aigenbench.training.strategies.registry import Strategies
from aigenbench.training.strategies.rows import herded
from aigenbench.training.strategies.selection import Selection, selected
from aigenbench.training.window.inputs import set_up

PAGE = (Path(__file__).parents[2] / "docs" / "strategies.md").read_text(encoding="utf-8")
sizes_of_windows = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=4), min_size=1, max_size=5)
"""Fakes of every generator, by window."""


def made_of(sizes: list[list[int]], seed: int = 0) -> tuple[tuple[Rows, ...], np.ndarray]:
    """Own rows of every window, reals as many as fakes and first, and the generator of every row of the split."""
    ids = [0] * sum(map(sum, sizes))
    for generator, n in enumerate((n for window in sizes for n in window), start=1):
        ids += [generator] * n
    random.Random(seed).shuffle(ids)
    generator_ids = np.array(ids)
    reals, own, first = np.flatnonzero(generator_ids == 0), [], 1
    for window in sizes:
        fakes = np.flatnonzero(np.isin(generator_ids, range(first, first + len(window))))
        own.append(np.concatenate([reals[: len(fakes)], fakes]))
        reals, first = reals[len(fakes) :], first + len(window)
    return tuple(own), generator_ids


def choice_of(strategy: Any, own: tuple[Rows, ...], ids: np.ndarray, factor: int = 4) -> TrainingSelection:
    training = TrainingSelection(own, "cumulative")
    keys = np.arange(len(ids), dtype=np.uint64)
    info = experiment_info({"strategy": strategy})
    return selected(training, Strategies.of(info.strategy), ids, lambda: keys, factor)


def features_of(own: tuple[Rows, ...], seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(len(rows), 3)).astype(np.float32) + k for k, rows in enumerate(own)]


def with_features(training: TrainingSelection, features: list[np.ndarray], folder: Any) -> TrainingSelection:
    assert isinstance(training.choice, Selection)
    training.choice.attach(lambda window: folder / str(window), features.__getitem__)
    return training


def check_memory(training: TrainingSelection, own: tuple[Rows, ...], ids: np.ndarray) -> None:
    """No row twice, the new window's first and whole, and nothing that was dropped comes back."""
    for window in range(len(own)):
        rows = training.rows(window)
        assert rows.dtype == np.int64
        assert len(set(rows.tolist())) == len(rows), "no image twice, real or fake"
        assert rows[: len(own[window])].tolist() == own[window].tolist()
        remembered = set(rows[len(own[window]) :].tolist())
        assert remembered <= (set(training.rows(window - 1).tolist()) if window else set())
        assert training.sizes(window, 4) == (len(rows), 4 * len(rows))


def kept_of(rows: Rows, own: Rows, ids: np.ndarray) -> dict[int, int]:
    """How many of a window's own rows are among others, by generator."""
    found = ids[rows[np.isin(rows, own)]]
    return {int(one): int((found == one).sum()) for one in np.unique(ids[own])}


@settings(max_examples=60, deadline=None)
@given(sizes_of_windows, st.integers(0, 99))
def test_harmonic_keeps_one_in_age_of_every_generator(sizes: list[list[int]], seed: int) -> None:
    own, ids = made_of(sizes, seed)
    training = choice_of({"harmonic": {"seed": seed}}, own, ids)
    check_memory(training, own, ids)
    for window in range(len(own)):
        for earlier in range(window + 1):
            age = window - earlier + 1
            kept = kept_of(training.rows(window), own[earlier], ids)
            fakes = {one: math.ceil(Fraction(int((ids == one).sum()), age)) for one in kept if one}
            assert kept == {0: sum(fakes.values()), **fakes}, "as many reals as fakes"


def test_harmonic_of_one_window_is_cumulative_and_so_is_power_0() -> None:
    own, ids = made_of([[5, 3], [4], [6, 2]])
    plain = TrainingSelection(own, "cumulative")
    assert choice_of("harmonic", own, ids).rows(0).tolist() == plain.rows(0).tolist()
    flat = choice_of({"harmonic": {"power": 0}}, own, ids)
    for window in range(3):
        assert flat.rows(window).tolist() == plain.rows(window).tolist()
    steep = choice_of({"harmonic": {"power": 9}}, own, ids)
    assert kept_of(steep.rows(2), own[0], ids) == {0: 2, 1: 1, 2: 1}


def test_harmonic_of_copies_keeps_every_image() -> None:
    own, ids = made_of([[5, 3], [4], [6, 2]])
    training = choice_of({"harmonic": {"of": "copies"}}, own, ids, factor=5)
    rows = training.rows(2)
    assert rows.tolist() == TrainingSelection(own, "cumulative").rows(2).tolist()
    copies = {row: 5 if row in own[2] else 3 if row in own[1] else 2 for row in rows.tolist()}
    expected = [place * 5 + copy for place, row in enumerate(rows.tolist()) for copy in range(copies[row])]
    found = training.samples(2, 5)
    assert found is not None
    assert found.tolist() == expected
    assert training.sizes(2, 5) == (len(rows), len(expected))


@settings(max_examples=60, deadline=None)
@given(sizes_of_windows, st.integers(0, 60), st.sampled_from(["balanced", "herding"]))
def test_a_budget_is_shared_evenly(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[list[int]], more: int, selection: str
) -> None:
    own, ids = made_of(sizes)
    budget = max(1, 2 * sum(map(len, sizes[:-1])) + more)
    training = choice_of({"replay": {"budget": budget, "selection": selection}}, own, ids)
    if selection == "herding":
        training = with_features(training, features_of(own), tmp_path_factory.mktemp("none"))
    check_memory(training, own, ids)
    for window in range(1, len(own)):
        rows, earlier = training.rows(window), [n for of_window in sizes[:window] for n in of_window]
        level = max(n for n in range(1, 10) if 2 * sum(min(n, of) for of in earlier) <= budget)
        assert len(rows) - len(own[window]) == 2 * sum(min(level, of) for of in earlier) <= budget
        for one in range(window):
            kept = kept_of(rows, own[one], ids)
            fakes = {id_: min(level, int((ids == id_).sum())) for id_ in kept if id_}
            assert kept == {0: sum(fakes.values()), **fakes}, "as many reals as fakes"


@settings(max_examples=40, deadline=None)
@given(sizes_of_windows, st.integers(0, 40), st.integers(0, 3))
def test_a_reservoir_is_algorithm_r(sizes: list[list[int]], more: int, seed: int) -> None:
    own, ids = made_of(sizes)
    budget = max(1, 2 * sum(map(len, sizes[:-1])) + more)
    training = choice_of({"replay": {"budget": budget, "selection": "reservoir", "seed": seed}}, own, ids)
    check_memory(training, own, ids)
    for window in range(1, len(own)):
        expected: set[int] = set()
        for label in (0, 1):
            rng, slots = sample_rng(seed, "train", label, 0, "reservoir"), []
            stream = [row for rows in own[:window] for row in rows.tolist() if (ids[row] > 0) == label]
            for i, row in enumerate(stream):
                if i < budget // 2:
                    slots.append(row)
                elif (place := rng.integers(0, i + 1)) < budget // 2:
                    slots[place] = row
            expected |= set(slots)
        assert set(training.rows(window)[len(own[window]) :].tolist()) == expected


def test_a_reservoir_keeps_all_with_the_same_probability() -> None:
    own, ids = made_of([[20], [20], [1]])
    counts = np.zeros(len(ids))
    for seed in range(400):
        training = choice_of({"replay": {"budget": 20, "selection": "reservoir", "seed": seed}}, own, ids)
        counts[training.rows(2)[2:]] += 1
    earlier = np.concatenate(own[:2])
    # 10 of 40 of each label: 100 times of 400, standard deviation 8.7
    assert np.abs(counts[earlier] - 100).max() < 5 * 8.7


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(0, 99))
def test_herding_is_the_greedy_match_of_the_mean(n: int, seed: int) -> None:
    features = np.random.default_rng(seed).normal(size=(n, 4)).astype(np.float32)
    unit = features / np.linalg.norm(features.astype(float), axis=1, keepdims=True)
    left, chosen = list(range(n)), []
    while left:
        gaps = {i: np.linalg.norm(unit.mean(axis=0) - unit[[*chosen, i]].mean(axis=0)) for i in left}
        chosen.append(min(left, key=gaps.__getitem__))
        left.remove(chosen[-1])
    found = herded(features, n).tolist()
    assert sorted(found) == list(range(n))
    # equals from where another choice is as near, which rounding decides
    assert found[:-2] == chosen[:-2]
    assert herded(features, n // 2).tolist() == found[: n // 2]


def test_herding_takes_the_features_of_the_window_that_images_come_from(tmp_path: Path) -> None:
    own, ids = made_of([[8], [8], [8]])
    features, asked = features_of(own), []
    training = choice_of({"replay": {"budget": 8, "selection": "herding"}}, own, ids)
    assert isinstance(training.choice, Selection)
    assert training.sizes(2, 1) == (24, 24), "sizes are known before"
    with pytest.raises(InputError, match="known when window 1 is trained"):
        training.rows(2)

    def features_after(window: int) -> np.ndarray:
        asked.append(window)
        return features[window]

    training.choice.attach(lambda window: tmp_path / str(window), features_after)
    first = [
        row for group in (0, 1) for row in own[0][ids[own[0]] == group][herded(of(features, own, ids, 0, group), 4)]
    ]
    assert training.rows(1)[16:].tolist() == first
    second = [
        row for group in (0, 2) for row in own[1][ids[own[1]] == group][herded(of(features, own, ids, 1, group), 2)]
    ]
    assert training.rows(2)[16:].tolist() == [*second, *first[:2], *first[4:6]]
    assert asked == [0, 1]


def of(features: list[np.ndarray], own: tuple[Rows, ...], ids: np.ndarray, window: int, generator: int) -> np.ndarray:
    return features[window][ids[own[window]] == generator]


def test_new_window_is_what_continual_learning_does() -> None:
    own, ids = made_of([[5, 3], [4], [6, 2]])
    for window in range(3):
        rows = choice_of("new_window", own, ids).rows(window)
        assert rows.tolist() == TrainingSelection(own, "continual_learning").rows(window).tolist()


def test_the_default_is_untouched() -> None:
    own, ids = made_of([[5, 3], [4]])
    for strategy in (None, "cumulative", {"cumulative": None}):
        training = choice_of(strategy, own, ids)
        assert training.rows(1).tolist() == TrainingSelection(own, "cumulative").rows(1).tolist()
        assert training.samples(1, 4) is None
    assert choice_of(None, own, ids).choice is None


def test_what_a_window_was_begun_with_stays(tmp_path: Path) -> None:
    own, ids = made_of([[5, 3], [4], [6, 2]])
    training = choice_of("harmonic", own, ids)
    assert isinstance(training.choice, Selection)
    training.choice.write(tmp_path, 2, 4)
    written = np.load(tmp_path / "training_images.npz")
    rows = training.rows(2)
    assert written["rows"].tolist() == rows.tolist()
    assert written["generator_ids"].tolist() == ids[rows].tolist()
    assert written["windows"].tolist() == [next(k for k in range(3) if row in own[k]) for row in rows]
    assert set(written["copies"]) == {4}
    assert written["keys"].tolist() == rows.tolist(), "as the test's keys are"
    other = choice_of("new_window", own, ids)
    assert isinstance(other.choice, Selection)
    other.choice.attach(lambda _: tmp_path, None)  # type: ignore[arg-type]
    assert other.rows(2).tolist() == rows.tolist()
    assert other.sizes(2, 4) == (len(rows), 4 * len(rows))
    changed = {name: written[name] for name in written.files}
    for name, value, told in (
        ("keys", changed["keys"] + np.uint64(1), "was begun with images that are not, or not there, in the data set"),
        ("rows", changed["rows"] + 1000, "was begun with images"),
        ("rows", changed["rows"][:3], "is damaged: remove the window's folder"),
    ):
        np.savez(tmp_path / "training_images.npz", **{**changed, name: value})
        again = choice_of("new_window", own, ids)
        assert isinstance(again.choice, Selection)
        again.choice.attach(lambda _: tmp_path, None)  # type: ignore[arg-type]
        with pytest.raises(InputError, match=told):
            again.rows(2)


class Own(Strategy):
    def __init__(self, rows: Any = None, copies: Any = None) -> None:
        self.given, self.number = rows, copies

    def rows(self, context: RowsContext) -> Any:
        return np.concatenate(context.own) if self.given is None else np.array(self.given)

    def copies(self, context: RowsContext, rows: Rows, factor: int) -> Any:
        return np.full(len(rows), factor if self.number is None else self.number)


@pytest.mark.parametrize(
    ("strategy", "told"),
    [
        ("harmonik", "unknown 'harmonik'; known: .*; did you mean 'harmonic'"),
        ({}, "expected a name such as cumulative"),
        (["harmonic"], "expected a name such as cumulative"),
        ({"harmonic": 3}, "expected a name such as cumulative"),
        ({"harmonic": {"powr": 1}}, "harmonic takes power, of, seed; unknown 'powr'; did you mean 'power'"),
        ({"new_window": {"a": 1}}, "new_window takes no arguments; unknown 'a'"),
        ({"harmonic": {"power": -1}}, "harmonic power must be a number from 0 on, found -1"),
        ({"harmonic": {"of": "pixels"}}, "harmonic of: expected images or copies, found 'pixels'"),
        ({"harmonic": None, "new_window": None}, "harmonic and new_window both say which images"),
        ("replay", "replay needs budget, such as {replay: {budget: ...}}"),
        ({"replay": {"budget": 0.5}}, "replay budget must be a whole number from 1 on, found 0.5"),
        (
            {"replay": {"budget": 5}},
            "replay budget 5 is below one image of each of the 3 .* before window 2, .* at least 6",
        ),
        ({"replay": {"budget": 9, "selection": "best"}}, "replay selection: expected balanced or reservoir or herding"),
        ({"replay": {"budget": 9, "seed": -1}}, "replay seed must be a whole number from 0 on, found -1"),
        ({"own": {"rows": [0, 0]}}, "own gives window 2 a row twice, or one that no window so far has"),
        ({"own": {"rows": [99]}}, "own gives window 2 a row twice, or one that no window so far has"),
        ({"own": {"rows": []}}, r"own must give window 2 rows, int64 \(n,\), found float64 \(0,\)"),
        ({"own": {"copies": 5}}, "own must give each row of window 2 1 to 4 copies"),
    ],
)
def test_what_cannot_be_is_refused_by_name(strategy: Any, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.STRATEGIES, "own", Own)
    own, ids = made_of([[5, 3], [4], [6, 2]])
    with pytest.raises(InputError, match=rf"experiment_info\.strategy: {told}"):
        choice_of(strategy, own, ids)


def test_copies_need_copies() -> None:
    own, ids = made_of([[5, 3], [4]])
    with pytest.raises(InputError, match=r"harmonic of copies needs data\.augmentation_factor above 1"):
        choice_of({"harmonic": {"of": "copies"}}, own, ids, factor=1)


def based_on(dataset: Path, strategy: Any, kind: str = "cumulative") -> dict[str, Any]:
    return {
        "model": {"model_name": "small_cnn_tune", "model_input_size": 16, "model_args": {"pretrained": False}},
        "trainer": {"accelerator": "cpu"},
        "dataset_path": str(dataset),
        "experiment_info": {
            "sliding_windows_definition": {"n_generators_per_window": 2, "benchmark_type": kind},
            **({} if strategy is None else {"strategy": strategy}),
        },
    }


@pytest.mark.parametrize(
    ("kind", "strategy", "told"),
    [
        ("continual_learning", "harmonic", "harmonic contradicts benchmark_type continual_learning"),
        ("continual_learning", "cumulative", "cumulative contradicts benchmark_type continual_learning"),
        ("none", "new_window", "new_window goes over windows, and benchmark_type none has none"),
        ("continual_learning", "new_window", None),
        ("continual_learning", None, None),
        ("none", "cumulative", None),
    ],
)
def test_the_benchmark_type_is_not_contradicted(
    kind: str, strategy: str | None, told: str | None, small_dataset: Path
) -> None:
    base = based_on(small_dataset, strategy, kind)
    if told is not None:
        with pytest.raises(InputError, match=rf"experiment_info\.strategy: {told}"):
            set_up(Request((layer("base", base),)).run("fit"), "train")
        return
    setup = set_up(Request((layer("base", base),)).run("fit"), "train")
    assert setup.plan.training.choice is None
    assert setup.plan.benchmark_type == kind


def test_what_is_stored_and_served_is_what_a_strategy_may_choose(small_dataset: Path) -> None:
    base = based_on(small_dataset, {"replay": {"budget": 8, "selection": "herding"}})
    plan = set_up(Request((layer("base", base),)).run("fit"), "store").plan
    assert plan.training.candidates(1).tolist() == np.concatenate(plan.training.own[:2]).tolist()
    base = based_on(small_dataset, {"harmonic": {"of": "copies"}})
    setup = set_up(Request((layer("base", base),)).run("fit"), "train")
    setup.pipeline.serve(setup.plan, 2, 1, (None, None))
    setup.pipeline.trainer = SimpleNamespace(lightning_module=setup.detector)  # type: ignore[assignment]
    served = setup.pipeline.train_dataset
    # 16 images in four copies, and as many in two
    assert len(served) == setup.plan.training.sizes(2, 4)[1] == 16 * (4 + 2 + 2)
    assert served[-1 + 16 * 4][3] == setup.plan.training.own[2][-1]
    assert served[16 * 4 + 2][3] == setup.plan.training.own[1][1]


def test_a_strategy_has_a_name_of_its_own() -> None:
    with pytest.raises(InputError, match="register_strategy: 'harmonic' is one of"):
        registry.register_strategy("harmonic", Own)


@pytest.fixture(scope="module")
def three(made: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three generators, a window each."""
    return made.default(tmp_path_factory.mktemp("data") / "three", generators=3, fakes_each=8)


def argv_of(three: Path, folder: Path, strategy: str | None, *more: str) -> list[str]:
    named = () if strategy is None else (f"--experiment_info.strategy={strategy}",)
    model = ("--model.model_name=small_cnn_tune", "--model.model_args.pretrained=false")
    return arguments(three, folder, *model, *named, *more)


def fitted(folder: Path, argv: list[str]) -> Path:
    assert run(folder, argv)[0] == 0, (folder / "log.txt").read_text()[-3000:]
    return folder / "experiments_data" / "experiment_x"


HERDING = "{replay: {budget: 8, selection: herding}}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "strategy", ["{harmonic: {of: copies}}", "{replay: {budget: 8, selection: reservoir}}", HERDING]
)
def test_a_killed_run_ends_as_an_undisturbed_one(three: Path, tmp_path: Path, strategy: str) -> None:
    experiment = fitted(tmp_path / "undisturbed", argv_of(three, tmp_path / "undisturbed", strategy))
    for window in range(3):
        record = json.loads((experiment / f"window_{window}" / "run.json").read_text())
        written = np.load(experiment / f"window_{window}" / "training_images.npz")
        assert record["training_fingerprint"] == training_fingerprint(written["keys"])
        assert record["steps_per_epoch"] == written["copies"].sum() // 8
        assert list(record["strategy"]) == [strategy.strip("{").partition(":")[0]]
    folder = tmp_path / "killed"
    argv = argv_of(three, folder, strategy)
    for kill_at in (40, 90, 60, 90):
        assert run(folder, argv, Events(kill_at=kill_at))[0] == -signal.SIGKILL
    fitted(folder, argv)
    assert outcome(folder) == outcome(tmp_path / "undisturbed")


@pytest.mark.slow
def test_the_default_is_named_or_not(three: Path, tmp_path: Path) -> None:
    for number, strategy in enumerate([None, "cumulative"]):
        fitted(tmp_path / str(number), argv_of(three, tmp_path / str(number), strategy))
    assert outcome(tmp_path / "0") == outcome(tmp_path / "1")
    configs = [
        (tmp_path / str(number) / "experiments_data/experiment_x/config.yaml").read_text().replace(f"/{number}/", "/")
        for number in range(2)
    ]
    assert configs[0] == configs[1]


@pytest.mark.slow
def test_two_processes_choose_and_train_alike(three: Path, tmp_path: Path) -> None:
    more = ("--data.train_batch_size=2", "--trainer.strategy=ddp")
    one = argv_of(three, tmp_path / "one", HERDING, "--data.train_batch_size=4", "--trainer.accumulate_grad_batches=2")
    fitted(tmp_path / "one", one)
    two = argv_of(three, tmp_path / "two", HERDING, *more)
    assert [code for code, _ in run_together(tmp_path / "two", two)] == [0, 0], (tmp_path / "two/log.txt").read_text()
    for window in range(3):
        place = f"experiments_data/experiment_x/window_{window}/training_images.npz"
        chosen = [np.load(tmp_path / name / place) for name in ("one", "two")]
        assert chosen[0]["rows"].tolist() == chosen[1]["rows"].tolist()


@pytest.mark.slow
def test_heads_on_stored_features_train_on_what_runs_of_their_own_do(three: Path, tmp_path: Path) -> None:
    probe = ("--model.model_name=small_cnn_probe", "--data.features=cache")
    heads = "--experiment_info.heads=[{lr: 0.5}]"
    together = fitted(tmp_path / "together", argv_of(three, tmp_path / "together", HERDING, *probe, heads))
    alone = fitted(
        tmp_path / "alone", argv_of(three, tmp_path / "alone", HERDING, *probe, "--model.optimizer.init_args.lr=0.5")
    )
    head = together.with_name("experiment_x_lr_0.5")
    for window in range(3):
        for name in ("training_images.npz", "predictions_validate_all.npz"):
            own, theirs = (np.load(folder / f"window_{window}" / name) for folder in (head, alone))
            assert all(np.array_equal(own[key], theirs[key], equal_nan=own[key].dtype.kind == "f") for key in own.files)
    expected = outcome(tmp_path / "alone")
    shutil.rmtree(tmp_path / "alone" / "experiments_data")
    argv = argv_of(three, tmp_path / "alone", HERDING, *probe, "--model.optimizer.init_args.lr=0.5")
    for kill_at in (60, 90):
        assert run(tmp_path / "alone", argv, Events(kill_at=kill_at))[0] == -signal.SIGKILL
    fitted(tmp_path / "alone", argv)
    assert outcome(tmp_path / "alone") == expected


def test_without_features_none_are_herded(small_dataset: Path) -> None:
    base = based_on(small_dataset, {"replay": {"budget": 8, "selection": "herding"}})
    with pytest.raises(InputError, match=r"replay chooses by features, which trainer\.strategy fsdp keeps in parts"):
        set_up(Request((layer("base", base), layer("more", {"trainer": {"strategy": "fsdp"}}))).run("fit"), "train")
    detector = SimpleNamespace(model=torch.nn.Linear(2, 1), model_name="mine")
    with pytest.raises(InputError, match="replay chooses by features, and mine is a module of its own"):
        check_features("replay", detector, {})  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_pages_own_strategy_runs(three: Path, tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    assert len(program.splitlines()) < 40
    (tmp_path / "my_strategy.py").write_text(program)
    own = (f"--import={tmp_path / 'my_strategy.py'}",)
    experiment = fitted(tmp_path, argv_of(three, tmp_path, "{recent: {n: 1}}", *own))
    written = np.load(experiment / "window_2" / "training_images.npz")
    assert np.bincount(written["windows"]).tolist() == [0, 16, 16]
    assert np.bincount(written["windows"], written["copies"]).tolist() == [0, 16, 32]
    assert run(tmp_path, argv_of(three, tmp_path, "{recent: {m: 1}}", *own))[0] == 2
    assert "recent takes n, older_copies; unknown 'm'" in (tmp_path / "log.txt").read_text()


def test_the_page_names_every_strategy() -> None:
    for name in registry._BUILT_IN:
        assert f"| `{name}`" in PAGE, name
