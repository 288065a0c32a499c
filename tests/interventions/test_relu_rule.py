"""Rules of ReLUs in every form, against autograd, masks written out, and twins made of modules."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from small_networks import FORMS, STYLES, build, images
from torch import nn

from cnnaudit.core.errors import AuditError, UnsupportedError
from cnnaudit.interventions import calls, padding_rule, record, relu_rule, run_until

RULES = ("gradient", "deconvnet", "guided")
RELUS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "nn.ReLU": nn.ReLU(),
    "nn.ReLU in place": nn.ReLU(inplace=True),
    "F.relu": F.relu,
    "F.relu in place": lambda x: F.relu(x, inplace=True),
    "torch.relu": torch.relu,
    "torch.relu_": torch.relu_,
    "method": lambda x: x.relu(),
    "method in place": lambda x: x.relu_(),
    "clamp": lambda x: x.clamp(min=0),
    "clamp by position": lambda x: torch.clamp(x, 0),
    "clamp by a tensor": lambda x: x.clamp(min=torch.zeros(())),
    "clamp_": lambda x: x.clamp_(0.0),
    "clamp_min": lambda x: x.clamp_min(0),
    "clip": lambda x: torch.clip(x, min=0),
    "threshold": lambda x: F.threshold(x, 0.0, 0.0),
    "nn.Threshold": nn.Threshold(0, 0, inplace=True),
    "maximum": lambda x: torch.maximum(x, torch.zeros_like(x)),
    "maximum of a constant": lambda x: torch.max(torch.zeros(()), x),
}
CUT_ABOVE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "nn.ReLU6": nn.ReLU6(),
    "nn.ReLU6 in place": nn.ReLU6(inplace=True),
    "F.relu6": F.relu6,
    "hardtanh": lambda x: F.hardtanh(x, 0.0, 6.0),
    "hardtanh_": lambda x: F.hardtanh_(x, min_val=0.0, max_val=6.0),
    "clamp": lambda x: x.clamp(0, 6),
}


class Holder(nn.Module):
    """A linear map, one activation, and a later change of the activation's output."""

    def __init__(self, act: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.act = act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(2 * x).mul_(3)


@functools.cache
def formed(style: type[nn.Module], form: Callable) -> nn.Module:
    return form(build(style))


def passed(network: nn.Module, rule: str, x: torch.Tensor, signal: torch.Tensor) -> torch.Tensor:
    x = x.clone().requires_grad_()
    with relu_rule(network, rule) as ruled:
        answer = network(x)
    assert len(ruled) == 1
    (gradient,) = torch.autograd.grad(answer, x, signal)
    return gradient


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", RELUS)
def test_every_form_follows_the_definition(name: str, rule: str) -> None:
    x = torch.tensor([-1.0, -2.0, 0.0, 1.0, 2.0])
    signal = torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0])
    down = 6 * signal  # what the two constants around the activation do
    expected = {
        "gradient": down * (x > 0),
        "deconvnet": down.clamp(min=0),
        "guided": down.clamp(min=0) * (x > 0),
    }[rule]
    assert passed(Holder(RELUS[name]), rule, x, signal).equal(expected)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", CUT_ABOVE)
def test_an_upper_bound_closes_the_mask_too(name: str, rule: str) -> None:
    x = torch.tensor([-1.0, 1.0, 2.0, 4.0, 5.0])
    signal = torch.tensor([1.0, 1.0, -1.0, 1.0, -1.0])
    down, inside = 6 * signal, (x > 0) & (2 * x < 6)
    expected = {
        "gradient": down * inside,
        "deconvnet": down.clamp(min=0),
        "guided": down.clamp(min=0) * inside,
    }[rule]
    assert passed(Holder(CUT_ABOVE[name]), rule, x, signal).equal(expected)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("style", STYLES)
def test_answers_stay_and_the_gradient_is_autograds(style: type[nn.Module], form: Callable) -> None:
    network, x = formed(style, form), images().requires_grad_()
    plain = network(x)
    (expected,) = torch.autograd.grad(plain.sum(), x)
    relus = [c.name for c in calls(network, images()) if c.kind in ("relu", "relu6", "hardtanh", "clamp")]
    for rule in RULES:
        with relu_rule(network, rule) as ruled:
            answer = network(x)
            with torch.no_grad():
                assert network(x).equal(plain)
        assert answer.equal(plain)
        assert list(ruled) == relus
        (found,) = torch.autograd.grad(answer.sum(), x)
        assert found.equal(expected) == (rule == "gradient")
    assert network(x).equal(plain)


@pytest.mark.parametrize("rule", ("deconvnet", "guided"))
@pytest.mark.parametrize("form", FORMS[1:])
@pytest.mark.parametrize("style", STYLES)
def test_every_form_of_a_network_has_the_same_gradients(style: type[nn.Module], form: Callable, rule: str) -> None:
    x = images().requires_grad_()
    gradients = []
    for network in (build(style), formed(style, form)):
        with relu_rule(network, rule):
            answer = network(x)
        up, down = (torch.autograd.grad(sign * answer.sum(), x, retain_graph=True)[0] for sign in (1, -1))
        gradients.append(up - down)
    assert gradients[0].abs().max() > 0
    torch.testing.assert_close(*gradients)


