"""Model sources: each gives the eager network's logits under its own layer names, or says what is wrong."""

from __future__ import annotations

import copy
import json
import pickle
import re
import sys
import warnings

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from cnnaudit.checks.audit_file import load_target
from cnnaudit.core.errors import ModelError
from cnnaudit.interventions.memory_format import choose_layout
from cnnaudit.target import InputSpec
from cnnaudit.target.model_sources import ModelSource, load
from cnnaudit.target.pixels import PixelModel
from cnnaudit.target.weights import load_weights

RGB = InputSpec(channels=3, size=(64, 64))
GRAY = InputSpec(channels=1, size=(4, 4))


def quietly(function, *arguments, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **settings)


@pytest.fixture(scope="module")
def resnet():
    from torchvision.models import resnet18

    torch.manual_seed(0)
    network = resnet18(num_classes=5)
    images = torch.rand(8, 3, 64, 64)
    network(images)  # running statistics that differ from their start
    return network.eval()


@pytest.fixture(scope="module")
def images():
    return torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def import_path(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))


# sources


class Nameless(nn.Module):
    """Layers with the names that a wrapper might take for itself."""

    def __init__(self):
        super().__init__()
        self.network, self.model, self.body = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 6)
        self.register_buffer("mean", torch.ones(6))
        self.register_buffer("std", torch.ones(6), persistent=False)
        self.free = nn.Parameter(torch.ones(6))

    def forward(self, x):
        return self.body(self.model(self.network(x)).mean((2, 3))) * self.free + self.mean / self.std


def check_equal(loaded, network, images, tolerance=0.0):
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(images), network(images), rtol=0, atol=tolerance)
    assert not loaded.model.training and loaded.device == "cpu"


@pytest.mark.parametrize("how", ["safetensors", "pt", "nested", "parallel", "compiled"])
def test_torchvision_with_weights(resnet, images, tmp_path, how):
    state = resnet.state_dict()
    path = tmp_path / ("w.safetensors" if how == "safetensors" else "w.pt")
    if how == "safetensors":
        save_file(state, path)
    elif how == "nested":
        torch.save({"epoch": 3, "state_dict": state}, path)
    else:
        prefix = {"pt": "", "parallel": "module.", "compiled": "_orig_mod."}[how]
        torch.save({f"{prefix}{name}": value for name, value in state.items()}, path)
    loaded = load(ModelSource("demo", "torchvision:resnet18", {"num_classes": 5}, path, device="cpu"), RGB, tmp_path)
    check_equal(loaded, resnet, images)
    assert [name for name, _ in loaded.model.named_modules()] == [name for name, _ in resnet.named_modules()]
    assert loaded.model.state_dict().keys() == state.keys() and not loaded.inside_reason


def test_timm(images, tmp_path):
    timm = pytest.importorskip("timm")
    network = timm.create_model("test_resnet", num_classes=3).eval()
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    source = ModelSource("demo", "timm:test_resnet", {"num_classes": 3}, tmp_path / "w.safetensors", device="cpu")
    loaded = load(source, RGB, tmp_path)
    check_equal(loaded, network, images)
    assert [name for name, _ in loaded.model.named_modules()] == [name for name, _ in network.named_modules()]


BATCH = {"dynamic_shapes": ({0: torch.export.Dim("batch", min=1, max=64)},)}


def check_export(network, images, folder, example, **shapes):
    torch.export.save(torch.export.export(network, (example,), **shapes), folder / "m.pt2")
    loaded = load(ModelSource("demo", folder / "m.pt2", device="cpu"), RGB, folder)
    check_equal(loaded, network, images, tolerance=1e-5)
    names = {name for name, _ in network.named_parameters()}
    assert {name for name, _ in loaded.model.named_parameters()} == names and not loaded.inside_reason
    assert not any(module.training for module in loaded.model.modules())
    return loaded.model


