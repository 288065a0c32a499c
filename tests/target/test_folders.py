"""Image files on disk: every format, every way a folder can be wrong."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from cnnaudit.core.errors import DataError
from cnnaudit.data import FolderSplit, folder
from cnnaudit.target import InputSpec
from cnnaudit.target.preparation import prepare

CLASSES = ("cat", "dog")


def _photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """A smooth color image: noise enlarged eight times."""
    small = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def _spec(channels: int = 3, size: tuple[int, int] = (8, 8), **settings: object) -> InputSpec:
    return InputSpec(channels=channels, size=size, **settings)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes of two images."""
    for number, name in enumerate(CLASSES):
        (tmp_path / "train" / name).mkdir(parents=True)
        for k in range(2):
            _photo(20, 12, seed=2 * number + k).save(tmp_path / "train" / name / f"{k}.png")
    return tmp_path / "train"


def _split(root: Path, classes: tuple[str, ...] = CLASSES) -> FolderSplit:
    return FolderSplit(root, classes, _spec())


def test_images_labels_and_names(root: Path) -> None:
    split = _split(root)
    assert split.labels.tolist() == [0, 0, 1, 1]
    assert [split.name(index) for index in range(4)] == [
        "train/cat/0.png",
        "train/cat/1.png",
        "train/dog/0.png",
        "train/dog/1.png",
    ]
    images = split.read(np.array([3, 0]))
    assert (images.shape, images.dtype) == ((2, 3, 8, 8), torch.float32)
    assert torch.equal(images[1:], split.read(np.array([0])))
    assert split.read(np.array([], dtype=int)).shape == (0, 3, 8, 8)
    assert split.metadata == {}


def test_the_order_of_classes_is_the_order_of_labels(root: Path) -> None:
    split = _split(root, ("dog", "cat"))
    assert split.labels.tolist() == [0, 0, 1, 1]
    assert split.name(0) == "train/dog/0.png"


def test_the_public_name_takes_the_classes_from_the_folders(root: Path) -> None:
    split = folder(root, size=(8, 8), channels=1)
    assert split.name(0) == "train/cat/0.png"
    assert split.read(np.arange(4)).shape == (4, 1, 8, 8)


def test_folders_inside_a_class_folder_belong_to_the_class(root: Path) -> None:
    (root / "cat" / "2024" / "may").mkdir(parents=True)
    _photo(9, 9).save(root / "cat" / "2024" / "may" / "2.png")
    assert np.bincount(_split(root).labels).tolist() == [3, 2]


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize(("width", "height"), [(640, 427), (300, 411), (224, 224), (256, 300), (97, 61)])
def test_equals_torchvision_pixel_for_pixel(tmp_path: Path, interpolation: str, width: int, height: int) -> None:
    path = tmp_path / "photo.jpg"
    _photo(width, height).save(path, quality=90)
    expected = transforms.Compose(
        [
            transforms.Resize(256, interpolation=transforms.InterpolationMode(interpolation)),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
        ]
    )(Image.open(path).convert("RGB"))
    spec = _spec(size=(224, 224), resize=256, interpolation=interpolation)
    assert torch.equal(torch.from_numpy(prepare(Image.open(path), spec)), expected)


def test_without_a_crop_the_image_is_resized_straight_to_its_size() -> None:
    image = _photo(50, 30)
    expected = transforms.ToTensor()(transforms.Resize((16, 24))(image))
    assert torch.equal(torch.from_numpy(prepare(image, _spec(size=(16, 24)))), expected)


RAMP = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4


@pytest.mark.parametrize("channels", [1, 3])
def test_gray_images_keep_their_values(channels: int) -> None:
    for image in (
        Image.fromarray(RAMP),
        Image.fromarray(RAMP).convert("P"),
        Image.merge("RGB", [Image.fromarray(RAMP)] * 3),
    ):
        pixels = prepare(image, _spec(channels))
        assert pixels.shape == (channels, 8, 8)
        np.testing.assert_allclose(pixels, np.broadcast_to(RAMP / np.float32(255), (channels, 8, 8)), atol=1e-7)


