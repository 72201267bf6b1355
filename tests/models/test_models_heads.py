"""Transforms, heads and scorers against plain definitions, NumPy's and scikit-learn's."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.covariance import EmpiricalCovariance, ShrunkCovariance
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.preprocessing import StandardScaler
from torch import nn

from aigenbench.errors import InputError
from aigenbench.models.heads import choice
from aigenbench.models.heads.choice import HeadChoice, register_head, register_transform
from aigenbench.models.heads.learned import Fused, Linear
from aigenbench.models.heads.rows import Rows
from aigenbench.models.heads.scorers import Distance, Scorer
from aigenbench.models.heads.transforms import SimLBR, Standardise, Transform
from aigenbench.models.parts import Part
from aigenbench.models.probe import Classifier

ONE = (Part("a", 6),)
TWO = (Part("a", 3, 1), Part("a", 3, 2), Part("b", 4))
Array = NDArray[np.float32]


def drawn(n: int = 60, width: int = 6, seed: int = 0, generators: int = 4) -> tuple[Array, NDArray[np.int64]]:
    """Features about a mean of each generator's own, and generator ids; every other row is real."""
    rng = np.random.default_rng(seed)
    ids = np.where(np.arange(n) % 2, rng.integers(1, generators, n), 0)
    means = np.random.default_rng(9).normal(scale=0.7, size=(generators, width))
    return (means[ids] + rng.normal(size=(n, width)) + 3).astype(np.float32), ids


def rows_of(ids: NDArray[np.int64]) -> Rows:
    return Rows(torch.from_numpy((ids > 0).astype(np.int64)), torch.from_numpy(ids))


def trained(head: Any, features: Array, ids: NDArray[np.int64], batch: int = 7, layout: Any = ONE) -> Scorer:
    """A scorer that has taken the rows, batch by batch."""
    made, _ = HeadChoice.of(head).built(layout, 1)
    assert isinstance(made, Scorer)
    for start in range(0, len(ids), batch):
        rows = slice(start, start + batch)
        assert made.training_outputs(torch.from_numpy(features[rows]), rows_of(ids[rows])) == []
    return made.eval()


