"""A borrowed model is in evaluation mode, on images of its own, outside of inference mode, and then as it was."""

import copy

import pytest
import torch
from torch import nn

from cnnaudit.attribution import gradient
from cnnaudit.interventions import calls, input_of, run_until
from cnnaudit.interventions.inputs import all_weights
from cnnaudit.interventions.modes import evaluating
from cnnaudit.testing import snapshots


class Writes(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout()

    def forward(self, x):
        return self.drop(self.norm(self.conv(x.sub_(1)))).mean((2, 3))


def test_everything_is_as_it_was_also_after_an_exception():
    model, images = Writes().train(), torch.ones(2, 1, 5, 5)
    model.norm.eval()
    before = snapshots.of_model(model), snapshots.of_tensor(images), snapshots.of_process()
    with pytest.raises(KeyboardInterrupt), evaluating(model):
        model(images)
        assert not any(module.training for module in model.modules())
        raise KeyboardInterrupt
    after = snapshots.of_model(model), snapshots.of_tensor(images), snapshots.of_process()
    assert [snapshots.changed(*pair) for pair in zip(before, after)] == [[], [], []]


@pytest.mark.parametrize("named", [False, True])
def test_the_model_gets_a_copy_that_is_part_of_the_graph(named):
    model, leaf = Writes(), torch.ones(2, 1, 5, 5, requires_grad=True)
    with evaluating(model):
        (model(x=leaf) if named else model(leaf)).sum().backward()
    assert bool((leaf == 1).all()) and leaf.grad is not None and bool(leaf.grad.any())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["script", "trace", "export", "compile"])
def test_models_of_every_kind_get_a_copy(kind):
    model, images = Writes().eval(), torch.ones(2, 1, 5, 5)
    made = {
        "script": lambda: torch.jit.script(model),
        "trace": lambda: torch.jit.trace(model, images.clone()),
        "export": lambda: torch.export.export(model, (images.clone(),)).module(),
        "compile": lambda: torch.compile(model, backend="eager"),
    }[kind]()
    with evaluating(made):
        answer = made(images)
    assert bool((images == 1).all()) and torch.allclose(answer, model(images.clone()))
    made(images)
    assert not bool((images == 1).any())  # outside it is the caller's pass


def test_contexts_nest_and_copies_of_the_model_are_models_of_their_own():
    model, images = Writes().train(), torch.ones(1, 1, 5, 5)
    with evaluating(model):
        with evaluating(model):
            assert len(model._forward_pre_hooks) == 1
        assert not model.training and len(model._forward_pre_hooks) == 1
        copied = copy.deepcopy(model)
    copied.train()
    with evaluating(copied):
        assert not copied.training
        copied(images)
    assert copied.training and model.training and not model._forward_pre_hooks


def test_inference_mode_ends_inside():
    model, grown = Writes(), []
    model.register_forward_hook(lambda module, inputs, output: grown.append(output))
    with torch.inference_mode():
        with evaluating(model):
            model(torch.ones(1, 1, 5, 5))
            assert not torch.is_grad_enabled()
            with torch.inference_mode(), evaluating(model):  # entered again between
                model(torch.ones(1, 1, 5, 5))
        assert torch.is_inference_mode_enabled()
    assert not any(output.is_inference() for output in grown)
    with torch.enable_grad(), evaluating(model):
        assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    "run",
    [
        calls,
        all_weights,
        lambda model, images: run_until(model, images, "norm"),
        lambda model, images: input_of(model, images, "norm"),
        lambda model, images: gradient(model, images, 0),
        lambda model, images: gradient(model, images, layer="norm", unit=0),
    ],
)
def test_whatever_runs_the_model_borrows_it(run):
    model, images = Writes().train(), torch.rand(2, 1, 5, 5)
    before = snapshots.of_model(model), snapshots.of_tensor(images)
    run(model, images)
    after = snapshots.of_model(model), snapshots.of_tensor(images)
    assert [snapshots.changed(*pair) for pair in zip(before, after)] == [[], []]


def test_a_recomputed_forward_pass_is_in_evaluation_mode_too():
    class Checkpointed(Writes):
        def forward(self, x):
            ask = lambda x: self.drop(self.conv(x)).mean((2, 3))  # noqa: E731
            return torch.utils.checkpoint.checkpoint(ask, x, use_reentrant=False)

    torch.manual_seed(0)
    model, images = Checkpointed().train(), torch.rand(2, 1, 5, 5)
    expected = gradient(copy.deepcopy(model).eval(), images, 0)
    assert gradient(model, images, 0).equal(expected)
