"""The pages of an atlas: everything is there, nothing is fetched, one script of a known hash; bad input is told."""

import base64
import errno
import hashlib
import os
import re
from dataclasses import replace

import numpy as np
import pandas
import pytest
import torch
from PIL import Image
from torch import nn

from cnnaudit.activation import Box
from cnnaudit.cli import main
from cnnaudit.core.errors import AuditError, ModelError
from cnnaudit.pages.atlas import Exemplars, LayerAtlas, Optima, Plan, Settings, chosen
from cnnaudit.pages.atlas.comparisons import over_diversity, over_interaction, over_steps
from cnnaudit.pages.atlas.files import Options, write_atlas
from cnnaudit.pages.atlas.goals import goals_of
from cnnaudit.pages.atlas.page import page
from cnnaudit.pages.atlas.pictures import FRAME, THUMB, patch, published
from cnnaudit.target import AuditTarget

CLASSES = ("a<b>", "tench", "c")


def network(channels: int = 1) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(channels, 5, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3)
        )
    with torch.no_grad():
        net[0].bias += 1
        net[0].bias[2] = -100
    return net.eval()


def target(model=None):
    images = torch.rand(12, 1, 20, 20, generator=torch.Generator().manual_seed(1))
    split = {"validation": (images, torch.arange(12) % 3)}
    return AuditTarget.from_arrays("net", model or network(), split, CLASSES)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    write_atlas(target(), Options(("0", "1"), units="all", steps=6, output=folder))
    return folder / "net" / "atlas"


def test_every_layer_has_a_page_and_grids(written):
    names = {path.name for path in written.iterdir() if path.is_file()}
    assert names == {"0.html", "1.html", "0-maximum.png", "0-minimum.png", "1-maximum.png"}
    assert Image.open(written / "1-maximum.png").width > 2 * 80  # four units in two columns


def test_the_page_shows_the_units_and_lists_the_dead_one(written):
    html = (written / "1.html").read_text()
    numbers = [int(n) for n in re.findall(r'data-number="(\d+)"', html)]
    assert sorted(numbers) == [0, 1, 3, 4] and "unit 2: 0 on the image" in html
    ratios = [float(r) for r in re.findall(r'data-ratio="([^"]*)"', html)]
    assert ratios == sorted(ratios, reverse=True)
    assert "never falls below 0" in html and "name 0 with --layers" in html and "Least activation" not in html
    before = (written / "0.html").read_text()
    assert before.count("Least activation") == 5 and '<a href="1.html">' in before
    assert html.count("data:image/") == 2 * 4


def test_the_page_fetches_nothing_and_allows_only_its_own_script(written):
    html = (written / "0.html").read_text()
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.S)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert "://" not in html and 'id="controls" hidden' in html
    assert "a&lt;b&gt;" in html and "a<b>" not in html


def test_other_pages_allow_no_script():
    from cnnaudit.pages.document import document

    assert "script-src" not in document("t", "l", [])


def test_a_layer_of_768_units_in_color_stays_below_25_mb():
    """By a third of them, filled with noise, which compresses worst of all."""
    rng, units, small = np.random.default_rng(0), 257, torch.rand(4, 3, 48, 48)
    optima = Optima(
        np.arange(units),
        rng.integers(0, 256, (units, 3, 128, 128), dtype=np.uint8),
        np.zeros(units),
        np.ones(units),
        np.full(units, "steps"),
        np.full(units, 9),
        np.full(units, "noise"),
    )
    places = np.zeros((units, 4), dtype=int)
    where = np.zeros((units, 4, 2), dtype=int)
    natural = Exemplars(
        places + 0.5, places + np.arange(4), where, places - 0.5, places, where, np.array([8, 8]), np.array(4)
    )
    color = AuditTarget.from_arrays("n", network(3), {"validation": (small, [0, 1, 2, 0])}, CLASSES)
    found = LayerAtlas(
        "0", tuple(range(units)), units, natural, "validation", np.arange(4), optima, optima, None, None, ""
    )
    html = page(color, Plan(("0",), Settings((3, 128, 128))), found)
    assert html.count("<article") == units and len(html) * 768 / 257 < 25e6, len(html)


