"""[model.previous]: the same keys, another order of classes, and what is said about a bad one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cnnaudit.checks.audit_file import load_target, read
from cnnaudit.core.errors import ConfigError, ModelError
from cnnaudit.report import describe
from cnnaudit.target import AuditTarget

NETS = """
import torch

class Reads(torch.nn.Module):
    def __init__(self, classes, order):
        super().__init__()
        self.order, self.weight = order, torch.nn.Parameter(torch.arange(24.0 * classes).reshape(classes, 24).sin())

    def forward(self, x):
        return (x.flatten(1) @ self.weight.T)[:, self.order]

def build(classes=3, order=(0, 1, 2)):
    return Reads(classes, list(order))

def data(n=60):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(n, 1, 4, 6, generator=generator), torch.arange(n) % 3
"""
FILE = """
[model]
name = "v2"
source = "nets:build"
[model.previous]
name = "v1"
source = "nets:build"
{previous}
[input]
channels = 1
size = [4, 6]
[data]
validation = "nets:data"
classes = ["a", "b", "c"]
{more}
"""


@pytest.fixture
def write(tmp_path):
    (tmp_path / "nets.py").write_text(NETS)

    def write(previous: str = "", more: str = ""):
        (tmp_path / "audit.toml").write_text(FILE.format(previous=previous, more=more))
        return tmp_path / "audit.toml"

    return write


def problems(path):
    with pytest.raises(ConfigError) as caught:
        read(path)
    return " | ".join(caught.value.problems)


def answers(target: AuditTarget) -> tuple[torch.Tensor, torch.Tensor]:
    images, _ = target.sample("validation")
    assert target.previous is not None
    return target.logits(images), target.previous.logits(images)


def test_both_models_are_asked_about_the_same_images(write):
    target = load_target(write())
    now, before = answers(target)
    assert torch.equal(now, before) and target.previous.name == "v1" and target.previous.splits is target.splits
    assert describe(target)["previous"] == "v1"


def test_another_order_of_the_logits_is_mapped_by_name(write):
    target = load_target(write("arguments = { order = [2, 0, 1] }\nclasses = ['c', 'a', 'b']"))
    now, before = answers(target)
    assert torch.equal(now, before)


def test_the_previous_model_normalizes_as_it_says(write):
    now, before = answers(load_target(write("input = { scale = 2, mean = 1 }")))
    target = load_target(write())
    images, _ = target.sample("validation")
    assert torch.equal(now, target.logits(images))
    assert torch.allclose(before, target.logits(images * 2 - 1))


@pytest.mark.parametrize(
    ("previous", "said"),
    [
        ("weights = 'old.safetensors'", "model.previous.weights = 'old.safetensors': no such file"),
        ("classes = ['a', 'b', 'd']", "models of different classes cannot be compared"),
        ("classes = ['a', 'b']", "model.previous.classes = ['a', 'b']: expected the names of data.classes"),
        ("input = { size = [8, 8] }", "model.previous.input.size: both models are asked about the same images"),
        ("input = { mean = [0.1, 0.2] }", "model.previous.input.mean: expected one number, or 1, one per channel"),
        ("input = { brightness = 2 }", "model.previous.input.brightness: unknown key"),
        ("weigths = 'x'", "model.previous.weigths: unknown key, did you mean 'weights'"),
    ],
)
def test_mistakes_are_told_with_their_key(write, previous, said):
    assert said in problems(write(previous)).replace("; did", ", did").replace(" (did", ", did")


def test_a_table_is_expected(tmp_path):
    text = FILE.format(previous="", more="").replace(
        '[model.previous]\nname = "v1"\nsource = "nets:build"\n', "previous = 'v1'\n"
    )
    (tmp_path / "audit.toml").write_text(text)
    assert "model.previous = 'v1': expected a table" in problems(tmp_path / "audit.toml")


def test_indices_and_an_order_exclude_each_other(write):
    told = problems(write("classes = ['c', 'a', 'b']", "class_indices = [0, 1, 2]"))
    assert "model.previous.classes: leave it out" in told


def test_a_claim_needs_the_previous_model(write):
    path = write(more="[claims]\nnegative_flips = 0.01")
    assert read(path).claims.negative_flips == 0.01
    path.write_text(path.read_text().replace('[model.previous]\nname = "v1"\nsource = "nets:build"\n', ""))
    assert "claims.negative_flips: needs the model to compare with, set [model.previous]" in problems(path)


@pytest.mark.parametrize(
    ("previous", "said"),
    [
        ("arguments = { classes = 4, order = [0, 1, 2, 3] }", "[model.previous]: the model answers 4 classes"),
        ("arguments = { clases = 4 }", "[model.previous]: model.previous.source"),
        ("outputs = 'probabilities'", "[model.previous]: model.previous.outputs = 'probabilities'"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(write, previous, said):
    with pytest.raises(ModelError) as caught:
        load_target(write(previous))
    assert said in str(caught.value)


def test_the_sample_depends_on_the_data_alone():
    """Neither the name of the target, which changes with the version, nor the order of its classes moves the draw."""
    images, labels = np.random.default_rng(0).random((300, 1, 4, 4), dtype=np.float32), np.arange(300) % 3
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))

    def drawn(name, labels, seed=0):
        target = AuditTarget.from_arrays(name, network, {"validation": (images, labels)}, ("a", "b", "c"))
        return target.draw("validation", 60, seed).tolist()

    assert drawn("v1", labels) == drawn("v2", labels) == drawn("v1", (labels + 1) % 3)
    assert drawn("v1", labels) != drawn("v1", labels, seed=1)
