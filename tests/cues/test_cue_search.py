"""Searched on one half, confirmed on the other, within the budget."""

import numpy as np
import pytest
import torch

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.cues import (
    Model,
    Sample,
    Window,
    prepare_windows,
    removed,
    search_patches,
    search_windows,
    shared_patches,
)
from cnnaudit.cues.places import extent
from cnnaudit.cues.search import _shared

TAG = torch.tensor([[1.0, 0, 1], [0, 1, 0], [1, 0, 1]])
MARK = torch.rand(5, 5, generator=torch.Generator().manual_seed(3)).round()


def tagged(seed, share=1.0, n=120, classes=3):
    """Noise; a share of class 1 has the tag at row 12, column 7."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n * classes) % classes
    images = torch.rand(n * classes, 1, 24, 24, generator=generator)
    rows = (labels == 1) & (torch.rand(len(labels), generator=generator) < share)
    images[rows, :, 12:15, 7:10] = TAG
    return Sample(images, labels.numpy())


def marked(seed, alpha=1.0, n=120):
    """Noise of low contrast; class 1 has the mark anywhere."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n * 3) % 3
    images = 0.3 + 0.4 * torch.rand(n * 3, 1, 24, 24, generator=generator)
    for row in torch.nonzero(labels == 1).flatten():
        top, left = torch.randint(0, 19, (2,), generator=generator).tolist()
        area = images[row, :, top : top + 5, left : left + 5]
        area.copy_((1 - alpha) * area + alpha * MARK)
    return Sample(images, labels.numpy())


def uses_the_tag(images):
    """Class 1 where the tag is, else 0 or 2 by the first pixel."""
    like = ((images[:, 0, 12:15, 7:10] - TAG).abs().amax((1, 2)) < 0.01).float()
    first = images[:, 0, 0, 0]
    return 10 * torch.stack([first * (1 - like), like, (1 - first) * (1 - like)], dim=1)


def ignores_the_tag(images):
    return 10 * torch.stack([images[:, 0, 0, 0], images[:, 0, 0, 1], images[:, 0, 0, 2]], dim=1)


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_a_used_tag_is_found_with_its_place(share):
    search = search_windows(Model(uses_the_tag), tagged(0, share), tagged(1, share), 3, 0.3, np.random.default_rng(0))
    found = search.found[1]
    assert found.cue.top <= 12 and found.cue.top + found.cue.height >= 15
    assert found.cue.left <= 7 and found.cue.left + found.cue.width >= 10
    assert found.cue.height * found.cue.width <= 0.05 * 24 * 24
    assert found.effect.value > 0.9 and found.removed.value > 0.9
    assert found.effect.carriers == pytest.approx(share, abs=0.12)
    assert search.found[0].effect is None and search.found[2].effect is None
    assert not search.not_judged


def test_a_tag_that_is_there_but_not_used():
    found = search_windows(Model(ignores_the_tag), tagged(0), tagged(1), 3, 0.3, np.random.default_rng(0)).found[1]
    assert found.constancy.low > 0.8
    assert abs(found.effect.value) < 0.15 and abs(found.removed.value) < 0.15


def test_the_budget_is_respected_and_what_was_not_searched_is_named():
    asked = []
    model = Model(lambda x: (asked.append(len(x)), uses_the_tag(x))[1], budget=500)
    search = search_windows(model, tagged(0), tagged(1), 3, 0.3, np.random.default_rng(0), passes=450)
    assert sum(asked) == search.passes <= 500
    assert search.found[1].effect.value > 0.9
    search = search_windows(Model(uses_the_tag, budget=100), tagged(0), tagged(1), 3, 0.3, np.random.default_rng(0))
    assert 1 not in search.found and "100 are left of the budget" in search.not_judged[1]
    assert search.passes == 0


def test_small_classes_are_not_judged():
    few = tagged(0, n=40)
    with pytest.raises(UnsupportedError, match="0 of 4 classes have at least 50 training and 20 validation images"):
        search_windows(Model(uses_the_tag), few, tagged(1), 4, 0.3, np.random.default_rng(0))
    search = search_windows(Model(uses_the_tag), tagged(0), tagged(1), 4, 0.3, np.random.default_rng(0))
    assert search.not_judged == {3: "0 training images; at least 50 are needed"}
    assert search.found[1].effect.value > 0.9