def test_a_patch_frames_what_the_unit_sees():
    gray = np.full((1, 200, 200), 100, dtype=np.uint8)
    framed = np.asarray(patch(gray, Box(80, 100, 120, 140)))  # 40 pixels in a window of 64
    assert framed.shape == (THUMB, THUMB, 3)
    rows, columns = np.nonzero((framed == FRAME).all(2))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (12, 51, 12, 51)
    corner = np.asarray(patch(gray, Box(0, 0, 40, 40)))
    assert (corner[0, 0] == FRAME).all()  # the window does not leave the image
    assert not (np.asarray(patch(gray, None)) == FRAME).all(2).any()
    whole = np.asarray(patch(gray[:, :28, :20], Box(0, 0, 28, 20)))
    assert (whole[:, 0] == 128).all()  # beside an upright image


def test_snapshots_of_a_training_are_a_strip_and_an_animation(tmp_path):
    for name, seed in (("epoch1", 1), ("epoch2", 2)):
        torch.manual_seed(seed)
        torch.save(nn.Sequential(nn.Conv2d(1, 5, 5), *list(network())[1:]).state_dict(), tmp_path / f"{name}.pt")
    files = (tmp_path / "epoch1.pt", tmp_path / "epoch2.pt")
    options = Options(("0",), units=2, steps=4, output=tmp_path, checkpoints=files)
    paths = {path.name: path for path in write_atlas(target(), options)}
    moving = Image.open(paths["0-training-animated.png"])
    assert (moving.n_frames, moving.is_animated) == (2, True)
    assert "epoch1, epoch2" in paths["0.html"].read_text()
    assert Image.open(paths["0-training.png"]).height > 2 * 80
    torch.save({"0.weight": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(ModelError, match="checkpoint other"):
        write_atlas(target(), Options(("0",), units=2, steps=4, output=tmp_path, checkpoints=(tmp_path / "other.pt",)))


def test_without_layers_they_are_listed():
    with pytest.raises(AuditError, match=r"0: 5 units, maps of 16 x 16"):
        write_atlas(target(), Options())


@pytest.mark.parametrize(
    "arguments",
    ["--units none", "--units 0", "--units -1", "--steps 0", "--batch-size 0", "--jobs 0", "--size -3", "--dtype fp8"],
)
def test_wrong_options_are_refused_by_name_with_status_4(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["atlas", "audit.toml", "--layers", "0", *arguments.split()])
    assert stop.value.code == 4
    assert f"argument {arguments.split()[0]}: " in capsys.readouterr().err


def test_the_command_needs_a_model_and_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["atlas", "--layers", "0"])
    assert stop.value.code == 4 and "AUDIT.TOML" in capsys.readouterr().err

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("cnnaudit.pages.atlas.files.write_atlas", stopped)
    monkeypatch.setattr("cnnaudit.checks.audit_file.load_target", lambda path: target())
    assert main(["atlas", "audit.toml", "--layers", "0", "--output", str(tmp_path)]) == 2
    assert "0 finished batches are in" in (said := capsys.readouterr().err) and "The same command continues" in said


def test_the_number_of_units_follows_the_measured_speed_and_is_kept(tmp_path, monkeypatch):
    told = []
    options = Options(("0",), steps=2, output=tmp_path)
    monkeypatch.setattr(chosen, "FEWEST", 2)
    monkeypatch.setattr(chosen, "seconds_per_image", lambda *_: chosen.PATIENCE / 7)  # two directions: 3.5 units
    write_atlas(target(), options, told.append)
    assert told == ["0: 2 of 5 units, about 6 minutes (--units all: about 14 minutes)"]
    monkeypatch.setattr(chosen, "seconds_per_image", lambda *_: pytest.fail("measured again"))
    (page,) = [path for path in write_atlas(target(), options, told.append) if path.suffix == ".html"]
    assert page.read_text().count("<article") == 2 and len(told) == 1
    monkeypatch.setattr(chosen, "seconds_per_image", lambda *_: 0.1)
    write_atlas(target(), Options(("0",), units="all", steps=2, output=tmp_path), told.append)
    assert told[1:] == ["0: 5 of 5 units, less than a minute"]


def test_a_size_that_only_the_layer_takes_is_drawn_and_one_that_it_rejects_is_told(tmp_path):
    fixed = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 18 * 18, 3)).eval()
    paths = write_atlas(target(fixed), Options(("0",), units=1, steps=2, size=40, output=tmp_path))
    assert Image.open(next(path for path in paths if path.name == "0-maximum.png")).width >= 80
    with pytest.raises(ModelError, match="choose another with --size"):
        write_atlas(target(fixed), Options(("0",), units=1, steps=2, size=2, output=tmp_path))