def test_an_exported_model_of_any_batch_size(resnet, images, tmp_path):
    check_export(resnet, images, tmp_path, torch.rand(2, 3, 64, 64), **BATCH)


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_an_exported_model_of_one_batch_size(images, tmp_path, batch):
    model = check_export(Nameless().eval(), images, tmp_path, torch.rand(batch, 3, 64, 64))
    twin = copy.deepcopy(model)
    twin.mean = twin.mean + 1  # a copy, too, has one registry with its network
    torch.testing.assert_close(twin(images), model(images) + 1)


@pytest.mark.parametrize("how", [torch.jit.script, lambda net: torch.jit.trace(net, torch.rand(2, 3, 64, 64))])
def test_torchscript(resnet, images, tmp_path, how):
    quietly(lambda: how(resnet).save(tmp_path / "m.ts"))
    loaded = load(ModelSource("demo", tmp_path / "m.ts", device="cpu"), RGB, tmp_path)
    check_equal(loaded, resnet, images, tolerance=1e-5)
    assert "TorchScript, which hides its calls" in loaded.inside_reason


@pytest.mark.parametrize("shapes", [BATCH, {}], ids=["any batch", "batch of 2"])
def test_onnx(resnet, images, tmp_path, shapes):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network = resnet if shapes else Nameless().eval()
    quietly(torch.onnx.export, network, (torch.rand(2, 3, 64, 64),), tmp_path / "m.onnx", verbose=False, **shapes)
    loaded = load(ModelSource("demo", tmp_path / "m.onnx"), RGB, tmp_path)
    assert "ONNX, which hides its calls" in loaded.inside_reason
    check_equal(loaded, network, images, tolerance=1e-4)
    twin = pickle.loads(pickle.dumps(loaded.model))
    assert torch.equal(twin(images), loaded.model(images))


def test_onnx_without_onnxruntime_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match=re.escape("pip install cnnaudit[onnx]")):
        load(ModelSource("demo", tmp_path / "m.onnx"), RGB, tmp_path)


def test_timm_that_is_not_installed_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ModelError, match=re.escape("pip install cnnaudit[timm]")):
        load(ModelSource("demo", "timm:test_resnet"), RGB, tmp_path)


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


# weights


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("1.bias"), ["another architecture", "it lacks '1.bias' of the network's 2 entries"]),
        (lambda s: s.update(extra=torch.ones(1)), ["the network has no 'extra'"]),
        (
            lambda s: s.update({"1.wieght": s.pop("1.weight")}),
            ["it lacks '1.weight'", "no '1.wieght'; did you mean '1.weight'?"],
        ),
        (
            lambda s: s.update({"1.bias": torch.ones(3)}),
            ["'1.bias' (3,), the network has (2,)", "model.arguments"],
        ),
    ],
)
def test_weights_of_another_architecture_are_compared_with_the_network(tmp_path, change, said):
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    state = network.state_dict()
    change(state)
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ModelError) as caught:
        load_weights(network, tmp_path / "w.safetensors")
    assert all(part in str(caught.value) for part in ["model.weights: w.safetensors", *said])


def test_many_differences_are_listed_shortly(tmp_path):
    from torchvision.models import resnet18, resnet34

    save_file(resnet34().state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ModelError) as caught:
        load_weights(resnet18(), tmp_path / "w.safetensors")
    assert "and 93 more" in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("w.safetensors", b"hello", "is not a safetensors file"),
        ("w.pt", b"hello", "is no file of torch.save, or damaged"),
        ("w.pt", b"PK\x03\x04" + bytes(50), "is no file of torch.save, or damaged"),
        ("list.pt", [torch.ones(2)], "holds a list, expected a state dict"),
        ("net.pt", nn.Linear(2, 2), "is a pickle that wants torch.nn.modules.linear.Linear"),
        ("script.pt", "script", "is a TorchScript model; name it as model.source"),
    ],
)
def test_a_weight_file_that_cannot_be_read_is_explained(tmp_path, name, data, said):
    if isinstance(data, bytes):
        (tmp_path / name).write_bytes(data)
    elif data == "script":
        quietly(lambda: torch.jit.script(nn.Linear(2, 2)).save(tmp_path / name))
    else:
        torch.save(data, tmp_path / name)
    with pytest.raises(ModelError) as caught:
        load_weights(nn.Linear(2, 2), tmp_path / name)
    assert f"{name} {said}" in str(caught.value) and "weights_only" not in str(caught.value)


