"""GoogLeNet: sizes as published, names and layouts of its published weights; the other reference networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from cnnaudit.checks.audit_file import load_target
from cnnaudit.core.errors import ModelError
from cnnaudit.interventions import calls, record
from cnnaudit.models import googlenet, load_googlenet_weights, mnist_cnn, vgg4, vgg16

LAYERS = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def by_the_table(classes: int, auxiliary: bool) -> int:
    """Every kernel of the paper's table 1 with one bias a filter, counted without building the network."""
    table = [
        (192, 64, 96, 128, 16, 32, 32),
        (256, 128, 128, 192, 32, 96, 64),
        (480, 192, 96, 208, 16, 48, 64),
        (512, 160, 112, 224, 24, 64, 64),
        (512, 128, 128, 256, 24, 64, 64),
        (512, 112, 144, 288, 32, 64, 64),
        (528, 256, 160, 320, 32, 128, 128),
        (832, 256, 160, 320, 32, 128, 128),
        (832, 384, 192, 384, 48, 128, 128),
    ]
    total = 64 * (3 * 49 + 1) + 64 * (64 + 1) + 192 * (64 * 9 + 1) + classes * (1024 + 1)
    for before, one, three_reduce, three, five_reduce, five, pool in table:
        total += (one + three_reduce + five_reduce + pool) * (before + 1)
        total += three * (three_reduce * 9 + 1) + five * (five_reduce * 25 + 1)
    if auxiliary:
        for before in (512, 528):
            total += 128 * (before + 1) + 1024 * (2048 + 1) + classes * (1024 + 1)
    return total


@pytest.mark.parametrize(("auxiliary", "expected"), [(False, 6_998_552), (True, 13_378_280)])
def test_parameters_are_those_of_the_table(auxiliary: bool, expected: int) -> None:
    with torch.device("meta"):
        assert parameters(googlenet(auxiliary=auxiliary)) == by_the_table(1000, auxiliary) == expected


def test_units_of_each_layer_and_their_planes() -> None:
    model = googlenet().eval()
    names = [f"mixed{layer}" for layer in LAYERS]
    with record(model, names) as values, torch.no_grad():
        assert model(torch.rand(1, 3, 224, 224)).shape == (1, 1000)
    assert [values[name].shape[1] for name in names] == [256, 480, 512, 512, 512, 528, 832, 832, 1024]
    assert [values[name].shape[2] for name in names] == [28, 28, 14, 14, 14, 14, 14, 7, 7]
    assert model.mixed4b.get_submodule("5x5").kernel_size == (5, 5)


def test_the_units_of_a_layer_are_those_of_its_branches_in_order() -> None:
    model = googlenet().eval()
    parts = ["mixed4b.1x1", "mixed4b.3x3", "mixed4b.5x5", "mixed4b.pool_reduce"]
    with record(model, ["mixed4b", *parts]) as values, torch.no_grad():
        model(torch.rand(1, 3, 64, 64))
    expected = torch.cat([values[name] for name in parts], 1).relu()
    assert torch.equal(values["mixed4b"], expected)


def test_the_variant_of_tensorflow() -> None:
    model = googlenet(variant="tensorflow").eval()
    assert model.mixed4a.get_submodule("3x3").out_channels == 204  # as in the sizes of the reference's clusters
    observed = {call.name: call for call in calls(model, torch.rand(1, 3, 224, 224))}
    assert observed["conv2d0"].geometry.padding == (2, 3, 2, 3)
    assert observed["mixed5b/cat:1"].output_shape == (1, 1024, 7, 7)
    assert observed["softmax2"].output_shape == (1, 1008)


def test_auxiliary_classifiers_answer_in_training_only() -> None:
    model = googlenet(10, auxiliary=True)
    answers = model(torch.rand(2, 3, 224, 224))
    assert [answer.shape for answer in answers] == [(2, 10)] * 3
    assert model.eval()(torch.rand(2, 3, 64, 64)).shape == (2, 10)


def test_responses_are_normalized_over_five_channels() -> None:
    model = googlenet().eval()
    names = ["/max_pool2d:1", "/local_response_norm:1"]
    with record(model, names) as values, torch.no_grad():
        model(torch.rand(1, 3, 64, 64) * 200)
    before, after = (values[name].double() for name in names)
    for c in (0, 30, 63):
        near = before[:, max(0, c - 2) : c + 3]
        expected = before[:, c] / (1 + 1e-4 / 5 * near.pow(2).sum(1)) ** 0.75  # Caffe: alpha over the size
        torch.testing.assert_close(after[:, c], expected, rtol=1e-4, atol=1e-5)


