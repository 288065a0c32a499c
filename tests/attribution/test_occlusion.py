"""Occlusion against its definition, window by window, and against what a linear model must give."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from cam_networks import pixels, shortcut
from torch import nn

from cnnaudit.attribution import draw_occlusion_maps, occlusion, occlusion_maps, patched_tensor
from cnnaudit.attribution.windows import windows
from cnnaudit.core.errors import AuditError, DataError, ModelError
from cnnaudit.interventions import run_until


def defined(
    network: nn.Module, images: torch.Tensor, k: int, window: int, stride: int, fill: float = 0.5
) -> torch.Tensor:
    """One image, one window at a time."""
    total, count = torch.zeros_like(images), torch.zeros_like(images)
    height, width = images.shape[2:]
    tops = sorted({*range(0, height - window + 1, stride), height - window})
    lefts = sorted({*range(0, width - window + 1, stride), width - window})
    with torch.no_grad():
        for n, image in enumerate(images):
            for y in tops:
                for x in lefts:
                    hidden = image.clone()
                    hidden[:, y : y + window, x : x + window] = fill
                    drop = (network(image[None]) - network(hidden[None]))[0, k]
                    total[n, :, y : y + window, x : x + window] += drop
                    count[n, :, y : y + window, x : x + window] += 1
    return total / count


class Wide(nn.Module):
    """A little of each kind of network: strided stem, pooling, branches joined, dilation, a shortcut in place."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 5, stride=2, padding=2)
        self.norm = nn.BatchNorm2d(6)
        self.left, self.right = nn.Conv2d(6, 3, 1), nn.Conv2d(6, 3, 3, padding=2, dilation=2)
        self.join = nn.Conv2d(6, 6, 3, padding=1, groups=2)
        self.head = nn.Linear(6, 4)
        self.norm.running_mean.uniform_(-0.1, 0.1)
        self.norm.running_var.uniform_(0.5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu6(self.norm(self.stem((x - 0.4) / 0.2)), inplace=True)
        x = F.max_pool2d(F.pad(x, (0, 1, 0, 1)), 2, 1)
        y = torch.cat([self.left(x), self.right(x)], 1).relu_()
        y = self.join(y)
        y += x
        return self.head(F.adaptive_avg_pool2d(y.relu_(), 1).flatten(1))


def wide() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return Wide().eval()


@pytest.mark.parametrize("recompute", ["touched", "all"])
@pytest.mark.parametrize(("size", "window", "stride"), [(24, 4, 4), (25, 5, 3), (31, 3, 2)])
def test_occlusion_is_its_definition(size: int, window: int, stride: int, recompute: str) -> None:
    network, images = wide(), pixels(2, 3, size)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = occlusion(network, images, 1, window=window, stride=stride, recompute=recompute)
    assert torch.allclose(found, defined(network, images, 1, window, stride), atol=1e-5)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "googlenet"])
