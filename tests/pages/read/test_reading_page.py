"""The reading page of a small model: what it says is what was planted, and what it cannot say it says why."""

import dataclasses
import re

import numpy as np
import pytest
import torch
from torch import nn

from cnnaudit.cli import main
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.data import reference
from cnnaudit.models import minimum
from cnnaudit.pages.document import Drawing, document
from cnnaudit.pages.read import words
from cnnaudit.pages.read.page import sections
from cnnaudit.reading.reading import read
from cnnaudit.target import AuditTarget

RNG = np.random.default_rng(0)


def target(model, images, labels, classes=("circle", "square", "triangle"), name="small", **details):
    return AuditTarget.from_arrays(name, model.eval(), {"validation": (images, labels)}, classes, **details)


def corner_model(pool=14, padding_mode="zeros"):
    """White at the upper left, black at the lower right: with zero padding the thesis's pixel (28, 28)."""
    torch.manual_seed(0)
    model = minimum(pool=pool, padding_mode=padding_mode)
    with torch.no_grad():
        model.conv.weight[:] = torch.tensor([[2.0, 1, 0], [1, 0, -1], [0, -1, -2]]) / 4
        model.conv.bias[:] = -0.1
    return model


@pytest.fixture(scope="module")
def noisy():
    data = reference("3.0", "validation", n_per_class=60)
    return read(target(corner_model(), data.images, data.labels))


@pytest.fixture(scope="module")
def turned():
    data = reference("2.1", "validation", n_per_class=40)
    return read(target(corner_model(28, "replicate"), data.images, data.labels))


def text(reading):
    return " ".join([words.lead(reading), *(line for section in sections(reading) for line in section.text)])


def test_the_corner_pixel_and_the_background_are_found(noisy):
    assert "corner pixel at row 28, column 28 is a maximum in" in words.lead(noisy)
    share = noisy.pixels.frequency(noisy.images.white)[27, 27]
    assert share > 0.5 and f"{100 * share:.1f}%" in words.border_pixel(noisy)
    assert noisy.auc[0] > 0.95 and "background is the first thing the features say" in text(noisy)
    assert "from white at the upper left to black at the lower right" in text(noisy)
    assert "the opposite of diagonal down, which explains 100.0% of it" in text(noisy)
    assert "an empty white image excites the border (up to 0.9 at row 28, column 28)" in text(noisy)


def test_the_constant_class_is_found(turned):
    assert turned.place.size == 1
    assert "Every image of circle gives the very same features" in words.lead(turned)
    assert re.search(r"All 40 images of circle give exactly the same features \([\d.]+\)", text(turned))
    assert "In all 40 images of circle the maximum is the same pixel" in text(turned)
    assert "on features that anybody could count does as well (100.0%)" in words.lead(turned)
    assert "One feature is its own component" in text(turned)


def test_every_part_is_drawn(noisy, turned):
    for reading, expected in ((noisy, 12), (turned, 9)):
        page = document("t", "l", sections(reading))
        drawings = [part for section in sections(reading) for part in section.parts if isinstance(part, Drawing)]
        assert len(drawings) >= expected and page.count("<svg") >= expected
        assert "nan" not in re.sub(r"base64,[^\"]*", "", page)
        assert all(drawing.caption for drawing in drawings)
    titles = [section.title for section in sections(noisy)]
    assert titles[1:6] == [
        "Its features, class by class",
        "Decision trees",
        "Principal components",
        "Clusters",
        "Where the features are found",
    ]


def test_the_numbers_are_those_of_the_model(noisy):
    model = corner_model().eval()
    data = reference("3.0", "validation", n_per_class=60)
    with torch.no_grad():
        right = int((model(torch.from_numpy(data.images)).argmax(1).numpy() == data.labels).sum())
        features = model[:4](torch.from_numpy(data.images)).double().numpy()
    assert noisy.accuracies[0].right == right and noisy.accuracies[0].n == 180
    assert np.allclose(noisy.features, features)
    assert noisy.parameters == sum(p.numel() for p in model.parameters())
    assert np.array_equal(noisy.images.white, ~data.polarity)
    own = features - features.mean(0)
    assert noisy.components.shares[0] == pytest.approx(np.linalg.svd(own)[1][0] ** 2 / (own**2).sum())
    means = [data.images[noisy.clusters.found.labels == k].mean(0) for k in range(6)]
    assert np.allclose(noisy.clusters.means, means, atol=1e-5)
    for group, row in zip(noisy.images.examples, noisy.typical):
        assert noisy.images.groups[row] == group


