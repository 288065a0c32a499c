"""Other inputs feed what they say, and the better one is named."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cnnaudit.checks.behavior._other_inputs import Alternative, gains, other_inputs, paired_gain
from cnnaudit.checks.behavior.input import input as check_input
from cnnaudit.checks.behavior.input import tinted
from cnnaudit.core.errors import ModelError
from cnnaudit.core.statistics import gate_confidence, generator, proportion_interval
from cnnaudit.target import AuditTarget, InputSpec
from cnnaudit.target.folders import folder
from cnnaudit.target.pixels import PixelModel

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def fed(spec, pixels):
    """What a network described by `spec` is fed."""
    return PixelModel(torch.nn.Identity(), spec).answer(pixels)


@pytest.mark.parametrize(
    "spec",
    [
        InputSpec(3, (4, 4)),
        InputSpec(3, (4, 4), scale=255),
        InputSpec(3, (4, 4), order="BGR", mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4)),
    ],
)
def test_alternatives_feed_what_they_say(spec):
    pixels = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    found = {other.name: fed(spec, other.change(pixels)) for other in other_inputs(spec)}
    wanted = replace(spec, **IMAGENET, scale=1)
    if spec.order == "BGR":
        wanted = replace(wanted, mean=wanted.mean[::-1], std=wanted.std[::-1])
    name = next(name for name in found if name.startswith("the mean and std of ImageNet"))
    torch.testing.assert_close(found[name], fed(wanted, pixels), rtol=1e-4, atol=1e-4)
    order = f'input.order = "{"RGB" if spec.order == "BGR" else "BGR"}"'
    torch.testing.assert_close(found[order], fed(spec, pixels).flip(1), rtol=1e-4, atol=1e-4)
    caffe = next(name for name in found if "Caffe" in name and (spec.order == "BGR") != ("input.order" in name))
    expected = pixels.flip(1) * 255 - torch.tensor([103.939, 116.779, 123.68]).view(3, 1, 1)
    torch.testing.assert_close(found[caffe], expected, rtol=1e-4, atol=1e-2)


def test_the_described_input_is_no_alternative():
    for spec in (InputSpec(3, (4, 4)), InputSpec(3, (4, 4), **IMAGENET), InputSpec(1, (4, 4), mean=(0.5,), std=(0.5,))):
        pixels = torch.rand(2, spec.channels, 4, 4)
        for other in other_inputs(spec):
            assert not torch.allclose(fed(spec, other.change(pixels)), fed(spec, pixels)), other.name


def test_the_bounds_of_a_gain_are_those_of_both_kinds_of_disagreement():
    before, after = np.repeat([True, False], [60, 40]), np.repeat([True, False, True, False], [50, 10, 30, 10])
    gain = paired_gain("x", before, after, 0.99, 0.95)
    assert gain.gain == pytest.approx(0.2) and (gain.before, gain.after, gain.n) == (60, 80, 100)
    assert gain.low == proportion_interval(30, 100, 0.995)[0] - proportion_interval(10, 100, 0.995)[1]
    assert gain.high == pytest.approx(proportion_interval(30, 100, 0.975)[1] - proportion_interval(10, 100, 0.975)[0])


def test_no_gain_is_made_up_from_chance():
    rng = generator("no gain")
    others = [Alternative(str(k), lambda pixels: pixels) for k in range(14)]
    for _ in range(20):
        labels = torch.as_tensor(rng.integers(10, size=300))
        right = rng.random(300) < 0.6
        noisy = lambda x: torch.nn.functional.one_hot(  # noqa: E731
            torch.where(torch.as_tensor(rng.random(len(x)) < 0.6), x[:, 0, 0, 0].long(), 10), 11
        )
        images = labels.view(-1, 1, 1, 1).float()
        found = gains(noisy, images, labels, right, others, rng.permutation(300), 0.1, 0.95)
        assert all(gain.low <= 0 for gain in found)


def test_an_input_that_the_model_refuses_explains_nothing():
    def refusing(x):
        if x.max() > 1:
            raise ModelError("out of range")
        return x.mean((2, 3))

    images = torch.rand(60, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = images.flip(1).mean((2, 3)).argmax(1)
    right = (images.mean((2, 3)).argmax(1) == labels).numpy()
    found = gains(refusing, images, labels, right, [*other_inputs(InputSpec(3, (4, 4)))], np.arange(60), 0.1, 0.95)
    assert found[0].after == 60 and not any("255]" in gain.name for gain in found)


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        ("BGR", 'With input.order = "BGR", 4'),
        ("times 255", "With pixels in [0, 1] (input.scale = 1, mean = [0, 0, 0], std = [1, 1, 1]), 4"),
        ("ImageNet", "With the mean and std of ImageNet (input.scale = 1, mean = [0.485, 0.456, 0.406], std = [0.229"),
    ],
)
def test_the_hint_names_the_input(mistake, hint):
    found = check_input(tinted(0, mistake), confidence=gate_confidence(16))
    assert found.verdict == "fail" and found.hint.startswith(hint), found.hint


def test_a_small_gain_is_named_though_nothing_fails():
    found = check_input(tinted(0, "[-1, 1]"), tolerance=0.5, confidence=gate_confidence(16))
    assert found.verdict == "pass" and "(input.scale = 1, mean = [0." in found.hint


def test_a_right_input_is_given_no_hint():
    found = check_input(tinted(0), confidence=gate_confidence(16))
    assert found.verdict == "pass" and not found.hint and found.statistic == 0
    assert found.summary == "None of 14 other inputs explains more labels than the described one."


def test_image_files_are_read_with_another_resize(tmp_path):
    from PIL import Image

    for k, name in enumerate(("center", "everywhere")):
        (tmp_path / name).mkdir()
        for i in range(100):
            pixels = np.zeros((32, 32), np.uint8)
            pixels[3 - 3 * k : 29 + 3 * k, 3 - 3 * k : 29 + 3 * k] = 200 + i % 50  # a frame that the crop cuts away
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")

    class Frame(torch.nn.Module):
        def forward(self, x):
            corner = x[:, 0, 0, 0]
            return torch.stack([0.1 - corner, corner - 0.1], 1)

    size, classes = (28, 28), ("center", "everywhere")
    splits = {"validation": folder(tmp_path, classes, size, resize=40, channels=1)}
    spec = InputSpec(1, size, resize=40)
    found = check_input(AuditTarget("files", Frame(), classes, spec, splits))
    assert found.verdict == "fail" and found.hint == (
        "With images resized straight to 28 x 28, 200 of 200 images are right instead of 100."
    )
