from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluation_honest import PER_GENERATOR, write_honest
from evaluation_made_up import made_up

from aigenbench.evaluation.predictions import standing
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions, assemble, load_experiment
from aigenbench.evaluation.predictions.standing import standing_of
from aigenbench.evaluation.report.page import render
from aigenbench.evaluation.report.results import make_run
from aigenbench.evaluation.report.view import make_view
from aigenbench.evaluation.statistics.uncertainty import Effort


@pytest.fixture
def honest(tmp_path: Path) -> ExperimentPredictions:
    return load_experiment(write_honest(tmp_path / "experiment_honest"))


@pytest.fixture
def of_benchmark_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "PER_GENERATOR", PER_GENERATOR)


def page_of(experiment: ExperimentPredictions, records: dict[int, dict[str, object]] | None = None) -> str:
    return render([make_view(make_run(experiment, records or {}, "", Effort(10, 5)))])


@pytest.mark.usefixtures("of_benchmark_size")
def test_the_benchmark_itself_stands_beside_published_results(honest: ExperimentPredictions) -> None:
    found = standing_of(honest)
    assert (found.kind, found.text) == ("benchmark", "benchmark")
    page = page_of(honest)
    assert '<span class="badge benchmark">benchmark</span>' in page
    for text in ("DINOv2 ViT-L/14", "94.24", "other random draws, no interval given"):
        assert text in page
    assert "Published results are not shown" not in page


def test_a_part_says_of_how_many_generators_and_fakes(honest: ExperimentPredictions) -> None:
    n = 36 * PER_GENERATOR
    assert standing_of(honest).text == f"partial: 36 of 36 generators, {n} fakes"
    page = page_of(honest)
    assert f'<span class="badge partial">partial: 36 of 36 generators, {n} fakes</span>' in page
    assert "DINOv2" not in page


@pytest.mark.usefixtures("of_benchmark_size")
def test_what_only_looks_like_the_benchmark_says_why_it_is_not(honest: ExperimentPredictions) -> None:
    def other(**changes: object) -> ExperimentPredictions:
        windows = {k: replace(p, **changes) for k, p in honest.windows.items()}  # type: ignore[arg-type]
        return replace(honest, windows=windows)

    assert standing_of(other(protocol_fingerprint="f" * 16)).text.endswith("fakes, other evaluation steps")
    assert standing_of(other(benchmark_type="none")).text.endswith("fakes, not trained window by window")
    names = honest.first.windows_timeline
    swapped = ((*names[0][1:], names[0][0]), *names[1:])
    assert standing_of(other(windows_timeline=swapped)).text.endswith("fakes, in other windows")
    assert standing_of(other(protocol_fingerprint=None)).is_benchmark
    begun = replace(honest, windows={k: honest.windows[k] for k in (0, 1)})
    assert standing_of(begun).text.endswith("fakes, 2 of 9 windows")


@pytest.mark.usefixtures("of_benchmark_size")
def test_a_detector_that_the_protocol_has_not_trained_stands_beside_no_published_result(
    honest: ExperimentPredictions,
) -> None:
    windows = {
        k: replace(p, knowledge="trained on ProGAN", seen_generators=("ProGAN",)) for k, p in honest.windows.items()
    }
    foreign = replace(honest, windows=windows)
    assert standing_of(foreign).text == "benchmark; not trained by the protocol"
    assert not standing_of(foreign).is_benchmark
    page = page_of(foreign)
    for text in ("its training: trained on ProGAN", "ProGAN*", "AUROC (%) over what it had seen"):
        assert text in page
    assert "DINOv2 ViT-L/14" not in page
    as_is = replace(honest, windows={k: replace(p, evaluation_steps="as is") for k, p in honest.windows.items()})
    assert standing_of(as_is).text.endswith("fakes, scored as is")


@pytest.mark.usefixtures("of_benchmark_size")
def test_made_up_data_are_never_the_benchmark(honest: ExperimentPredictions) -> None:
    records = {0: {"data": "synthetic"}}
    assert (
        standing_of(honest, records).text == f"synthetic: stand-ins for 36 of 36 generators, {36 * PER_GENERATOR} fakes"
    )
    page = page_of(honest, records)
    assert "nothing here says anything about real generators" in page
    assert "DINOv2" not in page


@pytest.mark.usefixtures("of_benchmark_size")
def test_a_matched_copy_is_not_the_benchmark(honest: ExperimentPredictions) -> None:
    assert standing_of(honest, {0: {}}).is_benchmark
    matched = standing_of(honest, {0: {"data": "matched"}})
    assert matched.text == f"partial: 36 of 36 generators, {36 * PER_GENERATOR} fakes, every image stored anew"


def test_other_generators_are_counted_apart() -> None:
    own = assemble("e", "validate", {0: made_up(4, (("A",), ("B",)))}, "e")
    assert standing_of(own).text == "own data: 2 generators, 8 fakes"
    mixed = assemble("e", "validate", {0: made_up(1, (("CycleGAN", "A"), ("B",)))}, "e")
    assert standing_of(mixed).text == "partial: 1 of 36 generators and 2 others, 3 fakes"


def test_generators_without_fakes_do_not_count() -> None:
    p = made_up(3, (("CycleGAN",), ("ProGAN",)))
    keep = (p.fused_generator_ids != 2) & (p.pairing != 2)
    fused = {n: getattr(p, f"fused_{n}")[keep] for n in ("scores", "labels", "generator_ids", "identifiers", "losses")}
    both = {f"{side}_{name}": values for side in ("fused", "crop") for name, values in fused.items()}
    part = replace(
        p,
        **both,
        fused_logits=None,
        crop_logits=None,
        identifier=p.identifier[keep],
        pairing=p.pairing[keep],
        crop_to_image_index=np.arange(int(keep.sum())),
    )
    assert standing_of(assemble("e", "validate", {0: part}, "e")).text == "partial: 1 of 36 generators, 3 fakes"