# pixels


@pytest.mark.parametrize("order", ["RGB", "BGR"])
@pytest.mark.parametrize("scale", [1.0, 255.0])
@pytest.mark.parametrize("mean", [(0.0,), (0.5, 0.25, 0.125)])
@pytest.mark.parametrize("indices", [None, (4, 0, 1)])
@pytest.mark.parametrize("probabilities", [False, True])
def test_preprocessing_and_classes_against_a_direct_computation(order, scale, mean, indices, probabilities):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    if probabilities:
        network[0].weight.data /= 1000  # no probability of zero
        network.append(nn.Softmax(1))
    spec = InputSpec(channels=3, size=(5, 5), order=order, scale=scale, mean=mean, std=(0.5, 2.0, 4.0))
    pixels = torch.rand(4, 3, 5, 5)
    planes = []
    for position in range(3):
        channel = pixels[:, position if order == "RGB" else 2 - position]
        planes.append((channel * scale - mean[position % len(mean)]) / (0.5, 2.0, 4.0)[position])
    expected = network(torch.stack(planes, 1))
    expected = expected if indices is None else expected[:, list(indices)]
    expected = expected.log() if probabilities else expected
    torch.testing.assert_close(
        PixelModel(network, spec, indices, "probabilities" if probabilities else "logits")(pixels), expected
    )


def test_a_probability_of_zero_has_a_finite_logarithm():
    model = PixelModel(nn.Sequential(nn.Flatten(), nn.Hardtanh(0, 1)), InputSpec(1, (1, 2)), outputs="probabilities")
    logits = model(torch.tensor([[[[0.0, 1.0]]]]))
    assert logits.isfinite().all() and logits[0, 1] == 0 and logits[0, 0] < -80


def test_the_registry_is_the_users_whatever_its_names():
    network = Nameless()
    model = PixelModel(network, RGB)
    assert [name for name, _ in model.named_modules()] == ["", "network", "model", "body"]
    assert model.state_dict().keys() == network.state_dict().keys()
    assert {name for name, _ in model.named_buffers()} == {name for name, _ in network.named_buffers()}
    assert model.get_submodule("body") is network.body and model.mean is network.mean
    assert [id(p) for p in model.parameters()] == [id(p) for p in network.parameters()]


def test_modes_reach_the_network():
    network = Nameless()
    model = PixelModel(network, RGB).eval()
    assert not any(module.training for module in [*model.modules(), *network.modules()])
    model.train()
    assert all(module.training for module in [*model.modules(), *network.modules()])


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_is_independent_and_still_one_registry(clone):
    model = PixelModel(Nameless(), RGB, class_indices=(3, 1)).eval()
    x = torch.rand(2, 3, 8, 8)
    before, twin = model(x), clone(model)
    assert torch.equal(twin(x), before) and not twin.training
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
        twin.mean.zero_()
    assert torch.equal(model(x), before)
    assert not twin(x).any()
    assert twin.double()(x.double()).dtype == torch.float64  # conversion reaches what forward uses, buffers too
    assert model(x).dtype == torch.float32


def test_a_network_of_half_precision_takes_float_pixels_and_answers_float():
    model = PixelModel(Nameless().eval().bfloat16(), RGB)
    answer = model(torch.rand(2, 3, 8, 8))
    assert answer.dtype == torch.float32 and answer.isfinite().all()