def test_a_full_disk_tells_which_batches_are_kept(tmp_path, monkeypatch, capsys):
    def full(path, *_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("cnnaudit.checks.audit_file.load_target", lambda path: target())
    monkeypatch.setattr("cnnaudit.pages.atlas.store.write_whole", full)
    assert main(["atlas", "audit.toml", "--layers", "0", "--output", str(tmp_path)]) == 4
    said = capsys.readouterr().err
    assert "No space left on device; 0 finished batches are in" in said and "Free some space" in said


def test_a_model_that_refuses_a_size_in_its_own_way_is_told_without_a_traceback(tmp_path):
    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = network()

        def forward(self, images):
            assert images.shape[-1] == 20, "20 pixels please"
            return self.body(images)

    options = Options(("body.0",), units=1, steps=2, recipe="garriga", output=tmp_path)  # a border of 16 pixels
    assert write_atlas(target(Fixed().eval()), options)
    with pytest.raises(ModelError, match=r"40 x 40 pixels at layer 'body.0': 20 pixels please"):
        write_atlas(target(Fixed().eval()), replace(options, size=40))


def test_units_that_only_an_image_of_the_data_starts_are_marked(tmp_path):
    net = network()
    with torch.no_grad():
        net[0].weight[2], net[0].bias[2] = 0.0, -0.3
        net[0].weight[2, 0, 2, 2] = 0.5  # a pixel above .6, which neither gray nor its noise of .02 has
    options = Options(("1",), units="all", steps=3, recipe="lees", output=tmp_path)
    (html,) = [path.read_text() for path in write_atlas(target(net), options) if path.suffix == ".html"]
    assert html.count("begun with the best image") == 1 and "1 unit could only be started by an image" in html


def test_grids_as_published_have_mean_one_half_and_deviation_one_tenth():
    pixels = np.random.default_rng(0).integers(90, 170, (1, 30, 30), dtype=np.uint8)
    shown = published(pixels, "lees") / 255
    assert shown.mean() == pytest.approx(0.5, abs=0.005) and shown.std() == pytest.approx(0.1, abs=0.005)
    assert np.array_equal(published(pixels, "default"), pixels)


def test_steps_families_and_dense_layers_have_their_pictures(tmp_path):
    options = Options(("0", "4"), 2, steps=4, output=tmp_path, strip=True, families=True, classes=True)
    paths = {path.name: path for path in write_atlas(target(), options)}
    assert {"0-steps.png", "0-families.png", "classes.html", "classes.csv", "4.html"} <= set(paths)
    html = paths["0.html"].read_text()
    assert "step 1, step 4" in html and "learned_prior" in html and "total_variation" in html
    frame = pandas.read_csv(paths["classes.csv"])
    assert list(frame["goal"]) == list(CLASSES)
    assert "a&lt;b&gt;" in paths["classes.html"].read_text() and "a<b>" not in paths["classes.html"].read_text()
    assert len(pandas.read_csv(paths["4.csv"])) == 2


def test_the_values_of_goals_are_the_models_answers():
    goals = goals_of(target(), None, None, Settings((1, 20, 20), steps=4))
    answers = target().logits(goals.found.images)
    assert goals.reached == pytest.approx(answers.diagonal().numpy(), abs=1e-5)
    assert goals.values == pytest.approx(target().logits(goals.images).numpy(), abs=1e-5)
    with pytest.raises(AuditError, match=r"the units 0\.\.2, got 7"):
        goals_of(target(), "4", [7], Settings((1, 20, 20), steps=4))


def test_diversity_interaction_and_what_layers_keep_of_an_image(tmp_path):
    options = Options(("0",), 2, steps=4, output=tmp_path, diversity=True, interaction=True, image="validation[3]")
    paths = {path.name: path for path in write_atlas(target(), options)}
    assert {"0-diversity.png", "0-interaction.png", "image.html"} <= set(paths)
    assert "image 1, image 2, image 3, image 4" in paths["0.html"].read_text()
    page = paths["image.html"].read_text()
    assert "labelled a&lt;b&gt;" in page and "error of the inversion" in page and "<script" not in page


def test_a_unit_with_itself_is_the_unit_alone_and_diverse_images_differ():
    settings = Settings((1, 20, 20), steps=16)
    together = over_interaction(network(), "0", [0, 3], settings)
    alone = over_steps(network(), "0", [0, 3], settings).optima[-1]
    assert together.optima[0].height[0] == pytest.approx(2 * alone.height[0], rel=0.05)
    different = over_diversity(network(), "0", [0], settings, images=3)
    images = np.stack([part.images[0] for part in different.optima]).astype(float)
    assert np.abs(images[0] - images[1]).mean() > 1
