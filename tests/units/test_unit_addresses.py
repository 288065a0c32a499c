"""Which convolution makes a channel of a joined layer, against the values of a recorded pass."""

from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn import functional

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions import LayerError, calls, record
from cnnaudit.models import googlenet, lenet
from cnnaudit.units import named_unit, named_units


class Joined(nn.Module):
    """Branches of unlike kernels, one joined of two already, one pooled, one a sum."""

    def __init__(self):
        super().__init__()
        self.one, self.three = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 5, 3, padding=1)
        self.five, self.norm = nn.Conv2d(4, 2, 5, padding=2), nn.BatchNorm2d(2)

    def forward(self, x):
        one = self.one(x).relu()
        inner = torch.cat([one, functional.relu(self.norm(self.five(one)), inplace=True)], dim=1)
        pooled = functional.max_pool2d(self.three(x), 3, 1, 1)
        return torch.cat((inner, pooled, one + one), 1)


def test_channels_of_nested_concatenations():
    model, image = nn.Sequential(Joined(), nn.ReLU()), torch.rand(2, 3, 9, 9)
    found = named_units(model, image, "0")
    made = [(unit.convolution, unit.unit, unit.kernel, unit.branch) for unit in found[:11]]
    assert made == [
        *(("0.one", k, (1, 1), 0) for k in range(4)),
        *(("0.five", k, (5, 5), 0) for k in range(2)),
        *(("0.three", k, (3, 3), 1) for k in range(5)),
    ]
    assert found[11:] == [None] * 4  # the sum
    assert found[4].through == ("batch_norm", "relu") and found[8].through == ("max_pool2d",)
    assert named_unit(model, image, "1_5") == named_units(model, image, "1")[5]
    assert named_unit(model, image, "1_5").through == ("batch_norm", "relu", "relu")
    assert named_unit(model, image, "0.three_2").branch is None


def test_googlenet_by_the_values_of_a_pass():
    torch.manual_seed(0)
    model, image = googlenet(10).eval(), torch.rand(1, 3, 64, 64)
    unit = named_unit(model, image, "mixed4b_407")
    assert (unit.convolution, unit.unit, unit.kernel, unit.branch) == ("mixed4b.5x5", 407 - 160 - 224, (5, 5), 2)
    assert unit.name == "mixed4b_407"
    names = ["mixed4b", *(f"mixed4b.{part}" for part in ("1x1", "3x3", "5x5", "pool_reduce"))]
    with record(model, names) as values, torch.no_grad():
        model(image)
    for channel, unit in enumerate(named_units(model, image, "mixed4b")):
        assert torch.equal(values["mixed4b"][:, channel], values[unit.convolution][:, unit.unit].relu())


def test_inception_v3_of_torchvision():
    from torchvision.models import inception_v3

    model = inception_v3(weights=None, aux_logits=False, init_weights=False).eval()
    image = torch.rand(1, 3, 75, 75)
    unit = named_unit(model, image, "Mixed_5b_100")
    assert (unit.convolution, unit.unit, unit.kernel) == ("Mixed_5b.branch5x5_2.conv", 36, (5, 5))
    part = nn.Sequential(OrderedDict((name, model.get_submodule(name)) for name in ("Mixed_5d", "Mixed_6a")))
    pooled = named_unit(part, torch.rand(1, 288, 9, 9), "Mixed_6a_767")  # the last branch pools the layer before it
    assert pooled.convolution == "Mixed_5d.branch_pool.conv" and pooled.through[-1] == "max_pool2d"
    part = nn.Sequential(OrderedDict(Mixed_7b=model.Mixed_7b))
    found = named_units(part, torch.rand(1, 1280, 3, 3), "Mixed_7b")
    assert (found[700].convolution, found[700].unit) == ("Mixed_7b.branch3x3_2a.conv", 380)  # joined of two already
    assert found[704].kernel == (3, 1)


def test_an_exported_graph_has_the_addresses_of_its_model():
    model, image = Joined().eval(), torch.rand(1, 3, 9, 9)
    graph = torch.export.export(nn.Sequential(model), (image,)).module()
    name = next(call.name for call in reversed(calls(graph, image)) if call.kind == "cat")
    made = [unit and (unit.convolution, unit.unit) for unit in named_units(graph, image, name)]
    expected = [unit and (f"0.{unit.convolution}", unit.unit) for unit in named_units(model, image, "/cat:2")]
    assert made == expected


def test_names_that_are_no_units():
    model, image = nn.Sequential(Joined()), torch.rand(1, 3, 9, 9)
    with pytest.raises(UnsupportedError, match="expected the name of a layer, an underscore"):
        named_unit(model, image, "mixed4b")
    with pytest.raises(UnsupportedError, match="has 15 channels, 0 to 14"):
        named_unit(model, image, "0_15")
    with pytest.raises(UnsupportedError, match="not made by one convolution"):
        named_unit(model, image, "0_12")
    with pytest.raises(LayerError, match="no layer 'mixed4b'"):
        named_unit(model, image, "mixed4b_1")
    with pytest.raises(UnsupportedError, match="expected maps"):
        named_units(lenet(), torch.rand(1, 1, 28, 28), "output")