@pytest.mark.parametrize("n", [1, 3, 4, 5, 9])
def test_a_fixed_batch_size_is_filled_up(n):
    sizes = []

    class Fixed(nn.Module):
        def forward(self, x):
            sizes.append(len(x))
            return x.flatten(1) * 2

    x = torch.rand(n, 1, 2, 2)
    assert torch.equal(PixelModel(Fixed(), GRAY, batch=4)(x), x.flatten(1) * 2)
    assert set(sizes) == {4} and len(sizes) == -(-n // 4)


def test_gradients_reach_the_pixels():
    model = PixelModel(Nameless().eval(), InputSpec(3, (8, 8), order="BGR", scale=255, mean=(3.0,), std=(7.0,)))
    x = torch.rand(2, 3, 8, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(model(x)[:, 0].sum(), x)
    assert gradient.shape == x.shape and gradient.any()


# the first question


PROBE = """
import torch
from torch import nn

class Answer(nn.Module):
    def __init__(self, code):
        super().__init__()
        self.code = code
    def forward(self, x):
        n = len(x)
        return eval(self.code)

def data(n=6):
    return torch.rand(n, 1, 4, 4), torch.arange(n) % 2
"""
ANSWERS = [
    ("torch.rand(n, 2) * 9", "", None),
    ("torch.rand(n, 2).softmax(1)", "", "set model.outputs = 'probabilities'"),
    ("torch.rand(n, 2).softmax(1)", "outputs = 'probabilities'", None),
    ("torch.rand(n, 2) * 9 - 5", "outputs = 'probabilities'", "set model.outputs = 'logits'"),
    ("torch.rand(n, 7) * 9", "", "answers 7 classes, data.classes names 2"),
    ("torch.rand(n, 7) * 9", "class_indices = [6, 0]", None),
    ("torch.rand(n, 7) * 9", "class_indices = [7, 0]", "data.class_indices goes up to 7, but the model answers 0..6"),
    ("torch.rand(n, 1)", "", "set model.outputs = 'binary' where it is a logit"),
    ("torch.rand(n, 2, 1, 1)", "", "answers shape (2, 2, 1, 1) to two images, expected (2, classes)"),
    ("torch.rand(2)", "", "answers shape (2,)"),
    ("(torch.rand(n, 2), torch.rand(n, 2))", "", None),
    ("(torch.rand(n, 2, 2, 2), torch.rand(n, 2))", "", "the model is a segmenter or a feature extractor"),
    ("('a', torch.rand(n, 2))", "", "answers a tuple of 2, expected one tensor of logits"),
    ("{'logits': torch.rand(n, 2)}", "", None),
    ("{'values': torch.rand(n, 2)}", "", "answers a dict of 1"),
    ("[{'boxes': torch.rand(3, 4), 'scores': torch.rand(3)}] * n", "", "the model is a detector (it answers boxes)"),
    ("{'out': torch.rand(n, 2, 4, 4)}", "", "the model is a segmenter"),
    ("torch.rand(n, 1)", "outputs = 'binary'", None),
    ("torch.rand(n)", "outputs = 'binary'", None),
    ("x.flatten(1).sum(1).sigmoid()", "outputs = 'sigmoid'", None),
    ("x.flatten(1).sum(1).sigmoid()", "outputs = 'binary'", "ends in a sigmoid"),
    ("x.flatten(1)[:, :2].sigmoid()", "", "ends in a sigmoid (its answers are in"),
    ("x.flatten(1)[:, :2].sigmoid()", "outputs = 'sigmoid'", None),
    ("torch.rand(n, 2) * 9 - 4", "outputs = 'sigmoid'", "model.outputs = 'sigmoid', but the model answers"),
    ("torch.rand(n, 5)", "outputs = 'binary'", "model.outputs = 'binary', but the model answers 5 numbers"),
    ("None", "", "answers a NoneType"),
    ("torch.rand(n, 2) * torch.nan", "", "answers NaN or infinity"),
    ("1 / 0", "", "rejects images of input.size = [4, 4] with input.channels = 1: ZeroDivisionError"),
    ("x.view(n, 3, 224, 224)", "", "rejects images of input.size = [4, 4]"),
    ("torch.zeros(n, 2)", "", None),
]


@pytest.mark.parametrize(("code", "setting", "said"), ANSWERS)
def test_the_first_answer_is_held_against_the_file(tmp_path, code, setting, said):
    (tmp_path / "answers.py").write_text(PROBE)
    outputs, indices = (setting, "") if setting.startswith("outputs") else ("", setting)
    (tmp_path / "audit.toml").write_text(
        f"[model]\nname = 'demo'\nsource = 'answers:Answer'\narguments = {{ code = {json.dumps(code)} }}\n"
        f"device = 'cpu'\n{outputs}\n[input]\nchannels = 1\nsize = 4\n"
        f"[data]\nvalidation = 'answers:data'\nclasses = ['a', 'b']\n{indices}\n"
    )
    if said is None:
        target = load_target(tmp_path / "audit.toml")
        assert target.predictions("validation").shape == (6, 2)
    else:
        with pytest.raises(ModelError) as caught:
            load_target(tmp_path / "audit.toml")
        assert said in str(caught.value) and "audit.toml: " in str(caught.value) and "\n" not in str(caught.value)


def test_an_export_of_another_size_says_what_it_wants(tmp_path):
    network = nn.Sequential(nn.Flatten(), nn.Linear(25, 2)).eval()
    torch.export.save(torch.export.export(network, (torch.rand(1, 1, 5, 5),)), tmp_path / "m.pt2")
    (tmp_path / "answers.py").write_text(PROBE)
    (tmp_path / "audit.toml").write_text(
        "[model]\nname = 'demo'\nsource = 'm.pt2'\ndevice = 'cpu'\n[input]\nchannels = 1\nsize = 4\n"
        "[data]\nvalidation = 'answers:data'\nclasses = ['a', 'b']\n"
    )
    with pytest.raises(ModelError, match=r"input\.size = \[4, 4\].*shape\[2\] to be equal to 5, but got 4"):
        load_target(tmp_path / "audit.toml")


def test_random_weights_are_the_same_in_every_run_and_leave_the_generator_alone(tmp_path):
    source = ModelSource("demo", "torchvision:squeezenet1_1", {"num_classes": 2}, device="cpu")
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second = (load(source, RGB, tmp_path).model.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(torch.get_rng_state(), before)


class Views(nn.Module):
    """A network that reads its map with `view`, which a channels-last map of more than one pixel does not allow."""

    def __init__(self):
        super().__init__()
        self.conv, self.linear = nn.Conv2d(3, 4, 3, stride=16), nn.Linear(64, 2)

    def forward(self, x):
        return self.linear(self.conv(x).view(len(x), -1))


def flattens():
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=16), nn.Flatten(), nn.Linear(64, 2))


@pytest.mark.parametrize(
    ("network", "size", "layout"),
    [
        (flattens, 64, torch.channels_last),
        (flattens, 63, torch.contiguous_format),
        (Views, 64, torch.contiguous_format),
    ],
)
def test_the_faster_layout_is_chosen_where_the_network_bears_it(network, size, layout):
    pixels = torch.rand(2, 3, size, size)
    model = PixelModel(network().eval(), InputSpec(channels=3, size=(size, size)))
    before = model(pixels)
    assert choose_layout(model, pixels) == layout
    torch.testing.assert_close(model(pixels), before)
    torch.testing.assert_close(copy.deepcopy(model)(pixels), before)
    assert model.get_parameter(next(iter(model.state_dict()))).is_contiguous(memory_format=layout)


@pytest.mark.parametrize("name", ["m.onnx", "M.ONNX"])
def test_an_onnx_model_of_half_precision_takes_float_pixels(tmp_path, name):
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    half = onnx.TensorProto.FLOAT16
    ends = [
        onnx.helper.make_tensor_value_info(end, half, shape) for end, shape in (("x", [2, 1, 4, 4]), ("y", [2, 16]))
    ]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Flatten", ["x"], ["y"])], "g", ends[:1], ends[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    (tmp_path / name).write_bytes(model.SerializeToString())
    x = torch.rand(3, 1, 4, 4)
    answer = load(ModelSource("demo", tmp_path / name), GRAY, tmp_path).model(x)
    assert answer.dtype == torch.float32 and torch.equal(answer, x.half().float().flatten(1))