def test_the_same_seed_gives_the_same_reading():
    data = reference("1.3", "validation", n_per_class=12)
    first, second = (read(target(corner_model(), data.images, data.labels), seed=3) for _ in "ab")
    assert first.elbow.chosen == second.elbow.chosen and first.clusters.interval == second.clusters.interval
    assert (first.tree, first.learners, first.typical) == (second.tree, second.learners, second.typical)
    assert text(first) == text(second)


def linear(size=8, channels=1, classes=3):
    return nn.Sequential(nn.Flatten(), nn.Linear(size * size * channels, classes))


def test_a_model_without_convolution_and_color_images():
    images = RNG.uniform(size=(30, 3, 4, 4)).astype(np.float32)
    found = read(target(linear(4, 3), images, np.tile(np.arange(3), 10)))
    assert found.filters == [] and "no convolution" in text(found)
    assert "Not drawn" in text(found) and document("t", "l", sections(found))


def test_a_color_convolution_is_read():
    torch.manual_seed(0)
    images = RNG.uniform(size=(40, 3, 28, 28)).astype(np.float32)
    found = read(target(minimum(filters=3, channels=3, classes=2), images, np.tile(np.arange(2), 20), ("a", "b")))
    assert len(found.filters) == 3 and found.clusters is not None
    assert np.allclose(found.filters[1].kernel, found_kernel(3)[1])
    assert "<svg" in document("t", "l", sections(found))


def found_kernel(filters):
    torch.manual_seed(0)
    return minimum(filters=filters, channels=3, classes=2).conv.weight.sum(1).detach().numpy()


@pytest.mark.parametrize(
    ("labels", "reason"),
    [(np.zeros(20, int), "two classes of 5 images"), (np.repeat([0, 1, 2], [12, 2, 1]), "two classes of 5 images")],
)
def test_one_class_or_few_images_leave_out_what_needs_more(labels, reason):
    images = RNG.uniform(size=(len(labels), 1, 28, 28)).astype(np.float32)
    found = read(target(corner_model(), images, labels))
    assert found.tree is None and found.learners is None and reason in found.reasons["tree"]
    assert reason in text(found) and document("t", "l", sections(found))


def test_features_that_never_vary():
    model = corner_model()
    with torch.no_grad():
        model.conv.bias[:] = -100.0
    images = RNG.uniform(size=(30, 1, 28, 28)).astype(np.float32)
    found = read(target(model, images, np.tile(np.arange(3), 10)))
    assert "Every image gives the very same features" in words.lead(found)
    assert found.clusters is None and found.elbow is None and "same features" in found.reasons["clusters"]
    assert "The same for every image" in text(found) and document("t", "l", sections(found))


def test_hidden_insides_and_many_features_are_refused():
    images, labels = RNG.uniform(size=(6, 1, 28, 28)).astype(np.float32), np.tile(np.arange(3), 2)
    hidden = dataclasses.replace(
        target(corner_model(), images, labels), inside=False, inside_reason="it is TorchScript"
    )
    with pytest.raises(UnsupportedError, match="TorchScript"):
        read(hidden)
    with pytest.raises(UnsupportedError, match="784 features or more"):
        read(target(linear(28), images, labels))


def test_the_command_writes_a_page_or_says_why_not(tmp_path, capsys, monkeypatch):
    path = "fixtures/targets/digits-lenet.toml"
    assert main(["read", path, "--layer", "conv1", "--output", str(tmp_path)]) == 4
    assert "5,408 values an image" in capsys.readouterr().err and not list(tmp_path.iterdir())
    assert main(["read", path, "--layer", "hidden_relu", "--output", str(tmp_path)]) == 0
    page = tmp_path / "digits-lenet" / "reading.html"
    assert str(page) in capsys.readouterr().out and "the output of hidden_relu" in page.read_text()
    monkeypatch.chdir(tmp_path)
    assert main(["read"]) == 4 and "name an audit file" in capsys.readouterr().err


def test_rules_that_change_with_the_sample_are_named(noisy):
    assert len(noisy.elbow_again) == 3
    changed = [r for r, k in noisy.elbow.chosen.items() if any(other.chosen[r] != k for other in noisy.elbow_again)]
    told = words.clusters(noisy)[0]
    assert ("In smaller samples" in told) == bool(changed)
    assert all(rule in told.partition("In smaller samples")[2] for rule in changed)


def test_too_many_features_are_refused_before_the_images_are_read(monkeypatch):
    images, labels = RNG.uniform(size=(6, 1, 28, 28)).astype(np.float32), np.tile(np.arange(3), 2)
    monkeypatch.setattr(AuditTarget, "sample", lambda *_: pytest.fail("read"))
    with pytest.raises(UnsupportedError, match="784 features or more"):
        read(target(linear(28), images, labels))
