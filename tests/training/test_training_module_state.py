"""What a training goes on with beside weights: what is frozen, metrics under way, what callbacks keep."""

from __future__ import annotations

import collections
import threading

import numpy as np
import pytest
import torch
import torchmetrics

from aigenbench.errors import InputError
from aigenbench.training.lightning.module_state import (
    flags_of,
    metric_states,
    restore_flags,
    restore_metrics,
    weights_digest,
)
from aigenbench.training.lightning.plain import packed, plain_values, unpacked


def network() -> torch.nn.Sequential:
    return torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2), torchmetrics.AUROC(task="binary"))


def test_frozen_parts_and_modes_come_back() -> None:
    net, other = network(), network()
    net[0].weight.requires_grad_(False)
    net[1].eval()
    restore_flags(other, plain_values(flags_of(net), "flags"))
    assert flags_of(other) == flags_of(net)
    assert not other[0].weight.requires_grad
    assert not other[1].training
    restore_flags(other, {})
    assert not other[1].training, "a record that says nothing changes nothing"


def test_metrics_under_way_come_back() -> None:
    net, other = network(), network()
    assert metric_states(net) == {}
    net[2].update(torch.tensor([0.1, 0.9, 0.4]), torch.tensor([0, 1, 1]))
    restore_metrics(other, metric_states(net), torch.device("cpu"))
    for one in (net[2], other[2]):
        one.update(torch.tensor([0.5]), torch.tensor([0]))
    assert other[2].compute() == net[2].compute() == torch.tensor(0.75)


def test_weights_changed_through_data_are_noticed() -> None:
    net = network()
    before = weights_digest(net)
    assert weights_digest(net) == before
    version = net[0].weight._version
    net[0].weight.data.mul_(0.5)
    assert net[0].weight._version == version, "torch does not tell"
    assert weights_digest(net) != before


def test_states_come_back_in_their_types() -> None:
    state = {"a": np.arange(3.0), "b": [collections.Counter("aab")], "c": collections.OrderedDict(x=(1, np.int64(2)))}
    back = unpacked(plain_values(packed(state, "callback C"), "the checkpoint"))
    assert isinstance(back["a"], np.ndarray)
    assert back["a"].tolist() == [0, 1, 2]
    assert type(back["b"][0]) is collections.Counter
    assert type(back["c"]) is collections.OrderedDict
    assert back["b"] == state["b"]
    assert back["c"] == state["c"]


@pytest.mark.parametrize("value", [threading.Lock(), collections.defaultdict(int), {1, 2}, np.array(["a"])])
def test_what_would_not_come_back_is_refused_with_its_place(value: object) -> None:
    with pytest.raises(InputError, match=r"callback C, 'x', item 1: a .* cannot be kept"):
        packed({"x": [1, value]}, "callback C")
