"""The corruptions against the published definitions, kornia, OpenCV, scikit-image and Pillow; what is refused."""

import colorsys
import inspect

import numpy as np
import published
import pytest
import torch
from PIL import Image
from scipy import ndimage

from cnnaudit.core.errors import DataError, UnsupportedError
from cnnaudit.corruptions import CORRUPTIONS, SEVERITIES, blur, corrupt, digital, filters, weather
from cnnaudit.testing.posing_device import carried, pose, posing


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def photograph(side=32, channels=3, n=1, seed=0):
    """Smooth color with some noise, (n, C, side, side) in [0, 1]."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.random((n, channels, side, side)), (0, 0, side / 12, side / 12), mode="wrap")
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return torch.tensor(0.9 * smooth + 0.1 * rng.random(smooth.shape)).float()


def as_pixels(images):
    return images[0].permute(1, 2, 0).double().numpy()


def settings(name, large=False):
    return CORRUPTIONS[name].large if large else CORRUPTIONS[name].small


@pytest.mark.parametrize("large", [False, True])
def test_noise_has_its_published_strength(large):
    gray = torch.full((1, 3, 96 if large else 64, 400), 0.5)
    for severity in SEVERITIES:
        deviation = settings("gaussian_noise", large)[severity - 1]
        noisy = corrupt(gray, "gaussian_noise", severity, seeded()).double()
        inner = np.clip(np.random.default_rng(0).normal(0.5, deviation, 400_000), 0, 1).std()
        assert float(noisy.std()) == pytest.approx(inner, rel=0.02)
        photons = settings("shot_noise", large)[severity - 1]
        counts = corrupt(gray, "shot_noise", severity, seeded()).double() * photons
        expected = np.minimum(np.random.default_rng(0).poisson(0.5 * photons, 400_000), photons)
        torch.testing.assert_close(counts, counts.round(), atol=1e-4, rtol=0)
        assert float(counts.std()) == pytest.approx(expected.std(), rel=0.03)
        share = settings("impulse_noise", large)[severity - 1]
        hit = corrupt(gray, "impulse_noise", severity, seeded())
        assert float((hit == 0).double().mean()) == pytest.approx(share / 2, rel=0.1)
        assert float((hit == 1).double().mean()) == pytest.approx(share / 2, rel=0.1)


@pytest.mark.parametrize(("reach", "shape"), [(1, (9, 12)), (3, (20, 17))])
def test_pixels_are_copied_as_by_the_published_loop(reach, shape):
    inside = (2, shape[0] - 2 * reach, shape[1] - 2 * reach)
    down, right = (torch.randint(-reach, reach, inside, generator=seeded(k)) for k in (1, 2))
    found = blur.scattered(down, right, *shape)
    places = np.arange(shape[0] * shape[1]).reshape(*shape, 1)  # rows of views, as pixels of color are
    for n in range(2):
        slow = published.exchanged(places, down[n].numpy(), right[n].numpy(), reach)
        np.testing.assert_array_equal(found[n].numpy(), slow[..., 0])


def test_glass_blurs_then_copies_then_blurs():
    image = photograph()
    deviation, reach, repetitions = settings("glass_blur")[4]
    generator, expected = seeded(), ndimage.gaussian_filter(as_pixels(image), (deviation, deviation, 0), mode="nearest")
    for _ in range(repetitions):
        right, down = (torch.randint(-reach, reach, (1, 30, 30), generator=generator)[0].numpy() for _ in range(2))
        expected = published.exchanged(expected, down, right, reach)
    expected = ndimage.gaussian_filter(expected, (deviation, deviation, 0), mode="nearest")
    np.testing.assert_allclose(as_pixels(corrupt(image, "glass_blur", 5, seeded())), expected, atol=1e-5)


@pytest.mark.parametrize(("fold", "mode"), [(filters.nearest_edge, "nearest"), (filters.mirrored, "reflect")])
@pytest.mark.parametrize("deviation", [0.05, 1.5, 40.0])
def test_gaussian_blur_is_scipys(fold, mode, deviation):
    image = photograph(12, 1)[0, 0].double()
    found = filters.gaussian_blur(image, deviation, 3, fold)
    np.testing.assert_allclose(
        found, ndimage.gaussian_filter(image.numpy(), deviation, mode=mode, truncate=3), atol=1e-7
    )


@pytest.mark.parametrize("degrees", [-45.0, 0.0, 20.0, 133.0])
def test_motion_is_a_mean_along_a_line(degrees):
    image = photograph(14, 1)
    found = filters.motion(image, 3.5, 2.0, torch.tensor([degrees]))
    np.testing.assert_allclose(
        found[0, 0], published.motion(image[0, 0].double().numpy(), 3.5, 2.0, degrees), atol=1e-6
    )


@pytest.mark.parametrize("severity", [1, 4])
def test_zoom_blur_is_the_mean_of_zooms(severity):
    image, (last, step) = photograph(), settings("zoom_blur")[severity - 1]
    expected = published.zoom_blur(as_pixels(image), np.arange(1, last, step))
    np.testing.assert_allclose(as_pixels(corrupt(image, "zoom_blur", severity, seeded())), expected, atol=1e-5)


def test_clouds_are_those_of_the_diamond_square_algorithm():
    found = weather.plasma(1, 29, 1.7, weather.uniform(1, seeded()))
    draw = weather.uniform(1, seeded())
    slow = published.diamond_square(32, 1.7, lambda rows, columns: draw(rows, columns)[0].numpy())
    np.testing.assert_allclose(found[0], slow, atol=1e-6)


def test_fog_and_frost_are_added_as_published():
    image = photograph()
    thickness, decay = settings("fog")[2]
    clouds = weather.plasma(1, 32, decay, weather.uniform(1, seeded()))[0].double().numpy()[..., None]
    x = as_pixels(image)
    expected = np.clip((x + thickness * clouds) * x.max() / (x.max() + thickness), 0, 1)
    np.testing.assert_allclose(as_pixels(corrupt(image, "fog", 3, seeded())), expected, atol=1e-5)
    kept, added = settings("frost")[2]
    layer = weather.ice(1, 32, 32, seeded())[0].double().numpy()
    red, blue = (corrupt(image, "frost", 3, seeded())[0, k].numpy() for k in (0, 2))
    np.testing.assert_allclose(red, np.clip(kept * x[..., 0] + added * 0.86 * layer, 0, 1), atol=1e-5)
    np.testing.assert_allclose(blue, np.clip(kept * x[..., 2] + added * layer, 0, 1), atol=1e-5)
    many = weather.ice(20, 64, 64, seeded())
    assert 0.35 < float(many.mean()) < 0.55 and float(many.std()) > 0.1


def test_snow_is_put_together_as_published():
    image, (mean, spread, zoom, threshold, radius, deviation, kept) = photograph(), settings("snow")[2]
    generator = seeded()
    flakes = mean + spread * torch.randn((1, 1, 32, 32), generator=generator)
    flakes = published.clipped_zoom(flakes[0, 0, ..., None].double().numpy(), zoom)[..., 0]
    flakes[flakes < threshold] = 0
    degrees = -135 + 90 * float(torch.rand(1, generator=generator))
    layer = published.motion(np.clip(flakes, 0, 1), radius, deviation, degrees)[..., None]
    x = as_pixels(image)
    gray = x @ np.array([0.299, 0.587, 0.114])
    whitened = kept * x + (1 - kept) * np.maximum(x, gray[..., None] * 1.5 + 0.5)
    expected = np.clip(whitened + layer + np.rot90(layer, 2), 0, 1)
    np.testing.assert_allclose(as_pixels(corrupt(image, "snow", 3, seeded())), expected, atol=1e-5)


def test_brightness_raises_the_value_of_hsv():
    image = photograph(8)
    image[0, :, 0, 0] = 0
    found = as_pixels(corrupt(image, "brightness", 4, seeded()))
    for pixel, bright in zip(as_pixels(image).reshape(-1, 3), found.reshape(-1, 3)):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        np.testing.assert_allclose(bright, colorsys.hsv_to_rgb(hue, saturation, min(value + 0.2, 1)), atol=1e-5)


def test_contrast_shrinks_the_distance_from_each_channels_mean():
    x = as_pixels(photograph())
    means = x.mean((0, 1))
    found = as_pixels(corrupt(photograph(), "contrast", 5, seeded()))
    np.testing.assert_allclose(found, (x - means) * 0.15 + means, atol=1e-6)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_elastic_maps_points_then_pixels(severity):
    image, (strength, smoothness, jitter) = photograph(), settings("elastic_transform")[severity - 1]
    generator = seeded()
    points = 16 + 10 * np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    moved = points + jitter * (2 * torch.rand((1, 3, 2), generator=generator)[0].double().numpy() - 1)
    across, down = (2 * torch.rand((2, 1, 32, 32), generator=generator) - 1).double().numpy()[:, 0]
    expected = published.elastic(as_pixels(image), moved, points, across, down, smoothness, strength)
    np.testing.assert_allclose(as_pixels(corrupt(image, "elastic_transform", severity, seeded())), expected, atol=1e-4)


@pytest.mark.parametrize("size", [(32, 32), (28, 40)])
def test_pixelate_is_pillows_box(size):
    pixels = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    for severity, factor in enumerate(settings("pixelate"), start=1):
        few = Image.fromarray(pixels).resize((int(size[1] * factor), int(size[0] * factor)), Image.Resampling.BOX)
        expected = np.asarray(few.resize(size[::-1], Image.Resampling.BOX))
        found = corrupt(torch.tensor(pixels / 255).float()[None, None], "pixelate", severity, seeded())
        np.testing.assert_allclose(found[0, 0] * 255, expected, atol=1.01)  # Pillow rounds after each axis


def test_the_disk_is_opencvs():
    cv2 = pytest.importorskip("cv2")
    for radius, deviation in (*settings("defocus_blur", large=True), *settings("defocus_blur")):
        half = 8 if radius <= 8 else radius
        squares = np.arange(-half, half + 1) ** 2
        filled = np.array(squares[:, None] + squares[None, :] <= radius**2, dtype=np.float64)
        expected = cv2.GaussianBlur(filled / filled.sum(), (3, 3) if radius <= 8 else (5, 5), deviation)
        found = filters.disk(radius, deviation).numpy()
        margin = half - len(found) // 2
        np.testing.assert_allclose(np.pad(found, margin), expected, atol=1e-9)
        image = photograph()
        np.testing.assert_allclose(
            filters.convolve(image, torch.tensor(expected).float())[0, 0],
            cv2.filter2D(image[0, 0].numpy(), -1, expected),
            atol=1e-5,
        )


def test_what_kornia_has_agrees():
    kornia = pytest.importorskip("kornia")
    image = photograph()
    hsv = kornia.color.rgb_to_hsv(image)
    hsv[:, 2] = (hsv[:, 2] + settings("brightness")[1]).clamp(0, 1)
    torch.testing.assert_close(
        corrupt(image, "brightness", 2, seeded()), kornia.color.hsv_to_rgb(hsv), atol=1e-5, rtol=0
    )
    blurred = kornia.filters.gaussian_blur2d(image, (13, 13), (1.5, 1.5), border_type="replicate")
    torch.testing.assert_close(filters.gaussian_blur(image, 1.5), blurred, atol=1e-5, rtol=0)
    disk = filters.disk(3, 0.5)
    spread = kornia.filters.filter2d(image, disk.float()[None], border_type="reflect")
    torch.testing.assert_close(filters.convolve(image, disk), spread, atol=1e-5, rtol=0)
    coded = kornia.enhance.jpeg_codec_differentiable(image, torch.tensor([40.0]))
    assert float((digital.jpeg(image, 40) - coded).abs().mean()) < 0.01


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(8, 8), (28, 28), (40, 90), (96, 90)])
def test_any_size_and_one_or_three_channels(channels, size):
    images = photograph(96, channels, n=2)[:, :, : size[0], : size[1]]
    kept, state = images.clone(), torch.random.get_rng_state()
    for name in CORRUPTIONS:
        for severity in (1, 5):
            found, again = (corrupt(images, name, severity, seeded(3)) for _ in range(2))
            assert found.shape == images.shape and found.dtype == images.dtype and bool(found.isfinite().all()), name
            assert float(found.min()) >= 0 and float(found.max()) <= 1 and torch.equal(found, again), name
    assert torch.equal(images, kept) and torch.equal(torch.random.get_rng_state(), state)


def test_every_image_is_drawn_anew():
    images = photograph(32).expand(2, -1, -1, -1)
    random = {"defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression"} ^ set(CORRUPTIONS)
    for name in CORRUPTIONS:
        first, second = corrupt(images, name, 5, seeded())
        assert torch.equal(first, second) == (name not in random), name


def test_lengths_grow_with_the_image():
    assert filters.disk(10 * 112 / 224, 0.5).shape == (15, 15)
    wide = corrupt(torch.eye(112)[None, None], "defocus_blur", 5, seeded())
    torch.testing.assert_close(wide, filters.convolve(torch.eye(112)[None, None], filters.disk(5, 0.5)))


@pytest.mark.parametrize(
    ("images", "name", "severity", "error", "words"),
    [
        (torch.rand(1, 2, 32, 32), "fog", 1, UnsupportedError, "1 or 3 channels, these have 2"),
        (torch.rand(1, 3, 7, 32), "fog", 1, UnsupportedError, "at least 8 x 8 pixels, these have 7 x 32"),
        (torch.rand(1, 3, 32, 32), "fgo", 1, DataError, "did you mean 'fog'"),
        (torch.rand(1, 3, 32, 32), "fog", 6, DataError, "from 1 to 5"),
        (torch.rand(1, 3, 32, 32) * 255, "fog", 1, DataError, "divide by 255"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "fog", 1, DataError, "floating-point"),
        (torch.full((1, 1, 8, 8), float("nan")), "fog", 1, DataError, "NaN"),
    ],
)
def test_what_is_no_image_is_refused(images, name, severity, error, words):
    with pytest.raises(error, match=words):
        corrupt(images, name, severity, seeded())


def test_all_have_five_severities_of_both_sizes():
    assert len(CORRUPTIONS) == 15
    for name, found in CORRUPTIONS.items():
        assert len(found.large) == len(found.small) == 5, name
        assert inspect.getdoc(found.apply), name


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_another_device_gives_the_same_images(name):
    images = photograph(16, n=2)
    with posing():
        found = carried(corrupt(pose(images), name, 3, seeded()))
    torch.testing.assert_close(found, corrupt(images, name, 3, seeded()), atol=1e-6, rtol=0)
