"""A change of the memory layout never changes an answer."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from cnnaudit.attribution import gradient, integrated_gradients, occlusion
from cnnaudit.attribution.incremental_forward import laid_out
from cnnaudit.interventions.memory_format import bears_channels_last, choose_layout
from cnnaudit.optimization import channel, maximize
from cnnaudit.target import InputSpec
from cnnaudit.target.pixels import PixelModel

SHARING = {
    "view": lambda maps: maps.view(len(maps), -1),
    "reshape": lambda maps: maps.reshape(len(maps), -1),
    "flatten": lambda maps: torch.flatten(maps, 1),
    "contiguous": lambda maps: maps.contiguous().flatten(1),
    "rows": lambda maps: maps.permute(0, 2, 3, 1).contiguous(),  # shares memory in the other layout only
}


class Centers(nn.Module):
    """Centers maps in place through something that shares their memory, or does not, and out of place."""

    def __init__(self, shared=None, factor=1.0):
        super().__init__()
        torch.manual_seed(1)
        self.c, self.d, self.f = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 4)
        self.shared, self.factor = shared, factor

    def forward(self, x):
        maps = self.c(x)
        if self.shared is not None:
            other = SHARING[self.shared](maps)
            other -= self.factor * other.mean(tuple(range(1, other.ndim)), keepdim=True)
        return self.f(F.relu(self.d(F.relu(maps))).mean((2, 3)))


def pixels(size, count=2):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(size))


def plain_gradient(model, images):
    leaf = images.clone().requires_grad_()
    return torch.autograd.grad(model(leaf)[:, 1].sum(), leaf)[0]


@pytest.mark.parametrize("shared", SHARING)
def test_writing_into_shared_memory_keeps_the_plain_layout(shared):
    model, images = Centers(shared).eval(), pixels(64)
    for views in (False, True):
        assert not bears_channels_last(model, images, views=views)
    true = plain_gradient(model, images)
    assert torch.allclose(gradient(model, images, 1), true, atol=1e-6 * float(true.abs().max()))
    assert laid_out(model, images).is_contiguous()


@pytest.mark.parametrize("shared", ["reshape", "rows"])
def test_also_where_the_answers_hardly_differ(shared):
    model = Centers(shared, factor=1e-9).eval()
    assert not bears_channels_last(model, pixels(64))


def test_other_models_are_laid_out():
    model, images = Centers().eval(), pixels(64)
    assert bears_channels_last(model, images)
    assert laid_out(model, images).is_contiguous(memory_format=torch.channels_last)

    class ReadsView(Centers):
        def forward(self, x):
            return self.f(F.relu(self.c(x)).view(len(x), -1)[:, :8])

    assert not bears_channels_last(ReadsView().eval(), images)  # raises there
    assert bears_channels_last(ReadsView().eval(), images, views=True)


def test_what_reads_memory_or_branches_on_the_layout_keeps_the_plain_one():
    class ReadsMemory(Centers):
        def forward(self, x):
            maps = self.c(x)
            return super().forward(x) + maps.as_strided((len(x), 4), (maps.stride(0), 1))

    class Branches(Centers):
        def forward(self, x):
            return super().forward(x) if x.is_contiguous() else super().forward(x) + 0 * x.mean()

    for model in (ReadsMemory().eval(), Branches().eval(), torch.jit.script(nn.Conv2d(3, 4, 3)).eval()):
        assert not bears_channels_last(model, pixels(64))


def test_the_verdict_is_kept_for_that_model_size_and_structure():
    asked = []
    model = Centers().eval()
    model.register_forward_hook(lambda *_: asked.append(1))
    for _ in range(3):
        assert bears_channels_last(model, pixels(64))
    assert len(asked) == 2
    model.c = nn.Sequential(model.c, nn.Flatten(1, 2), nn.ReLU(inplace=True), nn.Unflatten(1, (8, -1)))
    assert not bears_channels_last(model, pixels(64))


@pytest.mark.parametrize("size", [32, 63, 64, 72])
def test_attributions_and_optima_are_the_models_own_at_every_size(size):
    model, images = Centers("view").eval(), pixels(size)
    true = plain_gradient(model, images)
    assert torch.allclose(gradient(model, images, 1), true, atol=1e-6 * float(true.abs().max()))
    with torch.no_grad():
        rise = (model(images) - model(images * 0))[:, 1]
    found = integrated_gradients(model, images, 1, steps=100).sum((1, 2, 3))
    assert torch.allclose(found, rise, atol=2e-3 * float(rise.abs().max()))
    best = maximize(model, channel("d", [0]), (3, size, size), steps=4)
    kept = []
    handle = model.d.register_forward_hook(lambda module, inputs, output: kept.append(output))
    with torch.no_grad():
        model(best.images.contiguous())
    handle.remove()
    assert float(kept[0][0, 0].mean()) == pytest.approx(float(best.height[0]), rel=1e-5)


def test_occlusion_is_that_of_the_plain_layout():
    model, images = Centers("reshape").eval(), pixels(32, 1)
    drop = occlusion(model, images, 1, window=16, stride=16, fill=0.5, recompute="all")
    hidden = images.clone()
    hidden[..., :16, :16] = 0.5
    with torch.no_grad():
        expected = (model(images) - model(hidden))[0, 1]
    assert float(drop[0, 0, 0, 0]) == pytest.approx(float(expected), rel=1e-4, abs=1e-7)


@pytest.mark.parametrize(("shared", "last"), [(None, True), ("reshape", False), ("view", False)])
def test_loaded_networks_get_a_layout_in_which_they_answer_the_same(shared, last):
    network = Centers(shared, factor=1e-9).eval()
    images = pixels(64)
    expected = network(images)
    model = PixelModel(network, InputSpec(channels=3, size=(64, 64), mean=(0.0,) * 3, std=(1.0,) * 3))
    assert (choose_layout(model, images) is torch.channels_last) == last
    assert torch.allclose(model(images), expected, atol=1e-5)
