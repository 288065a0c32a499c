"""Other preparations of the same images: what they are, and what of their changes is judged."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cnnaudit.checks.behavior._pipelines import pipelines, resized
from cnnaudit.checks.behavior.pipeline import noisy, pipeline
from cnnaudit.core.statistics import proportion_interval
from cnnaudit.target import AuditTarget, Claims, InputSpec
from cnnaudit.target.folders import folder
from cnnaudit.target.preparation import prepare


def photograph(height, width, seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def as_tensor(image):
    return torch.tensor(np.asarray(image)).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("height", "width", "resize"), [(60, 81, 32), (81, 60, 32), (50, 70, None)])
def test_torch_resizes_nearly_as_pillow(height, width, resize, interpolation):
    image, spec = photograph(height, width), InputSpec(3, (28, 24), resize=resize, interpolation=interpolation)
    found = resized(as_tensor(image), spec, interpolation, True)[0]
    assert found.shape == (3, 28, 24) and np.abs(found.numpy() - prepare(image, spec)).max() <= 2.01 / 255


def test_an_area_is_a_mean():
    image = torch.rand(1, 1, 12, 8, generator=torch.Generator().manual_seed(0))
    found = resized(image, InputSpec(1, (6, 4)), "area", False)
    expected = image.view(1, 1, 6, 2, 4, 2).mean((3, 5))
    torch.testing.assert_close(found, expected, atol=0.51 / 255, rtol=0)
    assert torch.equal(resized(found, InputSpec(1, (6, 4)), "area", False), found)


@pytest.mark.parametrize(
    ("interpolation", "resizes"), [("bilinear", 4), ("bicubic", 4), ("lanczos", 3), ("nearest", 4)]
)
def test_what_is_tried(interpolation, resizes):
    spec = InputSpec(3, (32, 32), interpolation=interpolation)
    names = [variant.name for variant in pipelines(spec, stored=True)]
    assert len(names) == len(set(names)) == resizes + 4 and sum("JPEG" in name for name in names) == 2
    assert [variant.name for variant in pipelines(spec, stored=False)] == names[resizes:]
    assert [variant.mistake for variant in pipelines(spec, stored=True)] == [False] * (resizes + 3) + [True]
    gray = pipelines(InputSpec(1, (7, 7)), stored=False)
    assert [variant.name for variant in gray] == ["crop one pixel off"]


class Sharp(torch.nn.Module):
    """Tells whether neighboring pixels differ by more than a bound."""

    def forward(self, images):
        detail = images.diff(dim=3).abs().mean((1, 2, 3)) - 0.08
        return torch.stack((-detail, detail), 1)


def files(root: Path, side=56, n=12):
    """Fine stripes in one folder, plain gray in the other, all stored at twice the model's size."""
    for name, strength in (("plain", 0), ("stripes", 60)):
        (root / name).mkdir(parents=True)
        for k in range(n):
            stripes = np.full((side, side, 3), 120 + k, np.uint8)
            stripes[:, ::2] += np.uint8(strength)
            Image.fromarray(stripes).save(root / name / f"{k}.png")
    split = folder(root, size=(28, 28), interpolation="nearest")
    return AuditTarget(
        "files", Sharp(), ("plain", "stripes"), InputSpec(3, (28, 28), interpolation="nearest"), {"validation": split}
    )


def test_files_are_resized_otherwise(tmp_path):
    target = files(tmp_path)
    original = target.split("validation").original(12)
    assert original.shape == (3, 56, 56) and float(original[0, 0, 0]) == pytest.approx(180 / 255)
    found = pipeline(target)
    table = next(item for item in found.evidence if item["kind"] == "table")
    assert {row[0] for row in table["rows"]} == {
        *("resizing by torch", "bilinear resizing", "bicubic resizing"),
        *("area resizing", "JPEG 95", "JPEG 75", "crop one pixel off"),
        "red and blue exchanged (a mistake, not judged)",
    }
    assert "resizing was not varied" not in found.summary


def test_shares_and_bounds_are_those_of_the_worst(make):
    found = pipeline(noisy(0, 1.25, by_noise=True, stored=False), confidence=0.99)
    table = next(item for item in found.evidence if item["kind"] == "table")["rows"]
    counts = [(row[1], row[2]) for row in table]
    assert found.statistic == max(moved / n for moved, n in counts) and all(n == 100 for _, n in counts)
    assert found.interval[0] == max(proportion_interval(moved, n, 1 - 0.01 / 3)[0] for moved, n in counts)
    assert found.interval[1] == max(proportion_interval(moved, n, 0.99)[1] for moved, n in counts)
    assert any(item["kind"] == "images" for item in found.evidence)


def test_a_model_of_the_mean_does_not_mind(make):
    class Mean(torch.nn.Module):
        def forward(self, images):
            level = images.mean((1, 2, 3)) - 0.5
            return torch.stack((-level, level), 1)

    images = np.where(np.arange(200)[:, None, None, None] % 2, 0.8, 0.2) * np.ones((1, 3, 16, 16))
    target = AuditTarget.from_arrays(
        "mean",
        Mean(),
        {"validation": (images, np.arange(200) % 2)},
        ("dark", "bright"),
        claims=Claims(pipeline_changes=0.1),
    )
    found = pipeline(target)
    assert found.gate and found.verdict == "pass" and found.tolerance == 0.1
    assert found.summary.startswith("None of 3 other preparations changes the prediction of any of 75 images.")


def test_at_most_three_hundred_passes(make):
    target = make(np.arange(500) % 2, channels=3, size=16)
    seen, inner = [0], target.model.forward
    target.model.forward = lambda images: (seen.__setitem__(0, seen[0] + len(images)), inner(images))[1]
    pipeline(target)
    assert seen[0] <= 500 + 300
    small = make(np.arange(60) % 2, channels=3, size=16, model=target.model)
    seen[0] = 0
    pipeline(small, profile="standard")
    assert seen[0] == 60 + 4 * 60


def test_two_images_decide_nothing(make):
    assert pipeline(make(np.array([0, 1]), size=9)).verdict == "inconclusive"