def test_color_becomes_gray_by_luma() -> None:
    image = Image.new("RGB", (8, 8), (200, 100, 50))
    luma = round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    np.testing.assert_allclose(prepare(image, _spec(1)), luma / 255, atol=1 / 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_on_white(mode: str) -> None:
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, 4, 8))
    image = image.convert(mode) if mode != "P" else image.quantize(4)
    pixels = prepare(image, _spec(3))
    assert np.all(pixels[:, :, :4] == 1)
    assert np.all(pixels[:, :, 4:] == 0)
    half = prepare(Image.new("RGBA", (8, 8), (0, 0, 0, 128)), _spec(3))
    np.testing.assert_allclose(half, 127 / 255, atol=1 / 255)


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path, channels: int) -> None:
    values = np.linspace(0, 65_535, 64).astype(np.uint16).reshape(8, 8)
    for name in ("deep.png", "deep.tif"):
        Image.fromarray(values).save(tmp_path / name)
        with Image.open(tmp_path / name) as image:
            pixels = prepare(image, _spec(channels))
        np.testing.assert_allclose(pixels, np.broadcast_to(values / 65_535, (channels, 8, 8)), atol=1e-6)


def test_sixteen_bits_are_resized_as_eight_bits_are() -> None:
    values = np.asarray(_photo(64, 48).convert("L"))
    spec = _spec(1, size=(20, 20), resize=24)
    eight, sixteen = (prepare(Image.fromarray(a), spec) for a in (values, values.astype(np.uint16) * 257))
    np.testing.assert_allclose(eight, sixteen, atol=1.5 / 255)


def test_float_images_must_lie_in_the_unit_range() -> None:
    np.testing.assert_allclose(prepare(Image.fromarray(RAMP / np.float32(255)), _spec(1))[0], RAMP / 255, atol=1e-6)
    with pytest.raises(DataError, match=r"expected pixels in 0\.\.1, got 0\.\.252"):
        prepare(Image.fromarray(RAMP.astype(np.float32)), _spec(1))
    with pytest.raises(DataError, match=r"expected pixels in 0\.\.65535, got 0\.\.252000"):
        prepare(Image.fromarray(RAMP.astype(np.int32) * 1000), _spec(1))


def test_cmyk_is_read_as_color(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), (250, 10, 10)).convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    with Image.open(tmp_path / "print.jpg") as image:
        assert image.mode == "CMYK"
        red, green, blue = prepare(image, _spec(3)).mean(axis=(1, 2)) * 255
    assert (red, green, blue) == (pytest.approx(250, abs=8), pytest.approx(10, abs=8), pytest.approx(10, abs=8))