def scores(head: nn.Module, features: Array) -> Array:
    with torch.no_grad():
        return head(torch.from_numpy(features)).numpy()[:, 0]


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("chunk", [8192, 13])
def test_knn_is_that_of_scikit_learn(distance: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aigenbench.models.heads.scorers.CHUNK", chunk)
    (features, ids), (query, _) = drawn(), drawn(25, seed=1)
    found = scores(trained({"knn": {"k": 5, "distance": distance, "bank": 100}}, features, ids), query)
    theirs = KNeighborsClassifier(5, metric=distance).fit(features, ids > 0)
    fakes = 5 * theirs.predict_proba(query)[:, 1]
    np.testing.assert_allclose(found, np.log((fakes + 0.5) / (5 - fakes + 0.5)), atol=1e-6)
    assert len(np.unique(found)) > 2


def test_knn_with_fewer_rows_than_neighbours() -> None:
    features, ids = drawn(3)
    np.testing.assert_allclose(scores(trained("knn", features, ids), features), np.log(1.5 / 2.5), rtol=1e-6)


def test_a_full_bank_is_an_even_draw() -> None:
    rng = np.random.default_rng(0)
    kept = np.zeros(40)
    for _ in range(200):
        features = np.eye(40, dtype=np.float32)[rng.permutation(40)]
        ids = np.ones(40, np.int64)
        bank = trained({"knn": {"k": 1, "bank": 10, "distance": "euclidean"}}, features, ids, 7, (Part("", 40),))
        rows = bank.get_buffer("features").numpy()
        assert len(np.unique(rows.argmax(axis=1))) == 10, "no row twice"
        kept += rows.sum(axis=0)
    # 50 of 200 expected, with a deviation of 6.1
    assert kept.sum() == 2000
    assert kept.min() > 25
    assert kept.max() < 75


def test_prototypes_by_label_decide_as_nearest_centroid() -> None:
    (features, ids), (query, _) = drawn(), drawn(40, seed=1)
    found = scores(trained("prototypes", features, ids), query)
    theirs = NearestCentroid().fit(features, ids > 0)
    np.testing.assert_array_equal(found > 0, theirs.predict(query))
    real, fake = (np.linalg.norm(query - mean, axis=1) for mean in theirs.centroids_)
    np.testing.assert_allclose(found, real - fake, atol=1e-4)


def test_prototypes_by_generator() -> None:
    (features, ids), (query, _) = drawn(), drawn(40, seed=1)
    found = scores(trained({"prototypes": {"by": "generator", "n_classes": 9}}, features, ids), query)
    away = [np.linalg.norm(query - features[ids == one].mean(axis=0), axis=1) for one in range(4)]
    np.testing.assert_allclose(found, away[0] - np.min(away[1:], axis=0), atol=1e-4)
    with pytest.raises(InputError, match=r"has 3 classes, .* hold generator 3; set its n_classes to at least 4"):
        trained({"prototypes": {"by": "generator", "n_classes": 3}}, features, ids)


@pytest.mark.parametrize(("covariance", "shrinkage"), [("shrunk", 0.1), ("shrunk", 0.5), ("identity", 0.1)])
def test_distance_to_the_reals(covariance: str, shrinkage: float) -> None:
    (features, ids), (query, _) = drawn(), drawn(40, seed=1)
    named = {"distance": {"covariance": covariance, "shrinkage": shrinkage}}
    found = scores(trained(named, features, ids), query)
    reals = features[ids == 0].astype(np.float64)
    theirs = ShrunkCovariance(shrinkage=shrinkage).fit(reals)
    if covariance == "identity":
        theirs = EmpiricalCovariance().fit(reals)
        theirs.precision_ = np.eye(6)
    np.testing.assert_allclose(
        found + 1, theirs.mahalanobis(query) / theirs.mahalanobis(reals).mean(), rtol=1e-4, err_msg="d^2 over its mean"
    )


@pytest.mark.parametrize("head", ["knn", "prototypes", "distance"])
def test_a_scorer_begins_anew_loads_and_keeps_its_type(head: str) -> None:
    features, ids = drawn()
    first = trained(head, features, ids)
    again, _ = HeadChoice.of(head).built(ONE, 1)
    again.eval().load_state_dict(copy.deepcopy(first.state_dict()))
    np.testing.assert_array_equal(scores(again, features), scores(first, features))
    assert first.to(torch.bfloat16).state_dict().keys() == again.state_dict().keys()
    assert all(torch.equal(a, b) for a, b in zip(first.buffers(), again.buffers(), strict=True)), "stays float32"
    first.reset()
    for start in range(0, 60, 7):
        first.training_outputs(torch.from_numpy(features[start : start + 7]), rows_of(ids[start : start + 7]))
    np.testing.assert_array_equal(scores(first.eval(), features), scores(again, features))


def test_rows_of_all_processes_are_taken() -> None:
    features, ids = drawn()
    alone = trained("distance", features, ids, batch=60)
    shared = Distance(ONE, 1)

    def everyones(*mine: torch.Tensor) -> tuple[torch.Tensor, ...]:
        assert all(len(one) == 30 for one in mine)
        whole = rows_of(ids)
        return torch.from_numpy(features), whole.labels, whole.generator_ids

    half = rows_of(ids[:30])._replace(everyones=everyones)
    shared.training_outputs(torch.from_numpy(features[:30]), half)
    np.testing.assert_array_equal(scores(shared.eval(), features), scores(alone, features))


# transforms


def built(transform: Any, layout: Any = ONE) -> Transform:
    return HeadChoice.of("linear", transform).built(layout, 1)[1][0]


def test_standardise_is_that_of_scikit_learn() -> None:
    features, ids = drawn()
    features[:, 2] = 5.0
    transform = built("standardise")
    for start in range(0, 60, 7):
        rows = slice(start, start + 7)
        last = transform(torch.from_numpy(features[rows]), rows_of(ids[rows]))
    expected = StandardScaler().fit_transform(features.astype(np.float64))
    np.testing.assert_allclose(transform(torch.from_numpy(features)).numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(last.numpy(), expected[56:], atol=1e-5, err_msg="a training batch is counted first")


def test_normalise_and_gate() -> None:
    features, _ = drawn()
    unit = built("normalise")(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(unit, features / np.linalg.norm(features, axis=1, keepdims=True), rtol=1e-6)
    gate = built("gate", TWO[:2])
    assert sum(part.width for part in gate.layout) == 3
    parts = features.reshape(-1, 2, 3)
    np.testing.assert_allclose(gate(torch.from_numpy(features)).detach().numpy(), parts.mean(axis=1), rtol=1e-6)
    (weight,) = gate.parameters()
    weight.data = torch.tensor([0.0, np.log(3.0)])
    expected = 0.25 * parts[:, 0] + 0.75 * parts[:, 1]
    found = gate(torch.from_numpy(features))
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-5)
    found.sum().backward()
    assert weight.grad is not None
    assert weight.grad.any(), "it is learned"


def test_simlbr_moves_fakes_towards_reals_in_training_alone() -> None:
    features, ids = (torch.from_numpy(one) for one in drawn(4000))
    transform = SimLBR(ONE, share=0.25, alpha=(0.2, 0.6))
    rows = rows_of(ids.numpy())
    torch.manual_seed(5)
    first = transform(features, rows)
    torch.manual_seed(5)
    assert torch.equal(transform(features, rows), first), "drawn from the seed of the batch"
    moved = (first != features).any(dim=1)
    assert not moved[ids == 0].any()
    assert moved[ids > 0].float().mean().item() == pytest.approx(0.25, abs=0.03)
    reals = features[ids == 0]
    alphas = []
    for fake, blend in zip(features[moved][:200], first[moved][:200], strict=True):
        # the blend lies on the line to one of the reals
        way, gone = reals - fake, blend - fake
        alpha = (way @ gone) / way.square().sum(dim=1)
        off = (alpha[:, None] * way - gone).norm(dim=1)
        assert off.min() < 1e-4
        alphas.append(alpha[off.argmin()].item())
    assert min(alphas) > 0.199
    assert max(alphas) < 0.601
    assert np.std(alphas) == pytest.approx(0.4 / np.sqrt(12), rel=0.15)
    assert torch.equal(transform(features), features), "no evaluation changes"
    fakes = ids > 0
    assert torch.equal(transform(features[fakes], rows_of(ids[fakes].numpy())), features[fakes]), (
        "no real to blend with"
    )


# heads that are learned


def test_mlp() -> None:
    features, _ = drawn()
    head, _ = HeadChoice.of({"mlp": {"hidden": 5, "dropout": 0.4}}).built(ONE, 3)
    first, first_bias, last, last_bias = (one.detach().numpy().astype(np.float64) for one in head.parameters())
    hidden = features @ first.T + first_bias
    from scipy.stats import norm

    expected = (hidden * norm.cdf(hidden)) @ last.T + last_bias
    found = head.eval()(torch.from_numpy(features))
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-5)
    assert not torch.equal(head.train()(torch.from_numpy(features)), found), "dropout"


def test_fused_heads_are_trained_as_if_alone() -> None:
    features = torch.from_numpy(drawn(width=10)[0])
    labels = torch.from_numpy((drawn()[1] > 0).astype(np.float32))
    head = Fused(TWO, 1)
    *each, together = head.training_outputs(features, rows_of(drawn()[1]))
    own = [nn.Linear(6, 1), nn.Linear(4, 1)]
    for mine, theirs in zip(own, head.heads, strict=True):
        mine.load_state_dict(theirs.state_dict())
    for found, mine, part in zip(each, own, features.split([6, 4], dim=1), strict=True):
        torch.testing.assert_close(found, mine(part))
        nn.functional.binary_cross_entropy_with_logits(mine(part)[:, 0], labels).backward()
    torch.testing.assert_close(together, (each[0] + each[1]) / 2)
    torch.testing.assert_close(head(features), together)
    sum(nn.functional.binary_cross_entropy_with_logits(one[:, 0], labels) for one in (*each, together)).backward()  # type: ignore[union-attr]
    for mine, theirs in zip(own, head.heads, strict=True):
        torch.testing.assert_close(theirs.weight.grad, mine.weight.grad)
    assert head.weight.grad is not None
    assert head.weight.grad.any(), "and so are the weights between them"


def test_a_classifier_has_one_linear_layer_unless_asked() -> None:
    torch.manual_seed(3)
    model = Classifier(nn.Identity(), 2, num_features=6)
    torch.manual_seed(3)
    plain = nn.Linear(6, 2)
    assert list(model.state_dict()) == ["head.weight", "head.bias"]
    assert torch.equal(model.head.get_parameter("weight"), plain.weight)
    features = torch.from_numpy(drawn()[0])
    assert torch.equal(model.classify(features), plain(features))
    assert not model.needs_rows
    model.use_head(*HeadChoice.of("mlp", ["standardise", "normalise"]).built(model.layout, 2))
    assert model.needs_rows
    expected = model.head(built("normalise")(features))
    torch.testing.assert_close(model.exposed()(features), expected)


# what a config says


@pytest.mark.parametrize(
    ("head", "transform", "told"),
    [
        ("linea", None, r"model\.head: unknown 'linea'; known: .*; did you mean 'linear'"),
        ("linear", "gat", r"model\.transform: unknown 'gat'; .*; did you mean 'gate'"),
        ({"knn": {"n": 3}}, None, "knn takes k, distance, bank; unknown 'n'"),
        ({"knn": 3}, None, "knn takes k, distance, bank; found 3"),
        ({"knn": None, "mlp": None}, None, r"model\.head: expected one of .*, or one with its arguments; found"),
        ("linear", {"normalise": None, "gate": None}, r"model\.transform: .* or a list of these in their order"),
        ({"knn": {"k": 0}}, None, "knn k must be a whole number from 1, found 0"),
        ({"knn": {"k": 9, "bank": 8}}, None, "knn k is 9, more than the 8 rows of its bank"),
        ({"knn": {"bank": "all"}}, None, "knn bank must be a whole number from 1, found 'all'"),
        ({"knn": {"distance": "cosin"}}, None, "expected cosine or euclidean, found 'cosin'; did you mean 'cosine'"),
        ({"prototypes": {"by": "class"}}, None, "prototypes by: expected label or generator"),
        ({"distance": {"shrinkage": 0}}, None, "distance shrinkage must be a number from 1e-06 to 1, found 0"),
        ({"mlp": {"dropout": 1}}, None, "mlp dropout must be a number from 0 to below 1, found 1"),
        ({"mlp": {"hidden": 2.5}}, None, "mlp hidden must be a whole number from 1, found 2.5"),
        ("fused", None, r"fused: expected features of two or more backbones \(model.backbones\), found those of a"),
        ("linear", "gate", r"gate: expected two or more parts of one width, found a \(6\)"),
        ("linear", {"simlbr": {"share": 1.5}}, "simlbr share must be a number from 0 to 1, found 1.5"),
        ("linear", {"simlbr": {"alpha": [0.5, 0.2]}}, "alpha's high must be a number from 0.5 to below 1, found 0.2"),
        ("linear", {"simlbr": {"alpha": 0.3}}, r"simlbr takes a share above 0 and alpha \[low, high\]"),
        (
            "knn",
            ["normalise", "standardise"],
            "standardise: it changes the rows of a training, and knn takes rows once",
        ),
    ],
)
def test_what_cannot_be_is_told_in_one_line(head: Any, transform: Any, told: str) -> None:
    with pytest.raises(InputError, match=told) as error:
        HeadChoice.of(head, transform).built(ONE, 1)
    assert "\n" not in str(error.value)


def test_unequal_widths_are_told() -> None:
    with pytest.raises(InputError, match=r"found a layer 1 \(3\), a layer 2 \(3\), b \(4\)"):
        HeadChoice.of("linear", "gate").built(TWO, 1)
    with pytest.raises(InputError, match="gate: it has weights, and distance takes rows once"):
        HeadChoice.of("distance", "gate").built(TWO[:2], 1)


def test_scorers_are_binary() -> None:
    with pytest.raises(InputError, match=r"model\.head knn: .* use training_task: binary, found 37 outputs"):
        HeadChoice.of("knn").built(ONE, 37)


def test_a_choice_is_told_as_it_is_read() -> None:
    assert HeadChoice.of("linear", None).said() == {}
    for head, transform in (("knn", None), ({"mlp": {"hidden": 3}}, ["normalise", {"simlbr": {"share": 0.2}}])):
        chosen = HeadChoice.of(head, transform)
        said = chosen.said()
        assert HeadChoice.of(said["head"], said.get("transform")) == chosen
    assert HeadChoice.of({"linear": None}).is_default


def test_own_ones_have_names_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "HEADS", dict(choice.HEADS))
    with pytest.raises(InputError, match="register_head: 'knn' is one of"):
        register_head("knn", Linear)
    with pytest.raises(InputError, match="register_transform: 'gate' is one of"):
        register_transform("gate", Standardise)
    register_head("mine", Linear)
    assert isinstance(HeadChoice.of("mine").built(ONE, 1)[0], Linear)
