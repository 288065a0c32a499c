"""The reference models: intact, as accurate as recorded, and with the properties the thesis reports."""

from __future__ import annotations

import functools
import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from cnnaudit.training import fixtures

FIXTURES = Path(__file__).parents[1] / "fixtures"
MANIFEST = json.loads((FIXTURES / "manifest.json").read_text(encoding="utf-8"))
NAMES = sorted(path.stem for path in (FIXTURES / "targets").glob("*.toml"))
TABLE_I = {"1.3-scaling": (16, 0.999), "2.1-rotation": (16, 0.642), "3.0-scaling-noise": (109, 0.930)}
TABLE_I["4.0-rotation-noise"] = (333, 0.988)


@functools.cache
def _target(name: str) -> dict[str, Any]:
    return tomllib.loads((FIXTURES / "targets" / f"{name}.toml").read_text(encoding="utf-8"))


@functools.cache
def _data(name: str, split: str) -> Any:
    """Twins share their data."""
    return fixtures.build(_target(name.removesuffix("-replicate"))["data"][split])


def _weights(name: str) -> Path:
    return FIXTURES / "targets" / _target(name)["model"]["weights"]


def _model(name: str) -> torch.nn.Module:
    model = fixtures.build(_target(name)["model"])
    model.load_state_dict(load(_weights(name).read_bytes()))
    return model.eval()


def test_targets_weights_and_manifest_agree() -> None:
    assert len(NAMES) == 9
    assert {f"weights/{name}.safetensors" for name in NAMES} == set(MANIFEST)
    assert {path.name for path in (FIXTURES / "weights").iterdir()} == {f"{name}.safetensors" for name in NAMES}
    assert [_target(name)["model"]["name"] for name in NAMES] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_intact(name: str) -> None:
    content = _weights(name).read_bytes()
    entry = MANIFEST[f"weights/{name}.safetensors"]
    assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    assert len(content) < 200_000
    state = load(content)
    again = load(save(state))
    assert all(torch.equal(again[key], value) for key, value in state.items())
    assert sum(value.numel() for value in state.values()) == entry["parameters"]


@pytest.mark.parametrize("name", NAMES)
def test_manifest_tells_how_each_was_made(name: str) -> None:
    entry = MANIFEST[f"weights/{name}.safetensors"]
    assert entry["model"] == _target(name)["model"]["source"]
    assert entry["model_arguments"] == _target(name)["model"].get("arguments", {})
    assert entry["training"] == dict(fixtures.training_of(name))
    assert name in entry["command"]
    assert len(entry["seeds"]) >= 5
    chosen = next(outcome for outcome in entry["seeds"] if outcome["seed"] == entry["seed"])
    assert chosen["train_accuracy"] == max(outcome["train_accuracy"] for outcome in entry["seeds"])
    assert entry["dead_seeds"] == sum(outcome["dead"] for outcome in entry["seeds"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("split", ["train", "validation"])
def test_accuracy_is_as_recorded(name: str, split: str) -> None:
    accuracy, _ = fixtures.evaluate(_model(name), _data(name, split))
    # Another processor's rounding may tip an image or two that lie on a boundary.
    assert accuracy == pytest.approx(MANIFEST[f"weights/{name}.safetensors"][f"{split}_accuracy"], abs=5e-4)


@pytest.mark.parametrize("key", TABLE_I)
def test_reaches_table_one_with_its_number_of_parameters(key: str) -> None:
    parameters, accuracy = TABLE_I[key]
    entry = MANIFEST[f"weights/shapes-{key}.safetensors"]
    assert entry["parameters"] == parameters
    assert entry["validation_accuracy"] >= accuracy


@pytest.mark.parametrize("key", ["3.0-scaling-noise", "4.0-rotation-noise"])
def test_the_border_of_a_white_image_responds_to_zero_padding_only(key: str) -> None:
    white = torch.ones(1, 1, 28, 28)
    contrast = {}
    for twin in ("", "-replicate"):
        model = _model(f"shapes-{key}{twin}")
        with torch.inference_mode():
            response = model.relu(model.conv(white))[0, 0]
        interior = response[1:-1, 1:-1].max()
        contrast[twin] = float(response.max() - interior)
    assert contrast[""] > 0.5
    assert contrast["-replicate"] == pytest.approx(0, abs=1e-5)


def test_a_corner_is_active_on_nearly_every_white_image() -> None:
    """The thesis, section III B: the pixel (28, 28) is always activated for images with a white background."""
    data = _data("shapes-3.0-scaling-noise", "validation")
    white = torch.from_numpy(data.images[~data.polarity])
    model = _model("shapes-3.0-scaling-noise")
    with torch.inference_mode():
        rate = (model.relu(model.conv(white)) > 0)[:, 0].float().mean(dim=0)
    assert rate[[0, 0, -1, -1], [0, -1, 0, -1]].max() > 0.95
    assert rate[1:-1, 1:-1].max() < 0.5


def test_the_command_trains_records_and_repeats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fixtures, "SHAPES", {"epochs": 2, "batch_size": 10, "learning_rate": 0.01})
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "shapes-tiny.toml").write_text(
        """
        [model]
        source = "cnnaudit.models:minimum"
        [data]
        classes = ["circle", "square", "triangle"]
        train = { source = "cnnaudit.data:reference", arguments = { dataset = "2.1", n_per_class = 10 } }
        validation = { source = "cnnaudit.data:reference", arguments = { dataset = "2.1", n_per_class = 5, seed = 1 } }
        """
    )
    command = ["--fixtures", str(tmp_path), "--seeds", "2", "--jobs", "1"]
    written = []
    for _ in range(2):
        assert fixtures.main(command) == 0
        written.append(
            [(tmp_path / "weights/shapes-tiny.safetensors").read_bytes(), (tmp_path / "manifest.json").read_text()]
        )
    assert written[0] == written[1]
    entry = json.loads(written[0][1])["weights/shapes-tiny.safetensors"]
    assert [outcome["seed"] for outcome in entry["seeds"]] == [0, 1]


def test_an_unknown_name_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        fixtures.main(["shapes-9", "--fixtures", str(FIXTURES)])
    assert caught.value.code == 2
    assert "no target shapes-9" in capsys.readouterr().err
