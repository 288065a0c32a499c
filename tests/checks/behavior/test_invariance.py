"""Predictions of changed images, batch by batch."""

import torch
from torch import nn

from cnnaudit.checks.behavior._invariance import vary
from cnnaudit.checks.behavior._perturbations import VARIATIONS, invert

IMAGES = torch.rand(50, 1, 4, 4, generator=torch.Generator().manual_seed(0))
BRIGHT = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
with torch.no_grad():
    BRIGHT[1].weight.copy_(torch.tensor([[-1.0], [1.0]]).expand(2, 16))
    BRIGHT[1].bias.copy_(torch.tensor([8.0, -8.0]))


def ask(name, limit, **settings):
    before = BRIGHT(IMAGES).argmax(1)
    return before, vary(BRIGHT, IMAGES, before, VARIATIONS[name], limit, torch.Generator().manual_seed(0), **settings)


def test_inversion_changes_every_answer_of_a_model_of_brightness():
    before, found = ask("polarity", 1.0, batch_size=7)
    assert torch.equal(found.predicted, 1 - before)
    torch.testing.assert_close(found.changed, invert(IMAGES[:3]))
    assert found.bands(before) == {}


def test_the_kept_images_are_the_first_that_changed():
    before, found = ask("noise", 1.0, batch_size=7, keep=3)
    moved = (found.predicted != before).nonzero().flatten()
    assert len(moved) > 3 and len(found.changed) == 3
    assert torch.equal(BRIGHT(found.changed).argmax(1), found.predicted[moved[:3]])


def test_bands_are_the_shares_in_each_quarter_of_the_magnitudes():
    before, found = ask("rotation", 90.0)
    bands = found.bands(before)
    order = found.magnitudes.abs().argsort()
    moved = (found.predicted != before).double()[order]
    assert list(bands.values()) == [float(moved[part].mean()) for part in torch.arange(50).chunk(4)]
    size = found.magnitudes.abs()
    assert next(iter(bands)).startswith(f"{float(size.min()):.3g} to ") and list(bands)[-1].endswith(
        f"{float(size.max()):.3g}"
    )


def test_few_magnitudes_are_shown_one_by_one():
    before, found = ask("translation", 2.0)
    moved = (found.predicted != before).double()
    assert found.bands(before) == {str(k): float(moved[found.magnitudes == k].mean()) for k in (1, 2)}


def test_nothing_changed_keeps_nothing():
    before = torch.zeros(50, dtype=torch.long)
    found = vary(
        lambda x: torch.tensor([[1.0, 0.0]]).expand(len(x), 2),
        IMAGES,
        before,
        VARIATIONS["noise"],
        0.1,
        torch.Generator().manual_seed(0),
    )
    assert found.changed.shape == (0, 1, 4, 4)
