"""Even and uneven padding, against a walk over the windows and the facts of the literature."""

from __future__ import annotations

import itertools

import pytest
import torch
import torchvision
from torch import nn

from cnnaudit.checks.padding._even_padding import applications, even_size
from cnnaudit.checks.padding._small_networks import resnet_geometry
from cnnaudit.checks.padding.uneven_application import uneven_application
from cnnaudit.interventions import calls
from cnnaudit.target import AuditTarget


def application(layer: nn.Module, size: int):
    return applications(calls(layer, torch.zeros(1, 1, size, size)))


def padding_read(size: int, before: int, kernel: int, stride: int, dilation: int, outputs: int) -> tuple[int, int]:
    """How many padded pixels the windows read before and after the input, by walking over all of them."""
    read = {start * stride - before + dilation * tap for start in range(outputs) for tap in range(kernel)}
    return max(0, -min(read)), max(read) - (size - 1)


@pytest.mark.parametrize("size", [7, 8, 9, 12])
def test_every_window_is_walked(size):
    for kernel, stride, dilation, padding in itertools.product((2, 3, 5), (1, 2, 3), (1, 2), (0, 1, 2)):
        if dilation * (kernel - 1) + 1 > size + 2 * padding:
            continue
        layer = nn.Conv2d(1, 1, kernel, stride, padding, dilation)
        outputs = layer(torch.zeros(1, 1, size, size)).shape[-1]
        before, after = padding_read(size, padding, kernel, stride, dilation, outputs)
        found = application(layer, size)
        if stride == 1:
            assert found == []
            continue
        axis = found[0].axes[0]
        assert (axis.before, axis.reach) == (before, after)
        remainder = (size + 2 * padding - dilation * (kernel - 1) - 1) % stride
        assert found[0].even == (padding == 0 or remainder == 0)
        assert found[0].cropped == (remainder if padding == 0 else 0)


@pytest.mark.parametrize("size, even", [(224, False), (225, True)])
def test_poolings_count(size, even):
    assert application(nn.MaxPool2d(3, 2, 1), size)[0].even is even


def test_a_pooling_that_rounds_up_pads_after_the_input_only():
    assert application(nn.MaxPool2d(3, 2, ceil_mode=True), 9)[0].padded is False
    rounded = application(nn.MaxPool2d(3, 2, ceil_mode=True), 8)[0]
    assert rounded.axes[0].reach == 1 and not rounded.even


def test_a_pad_before_the_convolution_is_joined():
    one_sided = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(1, 1, 3, 2))
    assert [layer.even for layer in application(one_sided, 32)] == [False]
    assert [layer.even for layer in application(nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(1, 1, 3, 2)), 33)] == [True]


@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_same_padding_of_an_even_kernel_is_uneven_without_a_stride():
    (layer,) = application(nn.Conv2d(1, 1, 2, padding="same"), 8)
    assert not layer.even and layer.imbalance == 1


@pytest.fixture(scope="module")
def resnet18():
    return torchvision.models.resnet18(weights=None).eval()


@pytest.mark.parametrize(
    "size, uneven, crops",
    [(224, 5, 3), (225, 0, 0), (257, 0, 0), (193, 0, 0), (33, 0, 0), (299, 2, 1), (32, 5, 3)],
)
def test_resnet18(resnet18, size, uneven, crops):
    layers = applications(calls(resnet18, torch.zeros(1, 3, size, size)))
    padded = [layer for layer in layers if layer.padded]
    assert len(padded) == 5
    assert sum(not layer.even for layer in padded) == uneven
    assert sum(layer.cropped > 0 for layer in layers) == crops


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3, 2, 1), nn.ReLU(), nn.Conv2d(2, 2, 3, 2, 1))


@pytest.mark.parametrize(
    "size, nearest", [((16, 16), (17, 17)), ((18, 18), (17, 17)), ((19, 19), (21, 21)), ((16, 22), (17, 21))]
)
def test_the_nearest_even_size_is_found_for_each_side(size, nearest):
    assert even_size(network(), (1, *size)) == nearest
    assert all(layer.even for layer in applications(calls(network(), torch.zeros(1, 1, *nearest))))