class Residual(nn.Module):
    """A shortcut that is added to the output of a ReLU in place, for which autograd alone has no gradient."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.in_place = in_place

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(2 * x)
        if self.in_place:
            y += x
            y[:, 1:].relu_()
            return y
        y = y + x
        return torch.cat([y[:, :1], F.relu(y[:, 1:])], 1)


def test_outputs_may_be_changed_in_place_afterwards() -> None:
    x = (images() - 0.5).requires_grad_()
    with pytest.raises(RuntimeError, match="inplace"):
        torch.autograd.grad(Residual(True)(x).sum(), x)
    for rule in RULES:
        found = []
        for in_place in (True, False):
            network = Residual(in_place)
            with relu_rule(network, rule) as ruled:
                answer = network(x)
            assert list(ruled) == ["/relu:1", "/relu:2"]
            found.append(torch.autograd.grad(answer, x, torch.linspace(-1, 1, answer.numel()).view_as(answer))[0])
        assert found[0].equal(found[1])


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (nn.SiLU(), "silu"),
        (nn.GELU(), "gelu"),
        (nn.LeakyReLU(), "leaky_relu"),
        (nn.ELU(), "elu"),
        (nn.PReLU(), "prelu"),
        (nn.Hardswish(), "hardswish"),
        (nn.Softplus(), "softplus"),
        (nn.Mish(), "mish"),
        (nn.Hardtanh(), "hardtanh"),
        (nn.Threshold(0.5, 0), "threshold"),
    ],
)
def test_other_activations_are_refused_by_name(act: nn.Module, kind: str) -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Sequential(act))
    for rule in ("deconvnet", "guided"):
        with relu_rule(network, rule), pytest.raises(UnsupportedError, match=rf"2\.0/{kind}:1: .* and this is {kind}"):
            network(images())
    with relu_rule(network, "gradient") as ruled:
        network(images())
    assert list(ruled) == ["1"]


def test_bounds_that_are_no_relu_pass_as_they_are() -> None:
    network = Holder(lambda x: torch.relu(x) / x.norm().clamp(min=1e-6))
    x = torch.tensor([1.0, -1.0], requires_grad=True)
    with relu_rule(network, "guided") as ruled:
        network(x)
    assert list(ruled) == ["/relu:1"]


def test_a_model_without_relu_is_refused_once_it_has_answered() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Tanh(), nn.Conv2d(2, 2, 3))
    arithmetic = Holder(lambda x: x * (x > 0))  # cannot be recognized
    for model in (network, arithmetic):
        for rule in ("deconvnet", "guided"):
            with relu_rule(model, rule), pytest.raises(UnsupportedError, match="no ReLU that can be recognized"):
                model(images())
    with relu_rule(network, "guided"):
        assert run_until(network, images(), "0").shape == (2, 2, 11, 11)  # nothing to rectify that far
    with relu_rule(network, "gradient") as ruled:
        network(images())
    assert list(ruled) == []


def test_hidden_calls_and_unknown_rules_are_refused() -> None:
    scripted = torch.jit.trace(nn.ReLU(), torch.ones(1))
    with pytest.raises(UnsupportedError, match="TorchScript"), relu_rule(scripted, "guided"):
        pass
    with pytest.raises(AuditError, match="expected one of"), relu_rule(nn.ReLU(), "smooth"):  # type: ignore[arg-type]
        pass


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_left_as_it_was(fails: bool) -> None:
    network = build(STYLES[0]).requires_grad_(False)
    network.train(True)
    network.stem.eval()
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in network.modules()]
    modes = [m.training for m in network.modules()]
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    x = images().requires_grad_()
    try:
        with relu_rule(network, "guided"):
            torch.autograd.grad(network(x if not fails else x[:, :1]).sum(), x)
    except RuntimeError:
        assert fails
    assert hooks == [
        len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in network.modules()
    ]
    assert modes == [m.training for m in network.modules()]
    assert all(value.equal(weights[name]) for name, value in network.state_dict().items())
    assert all(p.grad is None and not p.requires_grad for p in network.parameters())
    assert x.grad is None


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("n", "channels"), [(1, 1), (3, 3)])
def test_types_batches_and_channels(dtype: torch.dtype, n: int, channels: int) -> None:
    network = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.ReLU(True), nn.MaxPool2d(2), nn.Conv2d(4, 1, 3)).to(dtype)
    x = torch.rand(n, channels, 9, 9).to(dtype).requires_grad_()
    plain = network(x)
    with relu_rule(network, "guided"):
        answer = network(x)
    assert answer.equal(plain) and answer.dtype == dtype
    assert torch.autograd.grad(answer.sum(), x)[0].isfinite().all()


def test_contexts_nest_and_second_derivatives_exist() -> None:
    network, x = build(STYLES[2]), images().requires_grad_()
    with relu_rule(network, "guided"):
        expected = torch.autograd.grad(network(x).sum(), x)[0]
    with record(network, ["act:1"]) as values, padding_rule("zeros"), relu_rule(network, "guided") as ruled:
        answer = network(x)
    (found,) = torch.autograd.grad(answer.sum(), x, create_graph=True)
    torch.testing.assert_close(found, expected)
    assert "act:1" in ruled and values["act:1"].min() >= 0
    square = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU())
    with relu_rule(square, "gradient"):
        (first,) = torch.autograd.grad(square(x).square().sum(), x, create_graph=True)
    assert torch.autograd.grad(first.sum(), x)[0].abs().max() > 0
