"""`module:callable`: the user's own layer names, or what is wrong with the source."""

from __future__ import annotations

import pytest
import torch

from cnnaudit.core.errors import ModelError
from cnnaudit.target import InputSpec
from cnnaudit.target.model_sources import ModelSource, load

GRAY = InputSpec(channels=1, size=(4, 4))

NETS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, classes=2):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 3, 3), nn.Linear(3, classes)
    def forward(self, x):
        return self.head(self.conv(x).relu().mean((2, 3)))

class Nested:
    build = Net

def parallel():
    return nn.DataParallel(Net())

def compiled():
    return torch.compile(Net())

module = Net()
number = 3
def text(): return "net"
def broken(): raise ValueError("no\\nluck")
def leaves(): raise SystemExit(3)
"""


@pytest.fixture
def nets(tmp_path):
    (tmp_path / "nets.py").write_text(NETS)
    return tmp_path


@pytest.mark.parametrize("name", ["Net", "Nested.build", "parallel", "compiled", "module"])
def test_a_callable_gives_the_users_layer_names(nets, name):
    loaded = load(ModelSource("demo", f"nets:{name}", device="cpu"), GRAY, nets)
    assert [layer for layer, _ in loaded.model.named_modules()] == ["", "conv", "head"]
    assert loaded.model(torch.rand(2, 1, 4, 4)).shape == (2, 2)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"source": "nets:net"}, "model.source = 'nets:net': nets has no 'net'; did you mean 'Net'?"),
        ({"source": "nets:Nested.biuld"}, "Nested has no 'biuld'; did you mean 'build'?"),
        ({"source": "gone.nets:build"}, "no module 'gone' in "),
        ({"source": "nets:number"}, "number is a int; expected a function or class to call"),
        ({"source": "nets:text"}, "nets:text returned a str, expected a torch.nn.Module"),
        ({"source": "nets:broken"}, "nets:broken() raised ValueError: no luck"),
        ({"source": "nets:leaves"}, "nets:leaves() raised SystemExit: 3"),
        ({"source": "nets:Net", "arguments": {"clases": 3}}, "nets:Net(clases=3) raised TypeError"),
        ({"source": "syntax:build"}, "importing syntax raised SyntaxError"),
        ({"source": "needs:build"}, "importing needs raised ModuleNotFoundError: No module named 'not_here'"),
        ({"source": "torchvision:resnet81"}, "torchvision has no such model; did you mean 'resnet18'?"),
        ({"source": "torchvision:resnet18", "arguments": {"k": 3}}, "torchvision's resnet18(k=3) raised TypeError"),
        ({"source": "timm:test_resnett"}, "timm has no such model; did you mean 'test_resnet'?"),
        ({"source": "nets:Net", "device": "cuda:9"}, "model.device = 'cuda:9': torch finds no such device here"),
    ],
)
def test_a_source_that_cannot_be_loaded_is_explained(nets, settings, said):
    (nets / "syntax.py").write_text("def build(:\n")
    (nets / "needs.py").write_text("import not_here\n")
    with pytest.raises(ModelError) as caught:
        load(ModelSource("demo", **{"device": "cpu", **settings}), GRAY, nets)
    assert said in str(caught.value) and "\n" not in str(caught.value)
