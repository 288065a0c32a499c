"""The search for one pixel against exhaustive search and closed forms."""

import pytest
import torch
from torch import nn

from cnnaudit.optimization.single_pixel import margin_gradient, search


def images(n=30, channels=1, size=6, seed=0):
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(seed))


def network(channels=1, size=6, pooling=None, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [nn.Conv2d(channels, 3, 3, padding=1), nn.ReLU(), pooling or nn.Identity(), nn.Flatten()]
        features = 3 if pooling else 3 * size * size
        return nn.Sequential(*layers, nn.Linear(features, 3)).eval()


def ask(model, x, tries, **settings):
    with torch.no_grad():
        before = model(x).argmax(1)
    return search(model, model, x, before, tries, torch.Generator().manual_seed(0), **settings)


@torch.no_grad()
def exhaustive(model, x):
    """Images that any pixel in any extreme color flips."""
    _, c, h, w = x.shape
    colors = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * c).reshape(-1, c)
    flipped = set()
    for i, image in enumerate(x):
        changed = image.repeat(len(colors), h, w, 1, 1, 1)
        for k, color in enumerate(colors):
            for row in range(h):
                for column in range(w):
                    changed[k, row, column, :, row, column] = color
        if (model(changed.flatten(0, 2)).argmax(1) != model(image[None]).argmax(1)).any():
            flipped.add(i)
    return flipped


@pytest.mark.parametrize("channels", [1, 3])
def test_on_a_linear_model_one_try_finds_what_exhaustive_search_finds(channels):
    model = nn.Sequential(nn.Flatten(), nn.Linear(channels * 36, 2))
    with torch.no_grad():
        model[1].weight.copy_(images(2, channels, seed=3).flatten(1) - 0.5)
        model[1].bias.zero_()
    x = images(25, channels)
    expected = exhaustive(model, x)
    assert 0 < len(expected) < 25
    assert {flip.image for flip in ask(model, x, tries=1).flips} == expected


@pytest.mark.parametrize("pooling", [None, nn.AdaptiveMaxPool2d(1), nn.AdaptiveAvgPool2d(1)])
def test_what_is_found_is_true_and_nearly_everything(pooling):
    model, x = network(pooling=pooling), images()
    found = ask(model, x, tries=36)
    everything = exhaustive(model, x)
    assert {flip.image for flip in found.flips} <= everything
    assert len(found.flips) >= 0.9 * len(everything)
    for flip in found.flips:
        row, column = flip.pixel
        differs = (flip.changed != x[flip.image]).any(0)
        assert differs.sum() == 1 and differs[row, column]
        assert int(model(flip.changed[None]).argmax(1)) == flip.after != flip.before
        assert int(model(x[flip.image : flip.image + 1]).argmax(1)) == flip.before


class NoGradient(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        with torch.no_grad():
            return self.model(x)


def test_without_gradients_pixels_are_drawn_at_random():
    model, x = NoGradient(network(pooling=nn.AdaptiveMaxPool2d(1))), images()
    found = ask(model, x, tries=36)
    assert not found.guided and margin_gradient(model, x) is None
    assert {flip.image for flip in found.flips} <= exhaustive(model, x)


def test_the_budget_is_kept():
    model, x, asked = network(), images(10), []

    def answer(batch):
        asked.append(len(batch))
        return model(batch)

    found = search(answer, model, x, model(x).argmax(1), 5, torch.Generator().manual_seed(0))
    assert found.tries == 5 and asked == [5] * 10
    assert ask(model, x, tries=1000).tries == 36


class InPlace(nn.Module):
    """Normalizes its own input in place, as careless preprocessing does."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x.sub_(0.5).mul_(2))


def test_the_gradient_of_a_model_that_changes_its_input_in_place():
    model, x = network(), images()
    kept = x.clone()
    gradient = margin_gradient(InPlace(model), x)
    assert torch.equal(x, kept)
    torch.testing.assert_close(gradient, 2 * margin_gradient(model, (x - 0.5) * 2))


def test_nothing_is_left_changed():
    model, x = network(), images()
    before, kept = torch.random.get_rng_state(), x.clone()
    ask(model, x, tries=8)
    assert torch.equal(x, kept) and torch.equal(torch.random.get_rng_state(), before)
    assert all(p.grad is None and p.requires_grad for p in model.parameters()) and not model.training