def published(form: str, model: nn.Module) -> dict[str, np.ndarray]:
    """The weights of a model under the names and in the layout of a publication."""
    heads = {"head0.bottleneck": "loss1/conv", "head0.nn": "loss1/fc", "head0.softmax": "loss1/classifier"}
    heads |= {name.replace("0", "1"): other.replace("1", "2") for name, other in heads.items()}
    caffe = {"conv2d0": "conv1/7x7_s2", "conv2d1": "conv2/3x3_reduce", "conv2d2": "conv2/3x3"}
    caffe |= {"softmax2": "loss3/classifier", **heads}
    flat = {"head0.bottleneck": "head0_bottleneck", "head0.nn": "nn0", "head0.softmax": "softmax0"}
    flat |= {name.replace("0", "1"): other.replace("0", "1") for name, other in flat.items()}
    found = {}
    for key, value in model.state_dict().items():
        layer, role = key.rsplit(".", 1)
        array, weight = value.numpy(), role == "weight"
        if form in ("caffe", "keras"):
            name = layer.replace("mixed", "inception_").replace(".", "/")
            name = caffe.get(layer, name.replace("bottleneck", "reduce").replace("pool_reduce", "pool_proj"))
            if form == "caffe":
                found[f"{name}.{0 if weight else 1}"] = array
            else:
                found[f"{name}/{name}_{'W' if weight else 'b'}:0"] = (
                    array[..., ::-1, ::-1] if array.ndim == 4 else array
                )
        elif form == "tensorflow":
            if array.ndim == 4:
                array = array.transpose(2, 3, 1, 0)
            elif layer.endswith(".nn") and weight:
                array = array.reshape(1024, 128, 4, 4).transpose(2, 3, 1, 0).reshape(2048, 1024)
            elif weight:
                array = array.T
            found[f"{flat.get(layer, layer.replace('.', '_'))}_{'w' if weight else 'b'}"] = array
        else:
            end = "pre_activation_matmul" if layer.startswith("softmax") else "pre_relu_conv"
            found[f"{layer.replace('.', '_')}_{end}.{role}"] = array
    return found


@pytest.mark.parametrize(
    ("form", "variant", "auxiliary"),
    [
        ("caffe", "published", True),
        ("keras", "published", False),
        ("tensorflow", "tensorflow", True),
        ("lucent", "tensorflow", False),
    ],
)
def test_published_names_and_layouts(form: str, variant: str, auxiliary: bool) -> None:
    trained = googlenet(12, variant, auxiliary)
    state = {key: np.ascontiguousarray(value) for key, value in published(form, trained).items()}
    model = load_googlenet_weights(googlenet(12, variant, auxiliary), state)
    for key, value in trained.state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key
    if auxiliary:  # the heads are left out where the model has none
        plain = load_googlenet_weights(googlenet(12, variant), state)
        assert torch.equal(plain.softmax2.weight, trained.softmax2.weight)


def test_keys_of_the_other_publications_that_are_known_by_heart() -> None:
    state = published("caffe", googlenet())
    assert {"conv1/7x7_s2.0", "inception_4b/5x5_reduce.0", "inception_5b/pool_proj.1", "loss3/classifier.0"} <= set(
        state
    )
    state = published("tensorflow", googlenet(variant="tensorflow"))
    assert state["mixed4a_3x3_w"].shape == (3, 3, 96, 204) and state["softmax2_w"].shape == (1024, 1008)


def test_the_first_wrong_weight_is_named_and_nothing_is_changed() -> None:
    model, state = googlenet(12), published("caffe", googlenet(12))
    before = model.conv2d0.weight.clone()
    missing = {key: value for key, value in state.items() if key != "inception_4b/5x5_reduce.1"}
    with pytest.raises(ModelError, match=r"nothing for mixed4b.5x5_bottleneck.bias \(24,\)"):
        load_googlenet_weights(model, missing)
    with pytest.raises(ModelError, match=r"'inception_4a/3x3.0' has the shape \(204, 96, 3, 3\)"):
        load_googlenet_weights(model, state | {"inception_4a/3x3.0": state["inception_4a/3x3.0"][:204]})
    with pytest.raises(ModelError, match=r"'extra.weight' is no weight"):
        load_googlenet_weights(model, {**state, "extra.weight": np.ones(3)})
    assert torch.equal(model.conv2d0.weight, before)


def test_the_network_of_torchvision_is_told_apart() -> None:
    from torchvision.models import googlenet as other

    state = other(weights=None, init_weights=False, aux_logits=False).state_dict()
    with pytest.raises(ModelError, match="use it as 'torchvision:googlenet'"):
        load_googlenet_weights(googlenet(), state)


def test_words_and_numbers_that_are_refused() -> None:
    with pytest.raises(ModelError, match="published or tensorflow"):
        googlenet(variant="caffe")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="at least 2 classes"):
        googlenet(1)


def test_the_other_reference_networks() -> None:
    assert parameters(vgg4()) == 1_080_470
    assert vgg4().eval()(torch.rand(2, 3, 32, 32)).shape == (2, 10)
    assert [p.numel() for p in mnist_cnn().parameters()] == [288, 32, 18_432, 64, 9216 * 128, 128, 1280, 10]
    assert mnist_cnn().eval()(torch.rand(2, 1, 28, 28)).shape == (2, 10)
    with torch.device("meta"):
        assert parameters(vgg16()) == 138_357_544


def test_an_audit_file_names_them(tmp_path) -> None:
    text = """
[model]
name = "googlenet"
source = "cnnaudit.models:googlenet"
arguments = { classes = 10 }
[input]
channels = 3
size = [32, 32]
[data]
classes = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
[data.validation]
source = "colorful:digits"
"""
    code = "import numpy as np\n\n\ndef digits():\n    return np.zeros((4, 3, 32, 32), np.uint8), np.arange(4)\n"
    (tmp_path / "colorful.py").write_text(code)
    (tmp_path / "target.toml").write_text(text)
    target = load_target(tmp_path / "target.toml")
    with torch.no_grad():
        assert target.model(torch.rand(2, 3, 32, 32)).shape == (2, 10)
