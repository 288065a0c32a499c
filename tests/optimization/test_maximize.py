"""Optimized images against closed forms, and what an ascent promises about its start, its order and its model."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from cnnaudit.core.errors import AuditError, ModelError
from cnnaudit.interventions import LayerError
from cnnaudit.optimization import (
    LOGITS,
    RECIPES,
    Fourier,
    Jitter,
    Pixels,
    Recipe,
    caricature,
    channel,
    diverse,
    inversion,
    logit,
    maximize,
    probability,
    squared_norm,
    total_variation,
    unit,
    whole_layer,
)
from cnnaudit.optimization.truncated_model import Reader


def network(seed: int = 0, channels: int = 1) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(channels, 4, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3), nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3),
        ).eval()  # fmt: skip


BALL = Recipe("ball", "", Pixels(box=False, norm=1.0, center=0.0), rule="normalized", rate=0.2, steps=200)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_optimum_of_a_first_layer_position_under_a_norm_bound_is_the_kernel(sign):
    net = network()
    found = maximize(net, sign * unit("0", range(4)), (1, 9, 9), BALL)
    kernels = net[0].weight.detach()
    for k in range(4):
        patch = found.images[k, :, 2:7, 2:7]  # the receptive field of the position in the middle
        assert torch.cosine_similarity(patch.flatten(), sign * kernels[k].flatten(), dim=0) > 0.999
        assert found.images[k].norm() <= 1 + 1e-5
        best = sign * net[0].bias[k].detach() + kernels[k].norm()
        assert found.height[k] == pytest.approx(float(best), rel=1e-4)


def test_the_optimum_of_a_linear_class_in_the_box_is_its_sign():
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    found = maximize(net, logit([0, 1]), (1, 6, 6), Recipe("box", "", Pixels(), rate=0.1, steps=100))
    assert torch.equal(found.images.flatten(1), (net[1].weight > 0).float())


def test_class_less_squared_norm_is_the_weight_over_two_lambda():
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    recipe = Recipe("free", "", Pixels(box=False), rate=0.05, steps=600, tolerance=0)
    found = maximize(net, logit([0, 1]) - 0.5 * squared_norm(center=0), (1, 6, 6), recipe)
    assert torch.allclose(found.images.flatten(1), net[1].weight, atol=1e-3)


@pytest.mark.parametrize("name", sorted(set(RECIPES) - {"examples"}))
def test_no_recipe_returns_an_image_worse_than_it_began_with(name):
    found = maximize(network(), channel("3", range(6)), (1, 20, 20), name, steps=40)
    assert (found.height >= found.start).all() and (found.height > found.start).any()
    assert (np.diff(found.history, axis=0)[np.isfinite(found.history[1:])] >= 0).all()


def test_heights_are_those_of_the_images_themselves():
    net = network()
    found = maximize(net, unit("3", range(6), position=(2, 3)), (1, 20, 20), steps=40)
    with torch.no_grad():
        assert np.allclose(net[:4](found.images)[:, :, 2, 3].diagonal(), found.height, atol=1e-5)


def test_what_ascends_beside_an_image_does_not_change_it():
    net = network()
    together = maximize(net, channel("3", range(6)), (1, 20, 20), steps=30, batch_size=4)
    alone = maximize(net, channel("3", range(6)), (1, 20, 20), steps=30, batch_size=1)
    assert torch.allclose(together.images, alone.images, atol=1e-3)
    other = maximize(net, channel("3", range(6)), (1, 20, 20), steps=30, seed=1)
    assert not torch.allclose(together.images, other.images, atol=1e-3)


def test_the_same_seed_gives_the_same_images():
    first, second = (maximize(network(), channel("0", 1), (1, 12, 12), steps=20) for _ in range(2))
    assert torch.equal(first.images, second.images)


def test_the_model_the_start_and_the_random_state_are_as_they_were():
    net, start = network().train(), torch.full((1, 1, 20, 20), 0.4)
    before, image = copy.deepcopy(net.state_dict()), start.clone()
    state = torch.get_rng_state()
    maximize(net, channel("3", 0), (1, 20, 20), steps=5, start=start)
    assert torch.equal(start, image) and torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert net.training and all(p.grad is None and p.requires_grad for p in net.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_a_unit_that_never_fires_is_called_dead_and_the_others_rise():
    net = network()
    with torch.no_grad():
        net[0].bias[2] = -100
    for steps in (20, 200):
        found = maximize(net, channel("1", range(4)), (1, 12, 12), steps=steps)
        assert found.dead == ["1[2]"] and found.height[2] == 0
    assert (np.delete(found.height, 2) > 0.01).all()


def test_a_unit_that_never_leaves_zero_is_dead_even_where_its_views_have_a_gradient():
    net = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU())
    with torch.no_grad():
        net[0].weight.fill_(1.0)
        net[0].bias.fill_(-8.8)  # fires on what is nearly white: on what jitter shows, not on the gray image

    class Lit(Jitter):
        def __call__(self, images, generator, field=None):
            return images + 0.5

    for steps in (16, 200):
        dark = Recipe("dark", "", Pixels(), rate=0.0, steps=steps, jitter=Lit(), louder=())
        found = maximize(net, unit("1", 0), (1, 9, 9), dark)
        assert found.outcome == ("dead",) and found.height[0] == found.start[0] == 0


def test_what_noise_does_not_wake_starts_from_a_natural_image():
    net = nn.Sequential(nn.Conv2d(1, 1, 5), nn.ReLU())
    with torch.no_grad():
        net[0].weight.fill_(1 / 25)
        net[0].bias.fill_(-0.8)
    natural = torch.full((1, 1, 12, 12), 0.85)
    assert maximize(net, channel("1", 0), (1, 12, 12), steps=20).dead == ["1[0]"]
    found = maximize(net, channel("1", 0), (1, 12, 12), steps=20, natural=natural)
    assert found.dead == [] and found.height[0] > found.start[0] == pytest.approx(0.05, abs=1e-3)
    assert torch.allclose(found.first, natural, atol=1e-3)
    with pytest.raises(AuditError, match="natural"):
        maximize(net, channel("1", 0), (1, 12, 12), natural=natural[..., :5])


def deep(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Conv2d(3, 8, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True),
            nn.MaxPool2d(2), nn.Conv2d(8, 12, 1), nn.BatchNorm2d(12), nn.ReLU(inplace=True),
            nn.Conv2d(12, 8, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
        )  # fmt: skip
        net.train()(torch.rand(16, 3, 32, 32))  # batch statistics that are not trivial
        return net.eval()


@pytest.mark.parametrize("goal", [channel("7", range(4)), unit("6", [2, 5]), channel("0", 1), logit([0, 3]),
                                  channel("4", 1) + channel("7", 2), channel("6/relu:1", 3)])  # fmt: skip
@pytest.mark.parametrize("size", [24, 64])
def test_the_quick_way_is_the_plain_way(goal, size, monkeypatch):
    net = deep()
    recipe = Recipe("plain", "", Pixels(), rate=0.01, steps=6, rule="normalized")
    quick = maximize(net, goal, (3, size, size), recipe)
    made = Reader(net, goal.layers, torch.rand(1, 3, size, size))
    assert made.copied
    monkeypatch.setattr(Reader, "_copied", lambda *arguments: None)
    plain = maximize(net, goal, (3, size, size), recipe)
    assert np.allclose(quick.height, plain.height, rtol=1e-4, atol=1e-6)
    assert torch.allclose(quick.images, plain.images, atol=1e-5)


def test_what_cannot_be_copied_or_does_not_survive_it_is_read_itself():
    class Stubborn(nn.Module):
        def __init__(self, manner):
            super().__init__()
            self.net, self.manner = deep(), manner

        def __deepcopy__(self, memo):
            if self.manner == "refuses":
                raise TypeError("cannot be copied")
            twin = Stubborn("refuses")
            twin.net.load_state_dict({name: value + 1 for name, value in self.net.state_dict().items()})
            return twin.eval()

        def forward(self, x):
            return self.net(x)

    for manner in ("refuses", "becomes another"):
        net = Stubborn(manner).eval()
        reader = Reader(net, ("net.7",), torch.rand(1, 3, 24, 24))
        images = torch.rand(2, 3, 24, 24)
        assert not reader.copied and torch.equal(reader(images)["net.7"], net.net[:8](images))
        found = maximize(net, channel("net.7", 0), (3, 24, 24), steps=4)
        assert found.height[0] > found.start[0]


def test_nothing_behind_the_layer_is_computed():
    class Wall(nn.Module):
        def forward(self, x):
            raise AssertionError("computed")

    net = nn.Sequential(*deep()[:8], Wall())
    assert len(maximize(net, channel("7", 0), (3, 24, 24), steps=2)) == 1


def test_a_unit_that_is_silent_on_gray_is_woken_by_louder_noise():
    net = network()
    with torch.no_grad():
        net[0].bias[2] -= float(net[0](torch.full((1, 1, 12, 12), 0.5))[0, 2, 0, 0]) + 0.08
    found = maximize(net, channel("1", 2), (1, 12, 12), "none", steps=200)
    assert found.outcome != ("dead",) and found.height[0] > 0


def test_what_has_converged_stops():
    recipe = Recipe("box", "", Pixels(), rate=0.2, steps=4000)
    found = maximize(nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), logit([0, 1]), (1, 4, 4), recipe)
    assert found.outcome == ("converged", "converged") and (found.steps < 400).all()


def test_objectives_add_up():
    net = network()
    images = torch.rand(2, 1, 20, 20)
    values = {"3": net[:4](images), LOGITS: net(images)}
    rows = torch.arange(2)
    measured = {
        "sum": channel("3", [1, 2]) + 2 * channel("3", 0),
        "difference": unit("3", [1, 2], (0, 1)) - probability(1),
    }
    found = {name: objective.measure(values, images, rows) for name, objective in measured.items()}
    means = values["3"].mean((2, 3))
    assert torch.allclose(found["sum"], torch.stack([means[0, 1], means[1, 2]]) + 2 * means[:, 0])
    softmax = values[LOGITS].softmax(1)[:, 1]
    assert torch.allclose(
        found["difference"], torch.stack([values["3"][0, 1, 0, 1], values["3"][1, 2, 0, 1]]) - softmax
    )
    assert measured["sum"].names == ("3[1] + 2 * 3[0]", "3[2] + 2 * 3[0]")
    assert measured["difference"].layers == ("3", LOGITS)


def test_several_layers_and_the_answer_are_read_in_one_pass():
    found = maximize(network(), channel("0", 1) - channel("3", 2) + 0.1 * logit(0), (1, 20, 20), steps=20)
    assert found.height > found.start
    found = maximize(network(), channel("3", 1) - channel("0", 2), (1, 20, 20), steps=20)
    assert found.height > found.start


def test_a_code_is_inverted_to_an_image_with_that_code():
    net = network()
    image = torch.rand(1, 1, 20, 20, generator=torch.Generator().manual_seed(3))
    found = maximize(net, inversion(net, "0", image), (1, 20, 20), Recipe("pixels", "", Pixels(), rate=0.02, steps=400))
    assert found.height > -1e-3 and torch.allclose(found.images, image, atol=0.1)


def test_a_caricature_has_more_of_what_the_image_has():
    net = network()
    image = torch.rand(1, 1, 20, 20, generator=torch.Generator().manual_seed(3))
    found = maximize(net, caricature(net, "3", image), (1, 20, 20), start=image, steps=40)
    assert found.height > found.start > 0


def test_diversity_makes_the_images_of_a_goal_differ():
    net = network(channels=3)

    def likeness(weight):
        found = maximize(net, diverse(channel("3", 1), "3", images=3, weight=weight), (3, 24, 24), "none", steps=80)
        assert len(found) == 3
        maps = net[:4](found.images).flatten(2)
        grams = torch.nn.functional.normalize((maps @ maps.transpose(1, 2)).flatten(1))
        return (grams @ grams.T)[0, 1:].mean().item()

    assert likeness(3.0) < likeness(0.0) - 0.05


def test_whole_layer_and_total_variation_are_their_definitions():
    images = torch.rand(1, 1, 5, 5)
    values = {"0": torch.full((1, 2, 3, 3), 2.0)}
    assert whole_layer("0").measure(values, images, torch.zeros(1)) == 4
    stripes = torch.tensor([[0.0, 1.0, 0.0]]).repeat(3, 1)[None, None]
    assert total_variation().measure({}, stripes, torch.zeros(1)) == 1


def test_bfloat16_rises_too():
    found = maximize(network(), channel("3", range(6)), (1, 20, 20), steps=40, dtype=torch.bfloat16)
    assert (found.height > found.start).all()


@pytest.mark.parametrize("size", [(7, 7), (8, 9), (28, 28), (31, 20)])
@pytest.mark.parametrize("channels", [1, 3])
def test_fourier_coefficients_are_the_image(size, channels):
    images = torch.rand(2, channels, *size) * 0.9 + 0.05
    assert torch.allclose(Fourier().decode(Fourier().encode(images), size), images, atol=1e-4)


def test_jitter_is_one_resampling_that_moves_scales_and_turns():
    image = torch.zeros(1, 1, 41, 41)
    image[..., 20, 30] = 1
    still = Jitter(pixels=0, scale=(1, 1), degrees=0, after=0)
    assert torch.allclose(still(image, torch.Generator()), image, atol=1e-5)
    larger = Jitter(pixels=0, scale=(2, 2), degrees=0, after=0)(image, torch.Generator())
    assert larger[..., 20, 40] > 0.4  # ten pixels from the center are twenty now
    turned = Jitter(pixels=0, scale=(1, 1), degrees=360, after=0, gray=0)(image, torch.Generator().manual_seed(0))
    row, column = divmod(int(turned.argmax()), 41)
    assert abs(np.hypot(row - 20, column - 20) - 10) < 1
    moved = Jitter(pixels=5 * 128 / 41, scale=(1, 1), degrees=0, after=0, gray=0)
    places = {int(moved(image, torch.Generator().manual_seed(k)).argmax()) for k in range(20)}
    rows, columns = np.array([divmod(place, 41) for place in places]).T
    assert len(places) > 10 and np.abs(rows - 20).max() <= 5 and np.abs(columns - 30).max() <= 5


def test_jitter_is_no_larger_than_what_a_unit_sees():
    image = torch.zeros(1, 1, 128, 128)
    image[..., 64, 64] = 1
    jitter = Jitter(pixels=32, scale=(1, 1), degrees=0, after=0, gray=0)
    for field, most in ((None, 32), (16, 4)):
        places = [int(jitter(image, torch.Generator().manual_seed(k), field).argmax()) for k in range(40)]
        away = np.abs(np.array([divmod(place, 128) for place in places]) - 64).max()
        assert most // 2 < away <= most


def test_a_unit_with_a_small_field_reaches_most_of_its_closed_form_in_a_large_image():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 5, bias=False))
    highest = net[0].weight.detach().clamp_min(0).sum((1, 2, 3)).numpy()  # white under the positive weights
    found = maximize(net, unit("0", range(4)), (1, 128, 128), steps=128)
    assert (found.height > 0.75 * highest).all()


class Rounded(nn.Module):
    def forward(self, x):
        return x.round().detach().mean((2, 3))


@pytest.mark.parametrize(
    "make, objective, kind, said",
    [
        (network, channel("0", 9), AuditError, "units 0 to 3"),
        (network, channel("nowhere", 0), LayerError, "no layer"),
        (network, unit("0", 0, position=(99, 0)), AuditError, "outside"),
        (Rounded, logit(0), ModelError, "differentiable"),
        (network, float("nan") * channel("0", 0), AuditError, "NaN"),
    ],
)
def test_bad_input_is_told(make, objective, kind, said):
    with pytest.raises(kind, match=said):
        maximize(make(), objective, (1, 20, 20), steps=3)


def test_goals_of_different_number_do_not_add_up():
    with pytest.raises(AuditError, match="add up"):
        channel("0", [0, 1]) + channel("0", [0, 1, 2])


def test_a_size_that_the_model_rejects_and_wrong_settings_are_told():
    with pytest.raises(ModelError, match=r"\(1, 4, 4\)"):
        maximize(network(), logit(0), (1, 4, 4), steps=3)
    with pytest.raises(AuditError, match="recipe"):
        maximize(network(), logit(0), (1, 20, 20), "magic")
    with pytest.raises(AuditError, match="start"):
        maximize(network(), logit(0), (1, 20, 20), start=torch.rand(1, 1, 8, 8))


def test_the_batch_halves_when_memory_runs_out():
    net = network()
    seen = []

    class Narrow(nn.Module):
        def forward(self, x):
            seen.append(len(x))
            if len(x) > 2:
                raise RuntimeError("CUDA out of memory")
            return net(x)

    found = maximize(Narrow(), logit([0, 1, 2]), (1, 20, 20), steps=3)
    assert (found.height >= found.start).all() and max(seen) == 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("recipe", sorted(set(RECIPES) - {"examples"}))
def test_a_gpu_finds_what_the_cpu_finds(recipe):
    on_cpu = maximize(network(), channel("3", range(6)), (1, 20, 20), recipe, steps=32)
    found = maximize(network().cuda(), channel("3", range(6)), (1, 20, 20), recipe, steps=32)
    assert found.images.is_cuda and np.allclose(found.height, on_cpu.height, rtol=0.05, atol=1e-3)


@pytest.mark.parametrize("goal", [channel("1", 2), unit("1", 2, position=(0, 3)), diverse(channel("1", 2), "1", 2)])
def test_a_layer_with_its_channels_last_is_driven_alike(goal):
    class Last(nn.Module):
        def forward(self, x):
            return x.permute(0, 2, 3, 1).relu()

    conv = nn.Conv2d(1, 3, 5)
    plain, last = (
        maximize(nn.Sequential(conv, behind).eval(), goal, (1, 9, 11), steps=8) for behind in (nn.ReLU(), Last())
    )
    assert np.allclose(plain.height, last.height, atol=1e-6) and torch.allclose(plain.images, last.images, atol=1e-5)
