"""The synthetic images against closed forms."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from cnnaudit.core.errors import DataError
from cnnaudit.data import reference, shapes

# Areas as a share of the image [-1, 1]^2, per squared radius of the circumscribed circle.
AREAS = {"circle": np.pi / 4, "square": 2 / 4, "triangle": 3 * np.sqrt(3) / 4 / 4}
CLEAN = {"noise": 0, "inverted": False}


@pytest.mark.parametrize("transformation", ["rotation", "scaling"])
def test_dark_share_is_the_area_of_the_figure(transformation: str) -> None:
    data = shapes(transformation, **CLEAN, n_per_class=100, canvas=400)
    dark = 1 - data.images.mean(axis=(1, 2, 3))
    expected = np.array([AREAS[data.classes[label]] for label in data.labels]) * data.radius**2
    np.testing.assert_allclose(dark, expected, rtol=0.04)  # edges fall between pixels, most for upright squares
    for label in range(3):
        assert np.mean((dark / expected)[data.labels == label]) == pytest.approx(1, abs=0.005)


def test_layout() -> None:
    data = shapes(n_per_class=10)
    assert data.images.shape == (30, 1, 28, 28)
    assert (data.images.dtype, data.labels.dtype, data.polarity.dtype) == (np.float32, np.int64, np.bool_)
    assert np.bincount(data.labels).tolist() == [10, 10, 10]
    assert data.classes == ("circle", "square", "triangle")
    assert 0 <= data.images.min() < data.images.max() <= 1


def test_white_and_black_are_exactly_one_and_zero() -> None:
    images = shapes("scaling", **CLEAN, n_per_class=20).images
    assert np.all(images[:, 0, 0, 0] == 1)
    assert np.all(images[:20, 0, 14, 14] == 0)


@pytest.mark.parametrize("noise", [5, 20])
def test_exact_swaps_change_that_many_pixels_of_the_canvas(noise: int) -> None:
    clean, noisy = (shapes(noise=level, size=100, n_per_class=5).images for level in (0, noise))
    assert set(np.unique(noisy)) == {0.0, 1.0}
    assert (clean != noisy).sum(axis=(1, 2, 3)).tolist() == [noise * 100] * 15


def test_repeated_swaps_cancel_as_often_as_the_formula_says() -> None:
    clean, noisy = (shapes(noise=level, size=100, n_per_class=40, swaps="repeated").images for level in (0, 20))
    swapped = (clean != noisy).mean(axis=(1, 2, 3))
    assert swapped.max() < 0.2
    # Each pixel is drawn Binomial(2000, 1/10000) times and stays swapped when that number is odd.
    assert swapped.mean() == pytest.approx((1 - (1 - 2 / 10_000) ** 2000) / 2, abs=0.001)


def test_noise_falls_everywhere_alike() -> None:
    difference = shapes(noise=20, size=100, n_per_class=300).images != shapes(noise=0, size=100, n_per_class=300).images
    per_pixel = difference[:, 0].sum(axis=0)
    assert per_pixel.mean() == 180
    assert per_pixel.std() == pytest.approx(np.sqrt(900 * 0.2 * 0.8), rel=0.05)


def test_small_images_are_area_means_of_the_canvas() -> None:
    canvas, halved = (shapes(n_per_class=3, size=size).images for size in (100, 50))
    blocks = canvas.reshape(9, 1, 50, 2, 50, 2).mean(axis=(3, 5))
    np.testing.assert_allclose(halved, blocks, atol=1e-6)
    small = shapes(n_per_class=3).images  # 100 / 28 is no whole number: pixels are shared by weight
    np.testing.assert_allclose(small.mean(axis=(1, 2, 3)), canvas.mean(axis=(1, 2, 3)), atol=1e-6)


def test_rotated_circles_are_one_image_and_others_are_not() -> None:
    data = reference("2.1", n_per_class=50)
    distinct = [len(np.unique(data.images[data.labels == label], axis=0)) for label in range(3)]
    assert distinct[0] == 1
    assert min(distinct[1:]) > 40


def test_rotation_is_counter_clockwise_and_keeps_the_size() -> None:
    data = shapes("rotation", **CLEAN, radius=0.9, n_per_class=100, size=100)
    triangles = data.labels == 2
    for image, angle in zip(data.images[triangles, 0], data.angle[triangles]):
        rows, columns = np.nonzero(image == 0)
        x, y = (columns - 49.5) / 50, (49.5 - rows) / 50
        apex = np.deg2rad(90 + angle)
        assert np.max(x * np.cos(apex) + y * np.sin(apex)) == pytest.approx(0.9, abs=0.05)


@pytest.mark.parametrize(("square", "row"), [("side", [True, True]), ("vertex", [False, True])])
def test_the_square_stands_on_its_side_or_on_a_vertex(square: str, row: list[bool]) -> None:
    data = shapes("scaling", **CLEAN, radius=0.8, square=square, n_per_class=1, size=100)
    image = data.images[1, 0]
    corner, top = image[49 - 25, 49 - 25] == 0, image[49 - 27, 49] == 0
    assert [corner, top] == row


def test_the_upright_triangle_points_upwards() -> None:
    image = shapes("scaling", **CLEAN, radius=0.8, n_per_class=1, size=100).images[2, 0]
    widths = (image == 0).sum(axis=1)
    occupied = widths[widths > 0]
    assert occupied[0] < 4 < occupied[-1]
    assert np.all(np.diff(occupied) >= 0)


def test_half_of_each_class_is_inverted() -> None:
    data = shapes(n_per_class=40)
    for label in range(3):
        inverted = data.polarity[data.labels == label]
        assert inverted.sum() == 20
        background = data.images[data.labels == label][:, 0, :2, :].mean(axis=(1, 2))
        assert np.array_equal(background < 0.5, inverted)
    assert not shapes(n_per_class=40, inverted=False).polarity.any()


def test_inverting_is_the_complement() -> None:
    plain, half = (shapes(noise=20, inverted=inverted, n_per_class=6) for inverted in (False, True))
    np.testing.assert_allclose(half.images[half.polarity], 1 - plain.images[half.polarity], atol=1e-6)
    assert np.array_equal(half.images[~half.polarity], plain.images[~half.polarity])


def test_the_seed_decides() -> None:
    first, again, other = (shapes(n_per_class=5, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.images, again.images)
    assert not np.array_equal(first.images, other.images)
    assert not np.intersect1d(first.angle, other.angle).size


def test_the_global_random_state_is_untouched() -> None:
    before = np.random.get_state()[1].copy()
    shapes(n_per_class=2)
    assert np.array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("dataset", ["1.3", "2.1", "3.0", "4.0"])
def test_reference_datasets(dataset: str) -> None:
    train, validation = (reference(dataset, split, n_per_class=30) for split in ("train", "validation"))
    scaling, noisy = dataset in ("1.3", "3.0"), dataset in ("3.0", "4.0")
    assert (len(np.unique(train.radius)) > 1) == scaling
    assert (train.angle.any()) != scaling
    assert train.polarity.any() == noisy
    assert ((train.images > 0) & (train.images < 1)).mean() > 0.9 or not noisy
    assert not np.array_equal(train.images, validation.images)
    if scaling:
        assert 0.3 <= train.radius.min() < train.radius.max() <= 0.9
    else:
        assert set(train.radius) == {0.7}


def test_reference_sizes_and_changes() -> None:
    assert len(reference("1.3").images) == 3000
    assert len(reference("1.3", "validation").images) == 6000
    assert set(reference("2.1", n_per_class=2, radius=0.9).radius) == {0.9}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"transformation": "shear"}, "transformation must be rotation or scaling, got 'shear'"),
        ({"swaps": "some"}, "swaps must be exact or repeated"),
        ({"square": "edge"}, "square must be side or vertex"),
        ({"radius": 1.2}, "radius must be one number"),
        ({"radius": (0.9, 0.3)}, "radius must be one number"),
        ({"noise": 101}, "noise is a percentage"),
        ({"canvas": 0}, "canvas must be at least 1"),
        ({"n_per_class": 0}, "n_per_class must be at least 1"),
    ],
)
def test_arguments_are_checked(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        shapes(**arguments)


def test_reference_names_are_checked() -> None:
    with pytest.raises(DataError, match=r"dataset must be one of 1\.3, 2\.1, 3\.0, 4\.0, got '5'"):
        reference("5")
    with pytest.raises(DataError, match="split must be train or validation"):
        reference("2.1", "test")


@pytest.mark.parametrize(
    "imports",
    [
        "import cnnaudit",
        "import cnnaudit.data._shapes, cnnaudit.data._digits, cnnaudit.models._minimum, cnnaudit.models._lenet, "
        "cnnaudit.training._fit",
        "from cnnaudit.data._shapes import REFERENCES; from cnnaudit.models._minimum import minimum; "
        "from cnnaudit.training._fit import glorot; import cnnaudit",
    ],
)
def test_names_are_functions_in_every_order_of_imports(imports: str) -> None:
    code = (
        f"{imports}; import sys\n"
        "for f in (cnnaudit.data.shapes, cnnaudit.data.digits, cnnaudit.data.reference, cnnaudit.data.folder, "
        "cnnaudit.models.minimum, cnnaudit.models.lenet, cnnaudit.training.fit): assert callable(f), f\n"
        "assert not {'torch', 'sklearn', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_figures_have_the_aspect_that_is_asked_for():
    upright = shapes("scaling", 0, False, radius=0.8, canvas=200, n_per_class=1, size=200, aspect=(2, 3)).images[:, 0]
    for image, ratio, longer in ((upright[0], 2, 160), (upright[1], 3, 160 * 3 / 10**0.5)):
        rows, columns = (image < 0.5).any(1).sum(), (image < 0.5).any(0).sum()
        assert columns == pytest.approx(longer, abs=2) and columns / rows == pytest.approx(ratio, rel=0.04)


@pytest.mark.parametrize("wrong", [{"aspect": 0.5}, {"aspect": (1, 11)}, {"aspect": 2, "square": "vertex"}])
def test_an_aspect_that_names_no_figure_is_refused(wrong):
    with pytest.raises(DataError, match=r"aspect|rectangle"):
        shapes("rotation", n_per_class=1, **wrong)
