"""Names, shapes and joined geometry of the calls of a forward pass."""

from __future__ import annotations

import subprocess
import sys
import warnings

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from small_networks import (
    STYLES,
    Block,
    Functional,
    InPlace,
    Modules,
    Reused,
    build,
    decomposed,
    exported,
    images,
    traced,
)
from torch import nn

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions import Geometry, calls, record


def names(network: nn.Module, *kinds: str) -> list[str]:
    return [call.name for call in calls(network, images()) if not kinds or call.kind in kinds]


def test_modules_give_their_names_to_their_calls() -> None:
    assert names(build(Modules)) == [
        *("stem.0", "stem.1", "stem.2", "pool", "grouped", "depthwise", "six", "point", "average", "/mean:1", "head"),
    ]


def test_a_padding_mode_shows_the_pad_beside_the_convolution() -> None:
    assert names(build(Modules, "reflect"), "pad", "conv2d")[:2] == ["stem.0/pad:1", "stem.0"]


def test_functional_calls_are_numbered_by_kind_in_their_scope() -> None:
    assert names(build(Functional), "conv2d", "relu", "clamp") == [
        *("/conv2d:1", "/relu:1", "/conv2d:2", "/relu:2", "/conv2d:3", "/relu:3", "/conv2d:4", "/clamp:1"),
    ]


def test_in_place_and_reused_modules() -> None:
    assert names(build(InPlace)) == [
        *("first", "/relu:1", "second:1", "/add:1", "act:1", "second:2", "act:2", "second:3", "/mul:1"),
        *("/relu:2", "/sub:1", "/relu:3", "/mean:1", "head"),
    ]


def test_scopes_of_a_reused_block_number_on() -> None:
    assert names(build(Reused), "conv2d", "relu", "pad") == [
        *("pad", "conv", "block.conv:1", "block/relu:1", "block.conv:2", "block/relu:2"),
        *("block.conv:3", "block/relu:3", "block.conv:4", "block/relu:4"),
    ]


@pytest.mark.parametrize("style", STYLES)
def test_an_exported_model_has_the_calls_of_its_original(style: type[nn.Module]) -> None:
    network = build(style)
    assert calls(exported(network), images()) == calls(network, images())


@pytest.mark.parametrize("style", [Modules, Functional, InPlace])
def test_a_traced_model_has_the_calls_of_its_original(style: type[nn.Module]) -> None:
    found, expected = calls(traced(build(style)), images()), calls(build(style), images())
    assert found == expected


def test_a_traced_block_lends_its_functional_calls_to_the_graph() -> None:
    assert names(traced(build(Reused)), "relu") == ["/relu:1", "/relu:2", "/relu:3", "/relu:4"]


def test_a_module_that_calls_others_keeps_the_numbers_of_its_own_calls() -> None:
    class Once(Block):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.relu(self.conv(x))

    network = nn.Sequential(nn.Conv2d(3, 4, 1), Once("zeros"))
    for form in (network, exported(network)):
        assert names(form) == ["0", "1.conv", "1/relu:1"]