def test_sizes_that_the_model_rejects_are_skipped():
    class Fixed(nn.Module):
        def __init__(self, sizes):
            super().__init__()
            self.layers, self.sizes = network(), sizes

        def forward(self, x):
            if x.shape[-1] not in self.sizes:
                raise ValueError("a size that this model was not made for")
            return self.layers(x)

    assert even_size(Fixed([16]), (1, 16, 16)) is None
    assert even_size(Fixed([13, 16]), (1, 16, 16)) == (13, 13)


def test_no_size_where_padding_is_one_sided():
    assert even_size(nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(1, 1, 3, 2)), (1, 16, 16)) is None


def test_no_more_passes_than_allowed():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.passes = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(1, 1, 3, 8)), 0

        def forward(self, x):
            self.passes += 1
            return self.layer(x)

    model = Counting()
    assert even_size(model, (1, 64, 64), most=8) is None
    assert model.passes <= 8 + 2


@pytest.mark.parametrize("pads, tall, wide", [((1, 0, 2, 3), (2, 3), (1, 0)), ((0, 2, 1, 1), (1, 1), (0, 2))])
def test_left_and_right_belong_to_the_width_and_top_and_bottom_to_the_height(pads, tall, wide):
    (layer,) = applications(calls(nn.Sequential(nn.ZeroPad2d(pads), nn.Conv2d(1, 1, 3)), torch.zeros(1, 1, 9, 12)))
    assert [(axis.before, axis.after, axis.size) for axis in layer.axes] == [(*tall, 9), (*wide, 12)]


def test_height_and_width_of_kernel_stride_and_dilation_are_told_apart():
    (layer,) = applications(calls(nn.Conv2d(1, 1, (5, 3), (1, 2), (4, 0), (2, 1)), torch.zeros(1, 1, 9, 12)))
    assert (layer.kernel, layer.stride) == ((5, 3), (1, 2))
    assert [(axis.before, axis.reach) for axis in layer.axes] == [(4, 4), (0, -1)]
    assert layer.even and layer.cropped == 1


@pytest.mark.parametrize("pooling", [nn.MaxPool2d, nn.AvgPool2d])
def test_a_pooling_strides_by_its_kernel_where_no_stride_is_given(pooling):
    (layer,) = applications(calls(pooling(3), torch.zeros(1, 1, 11, 12)))
    assert layer.stride == (3, 3) and [axis.cropped for axis in layer.axes] == [2, 0]


def target(*layers: nn.Module) -> AuditTarget:
    model = nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(2))
    images = torch.rand(20, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    model(images)
    return AuditTarget.from_arrays("small", model, {"validation": (images.numpy(), torch.arange(20) % 2)}, ("a", "b"))


@pytest.mark.parametrize("layers, reason", [([], "no 2-d convolution"), ([nn.Conv2d(1, 2, 3, padding=1)], "strides")])
def test_models_that_do_not_stride_are_not_asked(layers, reason):
    found = uneven_application(target(*layers))
    assert found.verdict == "not_applicable" and reason in found.summary


def test_the_remedy_names_the_nearest_even_size():
    found = uneven_application(resnet_geometry(0, 64))
    assert found.statistic == 5 and found.n == 5 and found.confidence is None
    assert "65 x 65" in found.remedy and "65 x 65" in found.summary
    assert [location.layer for location in found.locations] == ["0", "2", "5", "7", "9"]
    even = uneven_application(resnet_geometry(0, 65))
    assert even.verdict == "pass" and even.statistic == 0


def test_crops_are_told_apart():
    found = uneven_application(target(nn.Conv2d(1, 2, 3), nn.MaxPool2d(3)))
    assert found.verdict == "pass" and found.statistic == 0
    assert "1 without padding leaves out the last row or column" in found.summary
    assert found.evidence[0]["rows"][0][-1] == "crop"


def test_the_table_tells_top_from_bottom_and_left_from_right():
    found = uneven_application(target(nn.ZeroPad2d((1, 0, 2, 3)), nn.Conv2d(1, 2, 3, 2)))
    row = dict(zip(found.evidence[0]["columns"], found.evidence[0]["rows"][0]))
    assert row["padding (top/bottom, left/right)"] == "2/3, 1/0"