# How a camera lays an upright image down for each orientation (EXIF 2.3, section 4.6.4); 1 is upright.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(root: Path, orientation: int) -> None:
    upright = np.zeros((16, 24, 3), np.uint8)
    upright[:8, :12] = 255  # the upper left quarter is white
    image = Image.fromarray(upright)
    if orientation in STORED:
        image = image.transpose(STORED[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(root / "cat" / "0.png", exif=exif)
    split = FolderSplit(root, CLASSES, _spec(size=(16, 24)))
    assert torch.equal(split.read(np.array([0]))[0].permute(1, 2, 0), torch.from_numpy(upright / np.float32(255)))
    facts = split.properties(np.array([0]))
    assert (facts["width"][0], facts["height"][0], facts["aspect"][0]) == (24, 16, 1.5)


def test_every_common_format_is_read(root: Path) -> None:
    for suffix in ("bmp", "gif", "jpg", "ppm", "tif", "webp", "tga", "JPEG"):
        _photo(16, 16).save(root / "cat" / f"new.{suffix}")
    _photo(16, 16).save(root / "dog" / "no-ending", format="PNG")
    split = _split(root)
    assert np.bincount(split.labels).tolist() == [10, 3]
    images = split.read(np.arange(13))
    assert 0 <= float(images.min()) <= float(images.max()) <= 1


def test_properties_of_files(root: Path) -> None:
    facts = _split(root).properties(np.array([2, 1]))
    assert facts["file_size"].tolist() == [
        (root / "dog" / "0.png").stat().st_size,
        (root / "cat" / "1.png").stat().st_size,
    ]
    assert facts["aspect"].tolist() == [20 / 12, 20 / 12]
    assert (facts["width"].tolist(), facts["height"].tolist()) == ([20, 20], [12, 12])


def test_what_file_managers_leave_behind_is_passed_over(root: Path) -> None:
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._0.png"):
        (root / "cat" / name).write_bytes(b"\0")
    (root / ".git").mkdir()
    (root / "__MACOSX").mkdir()
    (root / "metadata.csv").write_text("file,site\n")
    assert len(_split(root).labels) == 4


def _fails(root: Path, *parts: str, classes: tuple[str, ...] = CLASSES) -> None:
    """Reading the split fails with one line that holds the parts."""
    with pytest.raises(DataError) as caught:
        _split(root, classes).read(np.arange(len(_split(root, classes).labels)))
    for part in parts:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(root.parent) not in str(caught.value)


def test_a_missing_folder(tmp_path: Path) -> None:
    _fails(tmp_path / "train", "train: the folder cannot be read (No such file or directory)")


def test_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "train").write_text("x")
    _fails(tmp_path / "train", "train: the folder cannot be read (Not a directory)")


def test_an_empty_class_folder(root: Path) -> None:
    (root / "cow").mkdir()
    _fails(root, "train/cow: the folder of this class is empty", classes=(*CLASSES, "cow"))


def test_no_class_folder(tmp_path: Path) -> None:
    _fails(tmp_path, "expected a folder for each class in it, found none")


def test_images_beside_the_class_folders(root: Path) -> None:
    _photo(8, 8).save(root / "stray.png")
    _fails(root, "train/stray.png: an image beside the class folders")


def test_one_class(root: Path) -> None:
    _fails(root, "expected at least two classes, got ['cat']", classes=("cat",))


def test_an_unknown_class_folder_names_the_nearest_class(root: Path) -> None:
    (root / "dogs").mkdir()
    _fails(root, "train/dogs: no class of that name in data.classes", "did you mean 'dog'?")


def test_a_class_without_a_folder(root: Path) -> None:
    _fails(root, "expected a folder for the class 'cow', found ['cat', 'dog']", classes=(*CLASSES, "cow"))


def test_class_names_agree_whatever_their_unicode_form(root: Path) -> None:
    (root / "cat").rename(root / "cafe\u0301")
    assert len(_split(root, ("caf\u00e9", "dog")).labels) == 4


def test_a_truncated_jpeg(root: Path) -> None:
    _photo(64, 64).save(root / "cat" / "2.jpg")
    content = (root / "cat" / "2.jpg").read_bytes()
    (root / "cat" / "2.jpg").write_bytes(content[: len(content) // 2])
    _fails(root, "train/cat/2.jpg: the image is broken (image file is truncated")


def test_a_text_file_named_png(root: Path) -> None:
    (root / "cat" / "2.png").write_text("not an image")
    _fails(root, "train/cat/2.png: this is no image that can be read (")


def test_an_empty_file_named_jpg(root: Path) -> None:
    (root / "cat" / "2.jpg").touch()
    _fails(root, "train/cat/2.jpg: this is no image that can be read (")


def test_a_file_that_is_no_image(root: Path) -> None:
    (root / "cat" / "notes.txt").write_text("remember the milk")
    _fails(root, "train/cat/notes.txt: this is no image that can be read (")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [10_000, 20_000])
def test_an_image_that_would_fill_the_memory(root: Path, side: int) -> None:
    Image.new("1", (side, side)).save(root / "cat" / "2.png")
    _fails(root, "train/cat/2.png: expected at most 89 million pixels", "Store the image smaller")


def test_a_folder_that_links_back_to_itself(root: Path) -> None:
    (root / "cat" / "more").mkdir()
    (root / "cat" / "more" / "loop").symlink_to(root / "cat", target_is_directory=True)
    _fails(root, "train/cat/more/loop: the link leads back to a folder that contains it")


def test_a_class_folder_that_links_to_the_root(root: Path) -> None:
    (root / "cow").symlink_to(root, target_is_directory=True)
    _fails(root, "train/cow: the link leads back", classes=(*CLASSES, "cow"))


def test_a_link_to_itself_and_a_broken_link(root: Path) -> None:
    (root / "cat" / "self.png").symlink_to(root / "cat" / "self.png")
    _fails(root, "train/cat/self.png: neither a file nor a folder")
    (root / "cat" / "self.png").unlink()
    (root / "cat" / "gone.png").symlink_to(root / "nowhere.png")
    _fails(root, "train/cat/gone.png: neither a file nor a folder")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_named_pipe_does_not_block(root: Path) -> None:
    os.mkfifo(root / "cat" / "pipe.png")
    _fails(root, "train/cat/pipe.png: neither a file nor a folder")


def test_an_unreadable_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, **settings: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))  # root, as in many containers, may read everything

    monkeypatch.setattr(Image, "open", refused)
    _fails(root, "train/cat/0.png: the file cannot be opened (Permission denied)")


def test_a_file_that_vanished(root: Path) -> None:
    split = _split(root)
    (root / "cat" / "0.png").unlink()
    with pytest.raises(DataError, match=r"train/cat/0\.png: the file cannot be opened \(No such file or directory\)"):
        split.read(np.array([0]))


def test_links_to_images_and_folders_are_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    _photo(8, 8).save(tmp_path / "elsewhere" / "5.png")
    (root / "cat" / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (root / "dog" / "5.png").symlink_to(tmp_path / "elsewhere" / "5.png")
    assert np.bincount(_split(root).labels).tolist() == [3, 3]
