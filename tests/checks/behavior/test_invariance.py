"""Predictions of changed images, batch by batch."""

import numpy as np
import torch
from torch import nn

from cnnaudit.checks.behavior._perturbations import VARIATIONS, invert
from cnnaudit.checks.behavior.invariance import invariance, vary
from cnnaudit.core.statistics import proportion_interval
from cnnaudit.target import Claims

IMAGES = torch.rand(50, 1, 4, 4, generator=torch.Generator().manual_seed(0))
BRIGHT = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
with torch.no_grad():
    BRIGHT[1].weight.copy_(torch.tensor([[-1.0], [1.0]]).expand(2, 16))
    BRIGHT[1].bias.copy_(torch.tensor([8.0, -8.0]))


def change(name, limit, **settings):
    before = BRIGHT(IMAGES).argmax(1)
    return before, vary(BRIGHT, IMAGES, before, VARIATIONS[name], limit, torch.Generator().manual_seed(0), **settings)


def test_inversion_changes_every_answer_of_a_model_of_brightness():
    before, found = change("polarity", 1.0, batch_size=7)
    assert torch.equal(found.predicted, 1 - before)
    torch.testing.assert_close(found.changed, invert(IMAGES[:3]))
    assert found.bands(before) == {}


def test_the_kept_images_are_the_first_that_changed():
    before, found = change("noise", 1.0, batch_size=7, keep=3)
    moved = (found.predicted != before).nonzero().flatten()
    assert len(moved) > 3 and len(found.changed) == 3
    assert torch.equal(BRIGHT(found.changed).argmax(1), found.predicted[moved[:3]])


def test_bands_are_the_shares_in_each_quarter_of_the_magnitudes():
    before, found = change("rotation", 90.0)
    bands = found.bands(before)
    order = found.magnitudes.abs().argsort()
    moved = (found.predicted != before).double()[order]
    assert list(bands.values()) == [float(moved[part].mean()) for part in torch.arange(50).chunk(4)]
    size = found.magnitudes.abs()
    assert next(iter(bands)).startswith(f"{float(size.min()):.3g} to ") and list(bands)[-1].endswith(
        f"{float(size.max()):.3g}"
    )


def test_few_magnitudes_are_shown_one_by_one():
    before, found = change("translation", 2.0)
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


def test_without_claims_invariance_is_not_asked(make):
    found = invariance(make(np.arange(40) % 2))
    assert found.verdict == "not_applicable" and "claims.rotation_degrees" in found.summary


def test_each_claim_has_its_finding_and_its_part_of_the_error(make):
    found = invariance(make(np.arange(200) % 2, claims=Claims(polarity=True, noise=0.001)), confidence=0.99)
    assert [f.check for f in found] == ["behavior.invariance[polarity]", "behavior.invariance[noise]"]
    assert [f.statistic for f in found] == [1.0, 0.0]
    assert found[0].interval == proportion_interval(200, 200, 1 - 0.01 / 2)
    assert found[0].summary.startswith("200 of 200 predictions change") and "1.000 to 0.000" in found[0].summary
    shown = next(item for item in found[0].evidence if item["kind"] == "images")["images"]
    assert len(shown) == 6 and not any(item["kind"] == "images" for item in found[1].evidence)
