"""Gain and loss count what they say, and their controls take away what seams and the class's content explain."""

import numpy as np
import pytest
import torch

from cnnaudit.core.errors import ModelError, UnsupportedError
from cnnaudit.cues import Model, Ring, Sample, Tone, Window, gain, loss

WINDOW = Window(2, 2, 5, 5)


def tagged(n=60, classes=3, share=1.0, seed=0):
    """Noise; a share of the last class has a white square of 3 x 3 in the corner, three pixels inside."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n * classes) % classes
    images = torch.from_numpy(rng.uniform(0, 0.5, (n * classes, 1, 28, 28))).float()
    marked = (labels == classes - 1) & (rng.random(n * classes) < share)
    images[torch.from_numpy(marked), :, 3:6, 3:6] = 1
    return Sample(images, labels), torch.from_numpy(marked)


def by_the_tag(classes=3):
    """The last class where the square is white, else the first."""

    def predict(images):
        logits = torch.zeros(len(images), classes)
        logits[:, 0] = 2
        logits[:, -1] = 3 * (images[:, :, 3:6, 3:6].mean((1, 2, 3)) > 0.9)
        return logits

    return predict


def carries(images):
    return images[:, 0, 4, 4] == 1


@pytest.mark.parametrize("classes", [2, 3])
def test_a_used_tag_is_gained_and_lost(classes):
    train, validation = tagged(classes=classes)[0], tagged(classes=classes, seed=1)[0]
    k = classes - 1
    rng = np.random.default_rng(0)
    for measure in (gain, loss):
        effect = measure(Model(by_the_tag(classes)), WINDOW, k, validation, train, rng)
        assert effect.value == effect.share == 1
        assert effect.low > 0.8 and effect.high == 1
    elsewhere = gain(Model(by_the_tag(classes)), Window(15, 15, 5, 5), k, validation, train, rng)
    assert elsewhere.value == 0 and elsewhere.low < 0 < elsewhere.high


def test_the_control_is_subtracted():
    """A model that any seam sends to the class gains nothing, though every recipient follows."""
    train, validation = tagged()[0], tagged(seed=1)[0]
    seen = {tuple(image.flatten()[:50].tolist()) for image in validation.images}

    def by_the_seam(images):
        known = torch.tensor([tuple(image.flatten()[:50].tolist()) in seen for image in images])
        return torch.stack([known.float(), torch.zeros(len(images)), (~known).float()], dim=1)

    effect = gain(Model(by_the_seam), Window(0, 0, 5, 5), 2, validation, train, np.random.default_rng(0))
    assert effect.share == effect.own == effect.third == 1
    assert effect.value == 0 and effect.probability == 0


def test_the_larger_control_counts():
    """Tone of class 1 sends images to class 2 as well: a gain of class 2 must be measured against it."""
    rng = np.random.default_rng(0)
    labels = np.arange(180) % 3
    brightness = torch.tensor([0.2, 0.6, 0.6])[torch.from_numpy(labels)].view(-1, 1, 1, 1)
    sample = Sample(brightness + 0.05 * torch.rand(180, 1, 8, 8, generator=torch.Generator().manual_seed(0)), labels)

    def bright(images):
        return torch.stack([torch.full((len(images),), 0.4), torch.zeros(len(images)), images.mean((1, 2, 3))], dim=1)

    effect = gain(Model(bright), Tone(), 2, Sample(sample.images, labels), sample, rng)
    assert effect.share > 0.9 and effect.third > 0.9
    assert abs(effect.value) < 0.1


def test_donors_that_carry_the_pattern():
    (train, marked), validation = tagged(share=0.5), tagged(share=0.5, seed=1)[0]
    rng = np.random.default_rng(0)
    every = gain(Model(by_the_tag()), WINDOW, 2, validation, train, rng)
    carriers = gain(Model(by_the_tag()), WINDOW, 2, validation, train, rng, carriers=carries)
    assert 0.3 < every.value < 0.7 and np.isnan(every.carriers)
    assert carriers.value == 1
    assert carriers.carriers == pytest.approx(float(marked.sum()) / 60)
    assert carriers.donors == int(marked.sum())


def test_recipients_predicted_the_class_already_are_left_out():
    train, validation = tagged()[0], tagged(seed=1)[0]
    validation.images[torch.from_numpy(validation.labels == 1), :, 3:6, 3:6] = 1
    effect = gain(Model(by_the_tag()), WINDOW, 2, validation, train, np.random.default_rng(0), most=120)
    assert effect.recipients == 60


def test_probabilities_and_logits_give_the_same():
    train, validation = tagged()[0], tagged(seed=1)[0]
    logits = by_the_tag()
    effects = [
        gain(Model(predict), WINDOW, 2, validation, train, np.random.default_rng(0))
        for predict in (logits, lambda x: logits(x).softmax(1))
    ]
    assert effects[0].probability == pytest.approx(effects[1].probability)
    expected = float(torch.tensor([2.0, 0, 3]).softmax(0)[2] - torch.tensor([2.0, 0, 0]).softmax(0)[2])
    assert effects[0].probability == pytest.approx(expected, abs=1e-6)


def test_the_interval_covers_donors_too():
    """With two kinds of donors the gain is a draw of donors, however many recipients there are."""
    train, validation = tagged(n=200, share=0.5)[0], tagged(n=400, seed=1)[0]
    rows = np.concatenate([np.flatnonzero(train.labels == 2)[:6], np.flatnonzero(train.labels != 2)])
    few = gain(Model(by_the_tag()), WINDOW, 2, validation, train.part(rows), np.random.default_rng(0), most=600)
    assert few.high - few.low > 0.5


def test_refusals_say_why():
    train, validation = tagged()[0], tagged(seed=1)[0]
    rng = np.random.default_rng(0)
    with pytest.raises(UnsupportedError, match="at least 5 donors that carry the pattern, found 0"):
        gain(Model(by_the_tag()), WINDOW, 2, validation, train, rng, carriers=lambda x: torch.zeros(len(x)) > 0)
    with pytest.raises(UnsupportedError, match="not predicted 0 already, found 0"):
        untagged = validation.part(np.flatnonzero(validation.labels != 2))
        gain(Model(by_the_tag()), Ring(), 0, untagged, train, rng)
    with pytest.raises(UnsupportedError, match="forward passes are needed and 100 are left"):
        gain(Model(by_the_tag(), budget=100), WINDOW, 2, validation, train, rng, most=120)
    with pytest.raises(ModelError, match="finite logits"):
        gain(Model(lambda x: torch.full((len(x), 3), torch.nan)), WINDOW, 2, validation, train, rng)
    with pytest.raises(ModelError, match="finite logits"):
        gain(Model(lambda x: x.mean((1, 2, 3))), WINDOW, 2, validation, train, rng)


def test_passes_are_counted():
    train, validation = tagged()[0], tagged(seed=1)[0]
    asked = []
    model = Model(lambda x: (asked.append(len(x)), by_the_tag()(x))[1])
    gain(model, WINDOW, 2, validation, train, np.random.default_rng(0), most=50)
    assert model.passes == sum(asked) <= 200


def test_halves_share_no_image_and_hold_every_class():
    sample = Sample(torch.arange(30.0).view(30, 1, 1, 1), np.arange(30) % 3)
    one, other = sample.halves(np.random.default_rng(0))
    assert not set(one.images.flatten().tolist()) & set(other.images.flatten().tolist())
    assert np.bincount(one.labels).tolist() == np.bincount(other.labels).tolist() == [5, 5, 5]
    assert len(one) + len(other) == 30
