"""Pruning removes what is useless, and nothing else."""

import pytest
import torch
from torch import nn

from cnnaudit.models import minimum
from cnnaudit.studies.prune import Network, at_no_loss, compress, prune, tuned


def stripes(n=24):
    """Images whose class is which half is brighter."""
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % 2
    images = 0.1 * torch.rand(n, 1, 4, 4, generator=rng)
    images[labels == 0, :, :, :2] += 0.8
    images[labels == 1, :, :, 2:] += 0.8
    return images, labels


@pytest.fixture
def planted():
    """Four useful weights on two pixels; a weight and a bias that are larger and do nothing."""
    model = nn.Sequential()
    model.add_module("flatten", nn.Flatten())
    model.add_module("hidden", nn.Linear(16, 3))
    model.add_module("hidden_relu", nn.ReLU())
    model.add_module("output", nn.Linear(3, 2, bias=False))
    with torch.no_grad():
        for value in model.parameters():
            value.zero_()
        model.hidden.weight[0, 1] = 1.0  # left brightness
        model.hidden.weight[1, 2] = 1.0  # right brightness
        model.output.weight[0, 0] = model.output.weight[1, 1] = 1.0
        model.hidden.weight[2, 7] = 3.0  # large, but reaches the output by a weight of zero
        model.hidden.bias[2] = 5.0
    return model


def test_exactly_the_planted_useless_parameters_go_first(planted):
    images, labels = stripes()
    steps = list(prune(planted, (images, labels)))
    whole = steps[0]
    assert (whole.remaining, whole.accuracy) == (6, 1.0)
    useless = {("hidden.weight", 2 * 16 + 7), ("hidden.bias", 2)}
    assert set(steps[1].removed) | set(steps[2].removed) == useless or set(steps[1].removed) == useless
    # one class may win ties, so one of the two halves is enough
    assert steps[at_no_loss(steps)].remaining <= 4
    assert steps[at_no_loss(steps)].accuracy == 1.0


def test_a_needed_parameter_stays():
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2, bias=False))
    with torch.no_grad():
        model[1].weight.zero_()
        model[1].weight[0, 1], model[1].weight[1, 2] = 1.0, 1.0
        model[1].weight[:, 5] = 1e-3  # the same for both classes: useless
    images, labels = stripes()
    steps = list(prune(model, (images, labels), lost=0.0))
    removed = [place for step in steps[: at_no_loss(steps) + 1] for place in step.removed]
    assert {("1.weight", 5), ("1.weight", 16 + 5)} <= set(removed)
    last = steps[at_no_loss(steps)].state["1.weight"]
    assert Network(model, {"1.weight": last}, (images, labels)).accuracy == 1.0
    assert (last != 0).sum() >= 1


@pytest.mark.parametrize(
    "arguments", [{}, {"hidden": 3, "pool": 14}, {"pooling": "average", "padding_mode": "replicate"}]
)
def test_alone_equals_a_loop_that_sets_each_parameter_to_zero(arguments):
    torch.manual_seed(0)
    model = minimum(**arguments)
    images, labels = torch.rand(40, 1, 28, 28), torch.arange(40) % 3
    state = {name: value.detach() for name, value in model.named_parameters()}
    places = [(name, k) for name, value in state.items() for k in range(value.numel())]
    found = Network(model, state, (images, labels)).accuracies_without(places)
    for name, k in places:
        changed = {key: value.clone() for key, value in state.items()}
        changed[name].view(-1)[k] = 0
        with torch.no_grad():
            logits = torch.func.functional_call(model, changed, (images,))
        assert found[name, k] == pytest.approx(float((logits.argmax(1) == labels).double().mean())), (name, k)


def test_without_computes_only_what_changes_and_is_right():
    torch.manual_seed(1)
    model = minimum(hidden=4)
    data = torch.rand(20, 1, 28, 28), torch.arange(20) % 3
    state = {name: value.detach() for name, value in model.named_parameters()}
    network = Network(model, state, data)
    smaller = network.without([("hidden.weight", 1), ("output.bias", 0)])
    assert smaller.inputs[4] is network.inputs[4]  # what reaches the hidden layer is the same
    again = Network(model, smaller.state, data)
    assert torch.equal(again.inputs[-1], smaller.inputs[-1])
    assert state["hidden.weight"].view(-1)[1] != 0, "the whole network is as it was"


def test_pruning_leaves_the_model_alone_and_counts_zeros_out():
    torch.manual_seed(2)
    model = minimum()
    with torch.no_grad():
        model.conv.weight[0, 0, 0, 0] = 0
    before = {name: value.clone() for name, value in model.state_dict().items()}
    steps = list(prune(model, (torch.rand(12, 1, 28, 28), torch.arange(12) % 3), lost=1.0))
    assert steps[0].remaining == sum(int((value != 0).sum()) for value in before.values())
    assert steps[-1].remaining == 0
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_what_is_removed_stays_zero_while_the_rest_is_trained(planted):
    images, labels = stripes()
    steps = list(prune(planted, (images, labels), lost=1.0))
    step = steps[2]
    network = tuned(planted, step, (images, labels), epochs=3)
    for name, value in network.named_parameters():
        assert not value[step.state[name] == 0].any(), name
    assert any(not torch.equal(value, step.state[name]) for name, value in network.named_parameters())
    assert not any("mask" in name or "orig" in name for name in network.state_dict())


def test_compressed_networks_are_as_accurate_and_smaller():
    torch.manual_seed(0)
    images, labels = stripes(60)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 2))
    from cnnaudit.training import fit

    fit(model, (images, labels), epochs=20)
    steps = list(prune(model, (images, labels), lost=0.3))
    found = list(compress(model, steps, (images, labels), epochs=5))
    sizes = [steps[at_no_loss(steps)].remaining, *(step.remaining for step in found)]
    assert sizes == sorted(set(sizes), reverse=True)
    assert all(step.accuracy >= steps[0].accuracy for step in found)
