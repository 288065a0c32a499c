"""`cnnaudit train`: an audit file and a recipe, interrupted and continued, with its page; wrong use is a message."""

import numpy as np
import pytest
import torch

from cnnaudit.checks.audit_file import load_target
from cnnaudit.cli import main
from cnnaudit.pages.train import command
from cnnaudit.training.plan import Plan
from cnnaudit.training.recipes import RECIPES, audit_file

AUDIT = """
[model]
name = "tiny"
source = "cnnaudit.models:lenet"
arguments = { filters = [4, 4], hidden = 8, classes = 3 }
[input]
channels = 1
size = [28, 28]
[data]
classes = ["circle", "square", "<b>"]
[data.train]
source = "cnnaudit.data:shapes"
arguments = { noise = 0, inverted = false, n_per_class = 10 }
[data.validation]
source = "cnnaudit.data:shapes"
arguments = { noise = 0, inverted = false, n_per_class = 10, seed = 1 }
"""


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "audit.toml"
    path.write_text(AUDIT, encoding="utf-8")
    return path


@pytest.fixture
def mnist(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {}
    for part, n in (("train", 60), ("test", 40)):
        arrays |= {f"x_{part}": rng.integers(0, 256, (n, 28, 28), np.uint8), f"y_{part}": np.arange(n) % 10}
    (tmp_path / "data").mkdir()
    np.savez(tmp_path / "data" / "mnist.npz", **arrays)
    return tmp_path / "data"


def test_a_training_is_written_and_its_weights_can_be_audited(config, tmp_path, capsys):
    output = tmp_path / "out"
    assert main(["train", str(config), "--output", str(output), "--epochs", "2", "--flip"]) == 0
    told = capsys.readouterr().out
    assert "epoch 2 of 2: loss" in told and "set model.weights" in told
    page = (output / "train.html").read_text(encoding="utf-8")
    assert "Confusion matrix" in page and "Graph of the network" in page and "conv2d, 4 x 26 x 26, 40" in page
    assert "<b>" not in page and "Mirrored" not in page and "mirrored at random" in page
    assert (output / "training.csv").read_text().startswith("number,loss,accuracy,validation_loss")
    assert len((output / "confusion.csv").read_text().splitlines()) == 4
    config.write_text(AUDIT.replace("[input]", 'weights = "out/weights.safetensors"\n[input]'), encoding="utf-8")
    target = load_target(config)
    accuracy = (target.predictions("validation").argmax(1).numpy() == target.split("validation").labels).mean()
    assert f"{accuracy:.4f}" in told.splitlines()[1]


def test_an_interrupted_command_goes_on_with_the_same_weights(config, tmp_path, capsys, monkeypatch):
    arguments = ["train", str(config), "--epochs", "3", "--output"]
    assert main([*arguments, str(tmp_path / "whole")]) == 0
    usual = command.line

    def cut(epoch, total):
        if epoch.number == 2:
            raise KeyboardInterrupt
        return usual(epoch, total)

    monkeypatch.setattr(command, "line", cut)
    assert main([*arguments, str(tmp_path / "cut")]) == 2
    assert "The same command continues" in capsys.readouterr().err
    monkeypatch.setattr(command, "line", usual)
    assert main([*arguments, str(tmp_path / "cut")]) == 0
    assert capsys.readouterr().out.count("epoch ") == 3
    files = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "cut")]
    assert files[0] == files[1]


def test_a_recipe_becomes_a_target(mnist, tmp_path, capsys):
    output = tmp_path / "out"
    arguments = ["train", "mnist-lenet", "--root", str(mnist), "--output", str(output), "--epochs", "1"]
    assert main(arguments) == 0
    page = (output / "train.html").read_text(encoding="utf-8")
    assert "Published: 98.92 % (Jack A. Lees, 2017, section 6.2.1)" in page
    assert "80 of the 56,000 training images" in page and "113,386 parameters" in page
    target = load_target(output / "audit.toml")
    assert len(target.split("train").labels) == 80 and len(target.split("validation").labels) == 20


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_have_the_parameters_that_are_published(name, mnist, tmp_path):
    import importlib

    recipe = RECIPES[name]
    module, _, function = recipe.source.partition(":")
    model = getattr(importlib.import_module(module), function)(**recipe.arguments)
    assert sum(p.numel() for p in model.parameters()) == recipe.parameters
    assert model(torch.rand(2, recipe.channels, recipe.side, recipe.side)).shape == (2, len(recipe.classes))
    assert recipe.source.partition(":")[0] == "cnnaudit.models" and 'root = "data"' in audit_file(
        name, mnist.relative_to(tmp_path)
    )
    assert (
        dict(model.named_parameters()).get("hidden2.weight", torch.zeros(84)).shape[0] == 84 or name != "mnist-lenet5"
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["mnist-lent", "--root", "."], "did you mean 'mnist-lenet'"),
        (["mnist-lenet"], "needs --root"),
        (["mnist-lenet", "--root", "no/such"], "no MNIST in"),
        (["{config}", "--root", "."], "--root is for recipes"),
        (["{config}", "--optimizer", "adm"], "did you mean 'adam'"),
        (["{config}", "--first-layer", "hiden"], "did you mean 'hidden'"),
        (["{config}", "--dropout", "0.5"], "no dropout layer"),
        (["no.toml"], "no.toml"),
    ],
)
def test_wrong_use_is_a_message(config, tmp_path, capsys, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *(text.format(config=config) for text in arguments)]) == 4
    assert says in capsys.readouterr().err


def test_options_replace_the_choices_of_a_recipe():
    import argparse

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    recipe = RECIPES["cifar10-vgg4"]
    options = parser.parse_args(["cifar10-vgg4", "--root", ".", "--optimizer", "adam", "--epochs", "3"])
    assert command.plan_of(options, recipe) == Plan("adam", epochs=3, shift=0.1, flip=True)
    assert command.plan_of(parser.parse_args(["cifar10-vgg4"]), recipe) == recipe.plan


def test_tensorboard_reads_what_is_written(config, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logs = tmp_path / "logs"
    arguments = ["--output", str(tmp_path / "out"), "--epochs", "2", "--tensorboard", str(logs)]
    assert main(["train", str(config), *arguments]) == 0
    found = EventAccumulator(str(logs))
    found.Reload()
    assert {"loss/training", "loss/validation", "accuracy/validation"} <= set(found.Tags()["scalars"])
    assert [event.step for event in found.Scalars("loss/validation")] == [1, 2] and found.Tags()["graph"]
    (vectors,) = logs.glob("*/output/tensors.tsv")
    assert len(vectors.read_text().splitlines()) == 30
