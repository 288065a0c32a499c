"""TorchScript and ONNX, which hide their calls: the same logits, and the reason why nothing inside is asked."""

from __future__ import annotations

import pickle
import re
import sys
import warnings

import pytest
import torch
from torch import nn

from cnnaudit.core.errors import ModelError
from cnnaudit.target import InputSpec
from cnnaudit.target.model_sources import ModelSource, load

RGB = InputSpec(channels=3, size=(64, 64))

GRAY = InputSpec(channels=1, size=(4, 4))


def quietly(function, *arguments, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **settings)


BATCH = {"dynamic_shapes": ({0: torch.export.Dim("batch", min=1, max=64)},)}


@pytest.mark.parametrize("how", [torch.jit.script, lambda net: torch.jit.trace(net, torch.rand(2, 3, 64, 64))])
def test_torchscript(resnet, images, tmp_path, how, check_equal):
    quietly(lambda: how(resnet).save(tmp_path / "m.ts"))
    loaded = load(ModelSource("demo", tmp_path / "m.ts", device="cpu"), RGB, tmp_path)
    check_equal(loaded, resnet, images, tolerance=1e-5)
    assert "TorchScript, which hides its calls" in loaded.inside_reason


@pytest.mark.parametrize("shapes", [BATCH, {}], ids=["any batch", "batch of 2"])
def test_onnx(resnet, images, tmp_path, shapes, check_equal):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network = resnet if shapes else nn.Sequential(nn.Conv2d(3, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
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