def test_images_too_small_for_a_window_are_refused():
    tiny = Sample(torch.rand(120, 1, 4, 4), np.arange(120) % 2)
    with pytest.raises(UnsupportedError, match="too small for a window"):
        search_windows(Model(ignores_the_tag), tiny, tiny, 2, 0.3, np.random.default_rng(0))


def test_a_mark_anywhere_is_shared_and_used():
    train, validation = marked(0), marked(1)
    shared = shared_patches((train.images, train.labels), (validation.images, validation.labels), 3)
    assert shared[1].constancy > 0.9
    assert all(shared[k].constancy < 0.2 for k in shared if k != 1)
    kernel = (MARK - MARK.mean())[None, None]
    strength = (MARK - MARK.mean()).square().sum()

    def uses_the_mark(images):
        best = torch.nn.functional.conv2d(images, kernel).amax((1, 2, 3)) / strength
        return torch.stack([images[:, 0, 0, 0], 20 * (best - 0.9), images[:, 0, 0, 1]], dim=1)

    search = search_patches(Model(uses_the_mark), train, validation, 3, 0.3, np.random.default_rng(0))
    assert search.found[1].effect.value > 0.9 and search.found[1].removed.value > 0.7
    unused = search_patches(Model(ignores_the_tag), train, validation, 3, 0.3, np.random.default_rng(0))
    assert abs(unused.found[1].effect.value) < 0.2


def test_clean_noise_shares_no_patch():
    one, other = (
        Sample(torch.rand(240, 3, 24, 24, generator=torch.Generator().manual_seed(s)), np.arange(240) % 2)
        for s in (0, 1)
    )
    shared = shared_patches((one.images, one.labels), (other.images, other.labels), 2)
    assert all(of.constancy < 0.1 for of in shared.values())
    edges = torch.zeros(100, 1, 24, 24)
    edges[::2, :, :, 12:] = 1
    simple = shared_patches((edges, np.arange(100) % 2), (edges, np.arange(100) % 2), 2)
    assert not simple


def test_of_two_classes_only_the_more_constant_is_asked():
    splits = [tagged(seed).part(np.flatnonzero(tagged(seed).labels < 2)) for seed in (0, 1)]
    search = search_windows(Model(lambda x: uses_the_tag(x)[:, :2]), *splits, 2, 0.3, np.random.default_rng(0))
    assert list(search.found) == [1] and not search.not_judged


@pytest.mark.parametrize(("classes", "left", "each", "reached"), [(1, 600, 600, 1), (3, 600, 200, 3), (9, 600, 150, 4)])
def test_a_budget_is_shared_by_the_classes_that_it_reaches(classes, left, each, reached):
    assert _shared(450, classes, left) == (each, reached)


def test_a_prediction_that_owes_nothing_to_the_tag_is_not_lost():
    """The model sees the tag only as a ground that is never so bright: filled from around, the answer stays."""

    def by_the_ground(images):
        dark = 20 * (images[:, 0, 12:15, 7:10].mean((1, 2)) > 2).float()
        return torch.stack([dark, torch.ones(len(images)), dark], dim=1)

    train, validation = tagged(0), tagged(1)
    carriers = lambda images: (images[:, 0, 12:15, 7:10] - TAG).abs().amax((1, 2)) < 0.01  # noqa: E731
    rng, window = np.random.default_rng(0), Window(12, 7, 3, 3)
    lost = removed(Model(by_the_ground), window, 1, validation, train, rng, passes=300, carriers=carriers)
    assert lost.value == 0 and lost.recipients > 100
    lost = removed(Model(uses_the_tag), window, 1, validation, train, rng, passes=300, carriers=carriers)
    assert lost.value == 1 and lost.recipients == 75


def test_the_window_of_a_pattern_is_the_tag():
    prepared = prepare_windows(tagged(0), tagged(1), 3, 0.3, np.random.default_rng(0))
    assert extent(prepared.candidates[1].pattern, prepared.halves.search_donors, 5) == Window(12, 7, 3, 3)


def test_the_search_sees_no_validation_image():
    prepared = prepare_windows(tagged(0), tagged(1), 3, 0.3, np.random.default_rng(0))
    assert len(prepared.halves.confirm_recipients) == 360
    assert sum(len(part) for part in prepared.halves.search) == 180 == len(prepared.halves.confirm_donors)