def test_a_part_that_fails_and_is_caught_leaves_the_scope_of_the_others() -> None:
    class Fallback(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide, self.narrow = nn.Conv2d(7, 4, 1), nn.Conv2d(3, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            try:
                return self.wide(x)
            except RuntimeError:
                return F.relu(self.narrow(x))

    assert names(Fallback()) == ["narrow", "/relu:1"]


def test_only_floating_point_results_count() -> None:
    class Mixed(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            index = torch.arange(3) + 1  # integers
            return (x + (x > 0)).mT + index.sum()  # `x > 0` and the property `mT` are no calls

    assert [(c.name, c.output_shape[0]) for c in calls(Mixed(), images())] == [("/add:1", 2), ("/add:2", 2)]
    network = Mixed()
    with record(network, ["/add:1"]) as found:
        network(images())
    assert torch.equal(found["/add:1"], images() + (images() > 0))


def test_calls_keeps_no_graph_for_gradients() -> None:
    class Spy(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.enabled = torch.is_grad_enabled()
            return x * 2

    calls(spy := Spy(), images())
    assert not spy.enabled


def test_a_graph_inside_an_exported_graph_has_the_names_of_the_original() -> None:
    class Frozen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                x = self.conv(x)
            return x.relu()

    graph = torch.export.export(Frozen(), (images().requires_grad_(),)).module()
    assert "wrap_with_set_grad_enabled" in graph.code
    assert [call.name for call in calls(graph, images().requires_grad_())] == ["conv", "/relu:1"]
    with record(graph, ["conv"]) as found:
        graph(images().requires_grad_())
    assert found["conv"].shape == (2, 2, 13, 13)


def test_a_wrapper_that_shares_its_networks_modules_shows_their_names() -> None:
    class Wrapper(nn.Module):
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.__dict__["network"] = network
            self._modules = network._modules

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.network(x.square() / 2)

    for network in (build(InPlace), exported(build(InPlace))):
        assert names(Wrapper(network)) == ["/square:1", "/div:1", *names(network)]


def geometry(network: nn.Module, name: str) -> Geometry | None:
    return next(call.geometry for call in calls(network, images()) if call.name == name)


@pytest.mark.parametrize("form", [lambda network: network, exported])
def test_geometry_of_convolutions_and_poolings(form: object) -> None:
    network = form(build(Modules))  # type: ignore[operator]
    zero = {"padding_mode": "constant", "padding_value": 0.0}
    assert geometry(network, "stem.0") == Geometry((3, 3), (1, 1), (1, 1), 1, (1, 1, 1, 1), **zero)
    assert geometry(network, "pool") == Geometry((3, 3), (2, 2), (1, 1), 1, (1, 1, 1, 1), "constant", float("-inf"))
    assert geometry(network, "grouped") == Geometry((3, 5), (1, 2), (1, 1), 2, (2, 2, 1, 1), **zero)
    assert geometry(network, "depthwise") == Geometry((3, 3), (1, 1), (2, 2), 8, (2, 2, 2, 2), **zero)
    assert geometry(network, "point") == Geometry((1, 1), (1, 1), (1, 1), 1, (0, 0, 0, 0), "none", None)
    assert geometry(network, "average") == Geometry(
        (2, 2), (2, 2), (1, 1), 1, (1, 1, 1, 1), padding_mode="constant", padding_value=0.0, ceil_mode=True
    )
    assert geometry(network, "six") is None


@pytest.mark.parametrize("form", [lambda network: network, exported])
def test_geometry_joins_a_pad_with_the_argument(form: object) -> None:
    found = [call for call in calls(form(build(Functional)), images()) if call.kind == "conv2d"]  # type: ignore[operator]
    assert [call.geometry.padding for call in found if call.geometry] == [
        *((1, 1, 1, 1), (0, 1, 0, 1), (1, 2, 1, 2), (2, 1, 1, 1)),
    ]
    assert [call.input_shape[2:] for call in found] == [(13, 13), (13, 13), (6, 6), (6, 6)]  # before any padding
    assert {call.geometry.padding_value for call in found if call.geometry} == {0.0}


@pytest.mark.parametrize(
    ("pads", "expected"),
    [
        ([((1, 2, 3, 4), "constant", 0.0)], ((1, 2, 3, 4), "constant", 0.0)),
        ([((1, 1), "constant", 0.0)], ((1, 1, 0, 0), "constant", 0.0)),
        ([((1, 0, 0, 2), "replicate", None)], ((1, 0, 0, 2), "replicate", None)),
        ([((1, 1, 1, 1), "constant", 0.5)], ((1, 1, 1, 1), "constant", 0.5)),
        ([((1, 0, 1, 0), "circular", None), ((0, 2, 0, 2), "circular", None)], ((1, 2, 1, 2), "circular", None)),
        ([((1, 1, 1, 1), "reflect", None), ((1, 1, 1, 1), "constant", 0.0)], ((2, 2, 2, 2), "mixed", None)),
        ([((-1, -1, 2, 2), "constant", 0.0)], ((0, 0, 2, 2), "constant", 0.0)),  # a crop is no padding
        ([((2, 2, 2, 2), "replicate", None), ((-1, -3, 0, 1), "replicate", None)], ((1, 0, 2, 3), "replicate", None)),
        ([((2, 2, 2, 2), "constant", 0.0), ((-1, -1, -1, -1), "constant", 7.0)], ((1, 1, 1, 1), "constant", 0.0)),
        ([((0, 0, 0, 0, 1, 1), "constant", 0.0)], ((0, 0, 0, 0), "none", None)),  # channels, not pixels
        ([((0, 1, 0, 1, 1, 1), "constant", 0.0)], ((0, 1, 0, 1), "constant", 0.0)),
    ],
)
def test_pads_before_a_convolution(pads: list, expected: tuple) -> None:
    class Padded(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for sides, mode, value in pads:
                x = F.pad(x, sides, mode=mode, value=value)
            return F.conv2d(x, torch.ones(1, x.shape[1], 3, 3))

    found = geometry(Padded(), "/conv2d:1")
    assert found is not None
    assert (found.padding, found.padding_mode, found.padding_value) == expected


def test_a_transposed_convolution_is_none_of_ours() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ConvTranspose2d(2, 1, 3, padding=1))
    for form in (network, exported(network), decomposed(network)):
        assert [call.kind for call in calls(form, images())] == ["conv2d", "conv_transpose2d"]


def test_one_pass_in_the_order_of_the_calls_with_their_shapes() -> None:
    found = calls(build(Block), torch.rand(2, 4, 5, 5))
    assert [(call.kind, call.module, call.output_shape) for call in found] == [
        *(("conv2d", "conv", (2, 4, 5, 5)), ("relu", "", (2, 4, 5, 5)), ("conv2d", "conv", (2, 4, 5, 5))),
        *(("add", "", (2, 4, 5, 5)), ("relu", "", (2, 4, 5, 5))),
    ]


@pytest.mark.parametrize(
    ("hide", "reason"), [("script", "TorchScript"), ("compile", "compiled"), ("silent", "no call")]
)
def test_hidden_calls_are_refused(hide: str, reason: str) -> None:
    network = build(Modules)
    if hide == "script":
        with warnings.catch_warnings(action="ignore"):
            network = nn.Sequential(torch.jit.trace(network, images()))
    elif hide == "compile":
        network = torch.compile(network)
    else:
        network = nn.Identity()
    with pytest.raises(UnsupportedError, match=reason):
        calls(network, images())


def test_importing_the_package_imports_no_torch() -> None:
    code = "import cnnaudit.interventions, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
