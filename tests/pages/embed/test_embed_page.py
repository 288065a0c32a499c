"""The page of embeddings: what it holds, what it escapes, and what it refuses before any work."""

import base64
import json
import re

import numpy as np
import pandas
import pytest
import torch
from PIL import Image

from cnnaudit.cli import main
from cnnaudit.core.errors import DataError, ModelError
from cnnaudit.interventions import LayerError
from cnnaudit.models import lenet
from cnnaudit.pages.embed.files import write_embedding
from cnnaudit.pages.embed.maps import Options, maps_of
from cnnaudit.pages.embed.packed import packed, squared
from cnnaudit.target import AuditTarget

RNG = np.random.default_rng(0)
CLASSES = ("one", "</script><img src=x>", "$three$")
FEW = Options(methods=("tsne", "pca"), perplexity=5, iterations=250)


def target(n=36, model=None):
    images = RNG.random((n, 1, 28, 28), dtype=np.float32)
    data = {"validation": (images, np.arange(n) % 3)}
    torch.manual_seed(0)
    return AuditTarget.from_arrays("t <b>", model or lenet((2, 3), hidden=4, classes=3).eval(), data, CLASSES)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embed")
    files = []
    for name in ("start", "end"):
        files.append(folder / f"{name}.pt")
        torch.save(lenet((2, 3), hidden=4, classes=3).state_dict(), files[-1])
    options = Options(methods=("tsne", "pca"), perplexity=5, iterations=250, checkpoints=tuple(files))
    return {path.name: path for path in write_embedding(target(), options, folder)}


def test_one_page_holds_data_script_and_images_and_nothing_from_outside(written):
    html = written["index.html"].read_text()
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)[1])
    assert data["classes"] == list(CLASSES) and data["frames"] == ["start", "end"] and data["n"] == 36
    assert [panel["layer"] for panel in data["panels"]] == ["relu1", "hidden_relu"]
    assert [one["title"] for one in data["panels"][0]["maps"]] == ["t-SNE", "principal axes"]
    assert html.count("<script") == 2 and "<img src=x" not in html and "<b>" not in html
    assert not re.search(r"(?:src|href)=.?https?:", html) and "default-src 'none'" in html


def test_the_table_and_the_animation_hold_every_moment(written):
    frame = pandas.read_csv(written["maps.csv"])
    assert len(frame) == 36 * 2 * 2 * 2 and set(frame["moment"]) == {"start", "end"}
    assert set(frame["class"]) == set(CLASSES) and np.isfinite(frame[["x", "y"]]).all(axis=None)
    with Image.open(written["training.gif"]) as animation:
        assert animation.n_frames == 7 and animation.format == "GIF"


def test_places_and_images_come_back_from_the_packed_data():
    found, images = maps_of(target(), FEW)
    data = packed(found, images)
    assert np.array_equal(np.frombuffer(base64.b64decode(data["labels"]), "<u2"), found.labels)
    near = np.frombuffer(base64.b64decode(data["panels"][1]["near"][0]), "<u2").reshape(36, data["k"])
    assert np.array_equal(near, found.neighbors["hidden_relu"][0]) and not (near == np.arange(36)[:, None]).any()
    import io

    sheet = Image.open(io.BytesIO(base64.b64decode(data["sprite"].split(",")[1])))
    left, top = 7 % data["columns"] * 28, 7 // data["columns"] * 28
    cut = np.asarray(sheet.crop((left, top, left + 28, top + 28)), dtype=float) / 255
    assert np.abs(cut - images[7, 0].numpy()).max() <= 0.5 / 255 + 1e-6


def test_all_frames_share_one_scale():
    near, far = np.array([[0.0, 0], [1, 1]]), np.array([[0.0, 0], [10, 10]])
    first, second = (frame.astype(int) for frame in squared((near, far)))
    assert np.ptp(second[:, 0]) == pytest.approx(10 * np.ptp(first[:, 0]), rel=1e-3)


def test_bad_input_is_refused_with_what_to_do():
    with pytest.raises(LayerError, match="hidden"):
        maps_of(target(), Options(layers=("hiden",), perplexity=5))
    with pytest.raises(DataError, match=r"gives 9 images, perplexity 30 needs 31: raise --images, lower --perplexity"):
        maps_of(target(9), Options())
    with pytest.raises(DataError, match="gives 1 image, a map needs 4"):
        maps_of(target(1), Options(methods=("pca",)))
    with pytest.raises(DataError, match="20,000 images at most"):
        maps_of(target(), Options(images=20_001))


def test_weights_of_another_model_are_refused(tmp_path):
    torch.save(lenet((5, 3), hidden=4, classes=3).state_dict(), tmp_path / "other.pt")
    with pytest.raises(ModelError, match=r"other\.pt"):
        maps_of(target(), Options(perplexity=5, iterations=250, checkpoints=(tmp_path / "other.pt",)))


def test_the_command_refuses_an_unknown_method(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["embed", "audit.toml", "--methods", "isomap"])
    assert stopped.value.code == 4 and "isomap" in capsys.readouterr().err
