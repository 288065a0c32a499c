"""Every cue keeps the contract: what is transplanted is what is read, and an image's own cue changes nothing."""

import pytest
import torch

from cnnaudit.core.errors import DataError, UnsupportedError
from cnnaudit.cues import Color, Compression, Cue, Noise, Patch, Ring, Spectrum, Tone, Window

PATTERN = torch.rand(5, 5, generator=torch.Generator().manual_seed(9)) > 0.5
CUES = [Window(3, 4, 4, 3), Ring(), Tone(), Color(), Spectrum(), Noise(), Compression(), Patch(PATTERN)]


def images(channels, height=27, width=33, seed=0, n=6):
    """Around .5 and of low contrast, so that nothing clips."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(n, channels, height, width, generator=generator, dtype=torch.float64)
    ramp = torch.linspace(-0.05, 0.05, width, dtype=torch.float64)
    return 0.5 + 0.02 * noise * torch.linspace(0.7, 1.3, n, dtype=torch.float64).view(n, 1, 1, 1) + ramp


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("cue", CUES, ids=lambda cue: cue.name)
def test_what_is_transplanted_is_read(cue, channels):
    ours, donors = images(channels), images(channels, seed=1)
    if isinstance(cue, Color) and channels == 1:
        with pytest.raises(UnsupportedError, match="no color"):
            cue.read(ours)
        return
    if isinstance(cue, Patch):
        where = (slice(None), slice(None), slice(10, 15), slice(20, 25))
        donors[where] = torch.where(PATTERN, 0.9, 0.1).double()
    kept = ours.clone(), donors.clone()
    changed = cue.transplant(ours, donors)
    torch.testing.assert_close(cue.read(changed), cue.read(donors), rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(cue.transplant(ours, ours), ours, rtol=0, atol=1e-9)
    assert torch.equal(ours, kept[0]) and torch.equal(donors, kept[1])
    assert not torch.equal(changed, ours)
    assert isinstance(cue, Cue)
    assert cue.read(ours).shape[0] == len(ours) and cue.read(ours).ndim == 2


@pytest.mark.parametrize("cue", CUES, ids=lambda cue: cue.name)
def test_each_image_stands_alone(cue):
    ours, donors = images(3), images(3, seed=1)
    whole = cue.transplant(ours, donors)
    torch.testing.assert_close(whole[2:3], cue.transplant(ours[2:3], donors[2:3]))


@pytest.mark.parametrize("cue", CUES, ids=lambda cue: cue.name)
def test_constant_images_give_finite_answers(cue):
    black, white = torch.zeros(2, 3, 32, 32), torch.ones(2, 3, 32, 32)
    for one, other in ((black, white), (white, black), (black, images(3, 32, 32, n=2).float())):
        changed = cue.transplant(one, other)
        assert changed.isfinite().all() and changed.min() >= 0 and changed.max() <= 1
        assert cue.read(one).isfinite().all()


@pytest.mark.parametrize("cue", CUES, ids=lambda cue: cue.name)
def test_donors_of_another_shape_are_refused(cue):
    with pytest.raises(DataError, match="one donor of the same shape"):
        cue.transplant(images(3), images(3, n=5))
    with pytest.raises(DataError, match="floating-point"):
        cue.read(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))


def test_what_a_cue_leaves_alone():
    ours, donors = images(3), images(3, seed=1)
    gray = ours.mean(dim=1)
    torch.testing.assert_close(Color().transplant(ours, donors).mean(dim=1), gray)
    for cue in (Spectrum(), Noise()):
        torch.testing.assert_close(cue.transplant(ours, donors).mean(dim=(2, 3)), ours.mean(dim=(2, 3)))
    changed = Compression().transplant(ours, donors)
    assert torch.equal(changed[:, :, 24:], ours[:, :, 24:])
    inside = slice(2, -2)
    assert torch.equal(Ring().transplant(ours, donors)[:, :, inside, inside], ours[:, :, inside, inside])


@pytest.mark.parametrize(
    ("cue", "size", "reason"),
    [
        (Window(0, 0, 5, 5), 4, "does not fit"),
        (Window(0, 0, 5, 5), 20, "more than 5% is the object itself"),
        (Window(0, 0, 0, 5), 28, "does not fit"),
        (Window(26, 0, 3, 3), 28, "does not fit"),
        (Ring(), 2, "no interior"),
        (Compression(), 7, "smaller than a block"),
        (Patch(PATTERN), 4, "smaller than a patch"),
        (Spectrum(), 1, "no frequencies"),
    ],
)
def test_small_images_are_refused_with_the_reason(cue, size, reason):
    small = torch.zeros(1, 1, size, size)
    for ask in (lambda: cue.read(small), lambda: cue.transplant(small, small)):
        with pytest.raises(UnsupportedError, match=reason):
            ask()
