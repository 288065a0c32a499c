"""Hostile audit files and images: a message, never a traceback, never another program."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cnnaudit.checks.audit_file import read
from cnnaudit.core.errors import AuditError, ConfigError, DataError
from cnnaudit.core.toml_text import toml
from cnnaudit.data import FolderSplit
from cnnaudit.scaffold import read_arguments, scaffold
from cnnaudit.target import InputSpec
from cnnaudit.target.config_text import parse

KEYS = (
    *("model.name", "model.source", "model.arguments", "model.weights", "model.device", "model.batch_size"),
    *("input.channels", "input.size", "input.resize", "input.scale", "input.mean", "input.std", "input.order"),
    *("data.train", "data.validation", "data.classes", "data.class_indices", "data.metadata"),
    *("claims.accuracy", "claims.noise", "claims.translation_pixels", "checks.ignore", "checks.x", "expected"),
)
VALUES = (
    *("true", "1.0", "-1", "0", "nan", "inf", "1e400", "9" * 5000, "0x" + "f" * 5000, "10000000000000000000000", "[]"),
    *('""', r'"\u0000"', r'"a\u202Eb"', '"' + "x" * 5000 + '"', '"' + "x/" * 3000 + '"', "[[1]]", "{}", "1979-05-27"),
    *(
        "[" * 1500 + "]" * 1500,
        "{a=" * 1500 + "1" + "}" * 1500,
        '"loop"',
        '"."',
        '"m:f"',
        '["a", "b"]',
        "28",
        "[1, true]",
    ),
    *(
        '"loop.pt"',
        '"loop/x.csv"',
        '"cuda:' + "9" * 5000 + '"',
        "{ source = 3 }",
        '["*"]',
        '[{check = "x", reason = 1}]',
    ),
)


def test_500_random_audit_files_give_a_message(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "loop.pt").symlink_to(tmp_path / "loop.pt")
    rng = random.Random(0)
    for _ in range(500):
        chosen = rng.sample(KEYS, rng.randint(1, 6))
        text = "".join(f"{key} = {rng.choice(VALUES)}\n" for key in chosen)
        if rng.random() < 0.3:
            text = "".join(rng.choice((c, c, c, c, c, c, c, c, c, chr(rng.randrange(1, 0x300)))) for c in text)
        (tmp_path / "audit.toml").write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError) as caught:
            read(tmp_path / "audit.toml")
        assert all(len(problem) < 2_000 for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("input.channels = 1.0", "input.channels"),
        ("input.channels = true", "input.channels"),
        ("input.size = " + "9" * 5000, "input.size"),
        ("input.size = 0x" + "f" * 5000, "input.size"),
        ("input.size = 100000", "input.size"),
        ("input.mean = 1e400", "input.mean"),
        ("input.std = 1e-300", "input.std"),
        ("model.batch_size = 1000000000000", "model.batch_size"),
        ('model.weights = "' + "x" * 5000 + '.pt"', "model.weights"),
        (r'data.train = "a\u0000b"', "data.train"),
        (r'data.classes = ["a", "b\u202E"]', "data.classes"),
        ("model.arguments = " + "[" * 1500 + "]" * 1500, "model.arguments"),
        ("model.arguments = " + "{a=" * 40 + "1" + "}" * 40, "model.arguments"),
    ],
    ids=range(13),
)
def test_the_key_of_a_hostile_value_is_named(tmp_path: Path, line: str, key: str) -> None:
    (tmp_path / "audit.toml").write_text(line + "\n")
    with pytest.raises(ConfigError) as caught:
        read(tmp_path / "audit.toml")
    assert any(key in problem for problem in caught.value.problems)


def _images(root: Path) -> FolderSplit:
    for name in ("a", "b"):
        (root / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), 100, np.uint8)).save(root / name / "0.png")
    return FolderSplit(root, ("a", "b"), InputSpec(channels=3, size=(8, 8), resize=8))


def test_postscript_never_reaches_its_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*command: object, **settings: object) -> None:
        raise AssertionError(f"another program was started: {command}")

    monkeypatch.setattr(subprocess, "Popen", started)
    split = _images(tmp_path / "v")
    (tmp_path / "v" / "a" / "0.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n")
    with pytest.raises(DataError, match=r"v/a/0\.png: this file is EPS, expected one of .*PNG"):
        split.read(np.array([0]))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF:UserWarning", "ignore:Truncated File:UserWarning")
def test_100_damaged_images_give_pixels_or_a_message(tmp_path: Path) -> None:
    split = _images(tmp_path / "v")
    rng = np.random.default_rng(0)
    file, good = tmp_path / "v" / "a" / "0.png", tmp_path / "good"
    noise = Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8))
    for k in range(100):
        noise.save(good, format=("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM", "TGA")[k % 8])
        content = bytearray(good.read_bytes())
        for place in rng.integers(0, len(content) if k % 3 else 60, 6):
            content[place] = rng.integers(256)
        file.write_bytes(content[: rng.integers(1, len(content))] if k % 2 else content)
        for ask in (split.read, split.properties):
            try:
                answer = ask(np.array([0]))
            except DataError as error:
                assert "v/a/0.png" in str(error)
            else:
                assert not isinstance(answer, torch.Tensor) or torch.isfinite(answer).all()


def test_a_long_narrow_image_is_not_enlarged_into_the_memory(tmp_path: Path) -> None:
    _images(tmp_path / "v")
    split = FolderSplit(tmp_path / "v", ("a", "b"), InputSpec(3, (8, 8), resize=4000))
    Image.new("1", (200_000, 1)).save(tmp_path / "v" / "a" / "0.png")
    with pytest.raises(DataError, match=r"too long to have its shorter side resized to input\.resize = 4000"):
        split.read(np.array([0]))


@pytest.mark.parametrize("name", ["b\n[data]", "b\u202e", "b\x7f"])
def test_init_refuses_class_folders_with_control_characters(tmp_path: Path, name: str) -> None:
    _images(tmp_path / "v")
    (tmp_path / "v" / name).mkdir()
    with pytest.raises(AuditError, match="control character"):
        scaffold("torchvision:resnet18", tmp_path / "audit.toml", validation=str(tmp_path / "v"))
    assert not (tmp_path / "audit.toml").exists()


def test_what_toml_writes_is_read_back(tmp_path: Path) -> None:
    rng = random.Random(0)
    text = "".join(chr(rng.choice((rng.randrange(0xD800), 0x1F600, 34, 92, 10, 127))) for _ in range(3000))
    value = {"a b\n": [text, 1, 2.5, True], "😀": {"deep": text}}
    (tmp_path / "x.toml").write_bytes(f"value = {toml(value)}\n".encode())
    assert parse(tmp_path / "x.toml") == {"value": value}


def test_arguments_of_init() -> None:
    assert read_arguments(["k=3", "n=layer", 'q="a"']) == {"k": 3, "n": "layer", "q": "a"}
    with pytest.raises(AuditError, match="expected NAME=VALUE"):
        read_arguments(["k"])


def test_colors_that_cannot_become_gray_are_named(tmp_path: Path) -> None:
    _images(tmp_path / "v")
    Image.new("LAB", (8, 8)).save(tmp_path / "v" / "a" / "0.png", format="TIFF")
    with pytest.raises(DataError, match=r"v/a/0\.png: the mode LAB cannot be converted to L"):
        FolderSplit(tmp_path / "v", ("a", "b"), InputSpec(1, (8, 8))).read(np.array([0]))