def test_what_is_touched_gives_the_plain_pass_on_known_architectures(name: str) -> None:
    import torchvision.models

    extra = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = getattr(torchvision.models, name)(weights=None, num_classes=5, **extra).eval()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_var.uniform_(0.3, 1)
    images = pixels(1, 3, 64).double()
    options = {"window": (9, 13), "stride": (9, 13), "fill": "mean"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = occlusion(network.double(), images, 2, **options)
    plain = occlusion(network, images, 2, recompute="all", **options)
    assert plain.any() and (found - plain).abs().max() < 1e-5 * plain.abs().max()


def test_a_linear_model_gives_the_mean_of_its_terms_over_the_windows() -> None:
    images, linear = pixels(2, 2, 9), nn.Linear(2 * 81, 3)
    network = nn.Sequential(nn.Flatten(), linear)
    terms = (linear.weight[1].view(1, 2, 9, 9) * (images - 0.25)).sum(1, keepdim=True).detach()
    expected = F.avg_pool2d(terms, 3, 3) * 9
    found = occlusion(network, images, 1, window=3, stride=3, fill=0.25, recompute="all")
    assert torch.allclose(found, F.interpolate(expected, scale_factor=3).expand_as(images), atol=1e-5)
    assert torch.allclose(found[:, 0].sum((1, 2)) / 9, terms.sum((1, 2, 3)), atol=1e-5)


def test_occlusion_is_captums_where_the_windows_fit() -> None:
    captum = pytest.importorskip("captum.attr")
    network, images = wide(), pixels(2, 3, 24)
    theirs = captum.Occlusion(network).attribute(
        images, target=1, sliding_window_shapes=(3, 6, 6), strides=(3, 3, 3), baselines=0.5
    )
    assert torch.allclose(occlusion(network, images, 1, window=6, stride=3), theirs, atol=1e-5)


@pytest.mark.parametrize("fill", ["gray", "mean", 0.0, torch.arange(3.0).view(3, 1, 1)])
def test_fills(fill: str | float | torch.Tensor) -> None:
    """A network that adds all pixels: the drop is the sum of what the window took away."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 2, bias=False))
    nn.init.ones_(network[1].weight)
    images = pixels(2, 3, 8)
    found = occlusion(network, images, 0, window=8, stride=8, fill=fill, recompute="all")[:, 0, 0, 0]
    shown = (
        {"gray": torch.tensor(0.5), "mean": images.mean((2, 3), keepdim=True)}.get(fill, fill)
        if isinstance(fill, str)
        else fill
    )
    assert torch.allclose(found, (images - shown).sum((1, 2, 3)), atol=1e-4)


@pytest.mark.filterwarnings("ignore:occlusion")
def test_a_blurred_fill_keeps_what_is_smooth_and_takes_away_detail() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 2, bias=False))
    nn.init.constant_(network[1].weight, 1 / 4)
    network[1].weight.data[:, ::2] *= -1  # answers to columns that alternate
    smooth, stripes = torch.full((1, 1, 8, 8), 0.3), torch.arange(8.0).expand(1, 1, 8, 8) % 2
    hidden = {"window": 2, "stride": 2, "fill": "blur", "recompute": "all"}
    assert occlusion(network, smooth, 0, **hidden).abs().max() < 1e-6
    assert (occlusion(network, stripes, 0, **hidden) > 0.1).all()


def test_a_unit_of_a_layer() -> None:
    network, images = wide(), pixels(1, 3, 12)
    found = occlusion(network, images, layer="join", unit=(2, 0, 1), window=4, stride=4)

    class Unit(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return run_until(network, x, "join")[:, 2, 0, 1, None]

    assert torch.allclose(found, defined(Unit(), images, 0, 4, 4), atol=1e-5)


def test_one_class_for_each_image_and_the_predicted_one() -> None:
    network, images = wide(), pixels(3, 3, 16)
    classes = torch.tensor([2, 0, 1])
    found = occlusion(network, images, classes, window=4)
    single = torch.cat([occlusion(network, image[None], int(k), window=4) for image, k in zip(images, classes)])
    assert torch.allclose(found, single, atol=1e-6)
    predicted = network(images).argmax(1)
    assert occlusion(network, images, window=4).equal(occlusion(network, images, predicted, window=4))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_precisions(dtype: torch.dtype) -> None:
    network, images = wide().to(dtype), pixels(1, 3, 24).to(dtype)
    found = occlusion(network, images, 0, window=4, stride=4)
    plain = occlusion(network, images, 0, window=4, stride=4, recompute="all")
    assert found.dtype == dtype
    assert torch.allclose(found, plain, atol=1e-10 if dtype == torch.float64 else 0.02)


def test_a_rule_that_errs_is_found_out_and_the_plain_pass_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    network, images = wide(), pixels(1, 3, 24)
    right = patched_tensor._RULES["max_pool2d"]

    def wrong(*args: object) -> object:
        part = right(*args)
        part.patch.add_(0.01)
        return part

    monkeypatch.setitem(patched_tensor._RULES, "max_pool2d", wrong)
    with pytest.warns(RuntimeWarning, match="what is followed is off by .* in the logits"):
        found = occlusion(network, images, 1, window=4)
    assert found.equal(occlusion(network, images, 1, window=4, recompute="all"))


class Viewed(nn.Module):
    """`view` refuses the memory format in which convolutions are fast."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4 * 100, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.conv(x).relu().view(x.size(0), -1))


def test_a_model_that_cannot_take_channels_last() -> None:
    network, images = Viewed().eval(), pixels(2, 3, 12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = occlusion(network, images, 1, window=3, stride=3)
    assert torch.allclose(found, defined(network, images, 1, 3, 3), atol=1e-5)


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (lambda net: torch.jit.trace(net, pixels(2, 3, 12)), "TorchScript"),
        (lambda net: nn.Sequential(nn.Flatten(), nn.Linear(3 * 144, 4)), "no convolution of it could be followed"),
    ],
)
def test_models_that_cannot_be_followed_are_said_and_answered(form: object, words: str) -> None:
    network, images = form(wide()), pixels(2, 3, 12)
    with pytest.warns(RuntimeWarning, match=words):
        found = occlusion(network, images, 1, window=4, stride=4)
    assert torch.allclose(found, defined(network, images, 1, 4, 4), atol=1e-5)


