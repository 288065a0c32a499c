"""A head on pretrained features: what it replaces, and that training it leaves the features alone."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cnnaudit.checks.audit_file import load_target
from cnnaudit.core.errors import ModelError
from cnnaudit.models import small_resnet, small_vgg, with_head
from cnnaudit.target.arrays import ArraySplit
from cnnaudit.training import Plan, train


def test_the_head_reads_what_the_last_layer_read():
    torch.manual_seed(1)
    features = small_vgg().eval()
    model = with_head("cnnaudit.models:small_vgg", 3, hidden=[5], dropout=0.2).eval()
    images = torch.rand(2, 1, 28, 28)
    model.features.load_state_dict({k: v for k, v in features.state_dict().items() if not k.startswith("output")})
    assert torch.equal(model.features(images), features[:-1](images))
    assert model(images).shape == (2, 3) and model.head.dense1.in_features == 48


def test_pretrained_weights_come_from_a_file_beside_the_audit_file(tmp_path):
    torch.manual_seed(2)
    pretrained = small_resnet()
    save_file(pretrained.state_dict(), tmp_path / "features.safetensors")
    (tmp_path / "audit.toml").write_text(
        '[model]\nname = "portraits"\nsource = "cnnaudit.models:with_head"\n'
        'arguments = { source = "cnnaudit.models:small_resnet", classes = 10, weights = "features.safetensors" }\n'
        "[input]\nchannels = 1\nsize = 28\n[data]\n"
        'classes = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]\n'
        '[data.train]\nsource = "cnnaudit.data:digits"\narguments = { split = "validation" }\n'
    )
    target = load_target(tmp_path / "audit.toml")
    before = {k: v.clone() for k, v in target.model.state_dict().items()}
    assert torch.equal(before["features.conv1.weight"], pretrained.conv1.weight)
    train(target.model, target.split("train"), target.split("train"), Plan(epochs=1, first_layer="head"))
    changed = {name for name, value in target.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"head.output.weight", "head.output.bias"}, "batch statistics are frozen too"


def test_fine_tuning_begins_at_the_named_layer():
    model = with_head("cnnaudit.models:small_resnet", 2)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    rng = np.random.default_rng(0)
    split = ArraySplit("train", rng.random((16, 1, 28, 28), np.float32), np.arange(16) % 2, 2)
    train(model, split, split, Plan(epochs=1, first_layer="features.block2", anew=False))
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert all(name.startswith(("features.block2", "head")) for name in changed) and len(changed) > 10


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"source": "torchvision:resnet81"}, "no such model"),
        ({"source": "torch.nn:ReLU"}, "no linear layer"),
        ({"source": "cnnaudit.models:small_vgg", "weights": "no.safetensors"}, "no such file of weights"),
        ({"source": "cnnaudit.models:small_vgg", "hidden": [0]}, "sizes above 0"),
    ],
)
def test_what_cannot_have_a_head_is_refused(arguments, says):
    with pytest.raises(ModelError, match=says):
        with_head(classes=2, **arguments)