def test_the_model_is_left_as_it_was() -> None:
    network, images = wide().train(), pixels(2, 3, 12)
    before, state, drawn = images.clone(), copy.deepcopy(network.state_dict()), torch.random.get_rng_state()
    occlusion(network, images, 1)
    with pytest.raises(AuditError, match="class_index 9 is out of range"):
        occlusion(network, images, 9)
    assert images.equal(before) and network.training
    assert all(value.equal(state[key]) for key, value in network.state_dict().items())
    assert torch.random.get_rng_state().equal(drawn)
    assert not any(module._forward_hooks for module in network.modules())


def test_maps_are_the_probability_and_the_most_likely_class() -> None:
    network, images = wide(), pixels(2, 3, 16)
    labels = torch.tensor([3, 1])
    maps = occlusion_maps(network, images, labels, window=6, stride=5)
    assert maps.rows.tolist() == [0, 5, 10] and maps.window == (6, 6)
    for n in range(2):
        for r, y in enumerate(maps.rows):
            for c, x in enumerate(maps.columns):
                hidden = images[n : n + 1].clone()
                hidden[:, :, y : y + 6, x : x + 6] = 0.5
                probability = network(hidden)[0].double().softmax(0)
                assert maps.probability[n, r, c].item() == pytest.approx(probability[labels[n]].item(), abs=1e-6)
                assert maps.likely[n, r, c] == probability.argmax()
    own = network(images).softmax(1)
    assert torch.allclose(maps.own_probability.float(), own.gather(1, labels[:, None])[:, 0], atol=1e-6)
    assert maps.own_likely.equal(own.argmax(1))
    assert maps.heat[0, 0, 0] == maps.probability[0, 0, 0]  # one window holds the corner
    assert maps.heat[0, 5, 0].item() == pytest.approx(maps.probability[0, :2, 0].mean().item())
    assert maps.likely_image[1, 8, 15] == maps.likely[1, 1, 2]
    assert draw_occlusion_maps(maps, images, 1, ["a", "b", "c", "d"])[1:4] == b"PNG"


def test_windows_cover_every_pixel_and_end_flush() -> None:
    places = windows((10, 7), (4, 3), (3, 2))
    assert places.rows.tolist() == [0, 3, 6] and places.columns.tolist() == [0, 2, 4]
    assert sorted(places.by_border().tolist()) == list(range(9))
    ones = torch.ones(1, *places.grid, dtype=torch.float64)
    assert places.spread(ones).equal(torch.ones(1, 10, 7, dtype=torch.float64))
    top, left = places.corner(np.arange(9))
    assert top.tolist() == [0, 0, 0, 3, 3, 3, 6, 6, 6] and left.tolist() == [0, 2, 4] * 3


def test_bad_input_is_refused() -> None:
    network, images = shortcut(True), pixels()
    with pytest.raises(AuditError, match="a window of 9 x 9 pixels in an image of 8 x 8"):
        occlusion(network, images, 0, window=9)
    with pytest.raises(AuditError, match="a stride of 3 with a window of 2 leaves pixels out; give 1 to 2"):
        occlusion(network, images, 0, window=2, stride=3)
    with pytest.raises(AuditError, match="fill is one of gray, mean, blur, a number or a tensor, got 'grey'"):
        occlusion(network, images, 0, fill="grey")
    with pytest.raises(DataError, match=r"a fill of shape \(5,\) does not fit"):
        occlusion(network, images, 0, fill=torch.rand(5))
    with pytest.raises(AuditError, match="recompute is 'touched' or 'all', got 'some'"):
        occlusion(network, images, 0, recompute="some")
    with pytest.raises(DataError, match="NaN or infinity in 2 of 2"):
        occlusion(network, images * float("nan"), 0)
    with pytest.raises(ModelError, match="channels"):
        occlusion(network, pixels(2, 3), 0)
