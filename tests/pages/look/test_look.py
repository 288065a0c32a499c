"""The page of one image: everything is there or its absence is said; bad input is told."""

import os
import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cnnaudit.attribution.methods import METHODS
from cnnaudit.checks.readout import readout
from cnnaudit.cli import main
from cnnaudit.core.errors import AuditError, DataError
from cnnaudit.core.findings import Finding
from cnnaudit.data import digits
from cnnaudit.interventions import LayerError
from cnnaudit.pages.look import trust as look_trust
from cnnaudit.pages.look.page import Options, look, see
from cnnaudit.pages.look.pictures import attributions
from cnnaudit.report.model import Report
from cnnaudit.report.write import write_report
from cnnaudit.target import AuditTarget, InputSpec

DATA = digits("validation")
MODEL = readout(DATA.images, DATA.labels, 10)


def digit_target(model=MODEL, **settings):
    split = {"validation": (DATA.images, DATA.labels)}
    return AuditTarget.from_arrays("digits", model, split, classes=DATA.classes, **settings)


def color_target(**spec):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    images = torch.rand(4, 3, 24, 24)
    settings = InputSpec(channels=3, size=(24, 24), **spec)
    return AuditTarget.from_arrays("colors", model, {"train": (images, [0, 1, 0, 1])}, ("a", "b"), input=settings)


def page(target, image, tmp_path, **options):
    options = {"fidelity": False, "output": tmp_path / "look.html", "report": tmp_path / "reports", **options}
    return look(target, image, Options(**options)).read_text()


@pytest.fixture
def four(tmp_path):
    path = tmp_path / "four.png"
    index = int(np.nonzero(DATA.labels == 4)[0][0])
    Image.fromarray((DATA.images[index, 0] * 255).astype(np.uint8)).save(path)
    return path


def test_the_page_shows_the_answer_every_method_and_every_layer(four, tmp_path):
    text = page(digit_target(), four, tmp_path)
    assert "digits takes four.png for 4" in text and "What speaks for 4" in text
    for method in METHODS.values():
        assert method.title.replace("×", "&times;") in text or method.title in text
    for words in (
        "LIME: two classes compared",
        "probability lost",
        "The layers",
        "0 (conv2d)",
        "1 (relu)",
        "maps of 26 x 26",
    ):
        assert words in text
    assert "Single operations" in text and "max pooling" in text
    assert "was not measured" in text and "not measured</figcaption>" not in text
    assert "http://" not in text.replace("http://www.w3.org", "") and "<script" not in text


def test_a_class_and_layers_can_be_chosen(four, tmp_path):
    text = page(digit_target(), four, tmp_path, class_name="7", layers=("1",))
    assert "What speaks for 7" in text and "1 (relu)" in text and "0 (conv2d)" not in text
    with pytest.raises(AuditError, match=r"--class 'sevn'.*no such class"):
        page(digit_target(), four, tmp_path, class_name="sevn")
    with pytest.raises(LayerError, match="no layer 'conv1'"):
        page(digit_target(), four, tmp_path, layers=("conv1",))
    with pytest.raises(AuditError, match="'4' is not spatial"):
        page(digit_target(), four, tmp_path, layers=("4",))


@pytest.mark.parametrize(
    ("mode", "size", "spec", "words"),
    [
        ("RGB", (24, 24), {}, "in color. That is the size the model takes."),
        ("RGB", (60, 40), {}, "40 x 60 pixels (height x width), in color. It was resized to 24 x 24, as the audit"),
        ("RGB", (60, 40), {"resize": 30}, "Its shorter side was resized to 30 and the middle 24 x 24 kept"),
        ("L", (24, 24), {}, "gray. That is the size the model takes. The model takes color: each of the three"),
        ("I;16", (24, 24), {}, "The model takes color"),
    ],
)
def test_what_was_done_to_the_file_is_said(tmp_path, mode, size, spec, words):
    path = tmp_path / "x.png"
    Image.new(mode, size).save(path)
    seen = see(color_target(**spec), path)
    assert words in seen.story and seen.pixels.shape == (3, 24, 24)


def test_color_is_turned_to_gray_and_own_images_have_their_label(tmp_path):
    path = tmp_path / "x.png"
    Image.new("RGB", (28, 28), "red").save(path)
    seen = see(digit_target(), path)
    assert "The model takes gray: the colors were converted" in seen.story
    assert seen.pixels.unique().item() == pytest.approx(0.299, abs=0.01)
    own = see(digit_target(), "validation[7]")
    assert torch.equal(own.pixels, torch.from_numpy(DATA.images[7])) and f"labelled {DATA.labels[7]}" in own.story


def test_wrong_files_are_told(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    for name, words in (
        (tmp_path / "none.png", "there is no such file"),
        (tmp_path / "text.png", "no image that can be read"),
        (tmp_path, "there is no such file"),
        ("validation[99999]", r"has the images validation\[0\] to"),
        ("train[0]", "no 'train' split"),
    ):
        with pytest.raises(DataError, match=words):
            see(digit_target(), name)


class Constant(nn.Module):
    """The same logits whatever the image, by way of weights of zero."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.head = nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Linear(2, 10)
        nn.init.zeros_(self.head.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.relu(self.conv(x)).mean((2, 3)))


def test_attributions_of_zeros_are_said(four, tmp_path):
    gallery = attributions(digit_target(Constant()), torch.from_numpy(DATA.images[0]), 3, 0)
    assert set(gallery.maps) == {"edges"}
    assert gallery.missing["gradient"].startswith("zero everywhere: the class's score does not depend on this image")
    text = page(digit_target(Constant()), four, tmp_path)
    assert "zero everywhere" in text and "Not drawn" in text


def test_a_method_that_breaks_does_not_take_the_others_with_it(monkeypatch):
    import dataclasses

    def broken(*_):
        raise RuntimeError("no such\noperator")

    gradient = METHODS["gradient"]
    some = {"gradient": dataclasses.replace(gradient, compute=broken), "edges": METHODS["edges"]}
    monkeypatch.setattr("cnnaudit.attribution.methods.METHODS", some)
    gallery = attributions(digit_target(), torch.from_numpy(DATA.images[0]), 3, 0)
    assert gallery.missing == {"gradient": "it broke on this model: RuntimeError: no such operator"}
    assert set(gallery.maps) == {"edges"}


def test_maps_are_scaled_to_their_strongest_half_percent():
    gallery = attributions(digit_target(), torch.from_numpy(DATA.images[0]), 3, 0)
    for name, values in gallery.maps.items():
        assert values.min() >= -METHODS[name].signed and np.abs(values).max() == 1, name
        assert (np.abs(values) == 1).mean() + 1 / values.size >= 0.005, name


class ForAndAgainst(nn.Module):
    """The first class gains by the upper left square, and loses twice as much by the lower right one."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        score = x[:, 0, 4:8, 4:8].sum((1, 2)) - 2 * x[:, 0, 20:24, 20:24].sum((1, 2))
        return torch.stack([score, *[0 * score] * 9], 1)


def test_what_speaks_against_the_class_has_the_other_color(monkeypatch):
    from cnnaudit.pages.look import pictures as look_pictures
    from cnnaudit.pages.look.trust import Trust

    image = torch.ones(1, 28, 28)
    gallery = attributions(digit_target(ForAndAgainst()), image, 0, 0)
    for name in ("occlusion", "gradient_times_input", "integrated_gradients"):
        values = gallery.maps[name]
        assert values[5, 5] == pytest.approx(0.5, abs=1e-6) and values[21, 21] == -1 and values[14, 14] == 0, name
    drawn = {}
    monkeypatch.setattr(look_pictures, "images", lambda _, pictures, names: drawn.update(zip(names, pictures)))
    look_pictures.side_by_side(image, gallery, Trust((), ""))
    red, _, blue = drawn["Occlusion"][:, [5, 21, 14], [5, 21, 14]]
    assert red[0] > blue[0] and red[1] < blue[1]  # orange for the class, purple against it
    assert np.ptp(drawn["Occlusion"][:, 14, 14]) < 0.02  # and no color where it does not count


def test_a_model_without_relu_or_inside_has_its_reasons(four, tmp_path):
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))
    text = page(digit_target(model), four, tmp_path)
    assert re.search(r"Deconvnet</td><td>not applicable:", text)
    scripted = torch.jit.trace(MODEL, torch.rand(1, 1, 28, 28))
    text = page(digit_target(scripted, inside=False, inside_reason="TorchScript hides its calls"), four, tmp_path)
    assert "Not shown: TorchScript hides its calls" in text and "Occlusion" in text


def reported(target, folder, findings):
    write_report(Report({"name": target.name}, {"time": "2026-01-01"}, tuple(findings)), folder / target.name)


def finding(part, verdict, **details):
    check = f"fidelity.{part}"
    number = {} if verdict == "not_applicable" else {"statistic": 0.98, "tolerance": 0.5, "direction": "at_most"}
    return Finding(check, "digits", verdict, "Said so.", unit="share of rank similarity", **number, **details)


def test_verdicts_come_from_a_report_that_is_newer_than_the_audit_file(tmp_path):
    source = tmp_path / "audit.toml"
    source.write_text("")
    target = digit_target(source=str(source))
    reported(
        target,
        tmp_path,
        [
            finding("randomization[deconvnet]", "fail", expected="as published"),
            finding("deletion[deconvnet]", "pass"),
            finding("deconvnet[evidence]", "inconclusive"),
            finding("randomization[cam]", "not_applicable"),
            finding("integrity", "pass"),
        ],
    )
    found = look_trust.trust(target, tmp_path, measure=False)
    assert "report.json" in found.source
    assert found.words("deconvnet") == ("FAILS randomization (expected); undecided on evidence; passes deletion")
    assert found.words("cam") == "not judged by randomization" and found.words("gradient") == "not measured"
    assert found.general() == ["Said so."]
    (table,) = found.table({"deconvnet": "Deconvnet", "cam": "CAM"})
    assert table["columns"] == [
        "method",
        "evidence (at most 50%)",
        "deletion (at most 50%)",
        "randomization (at most 50%)",
    ]
    assert table["rows"] == [
        ["Deconvnet", "inconclusive, 98%", "pass, 98%", "fail, 98%"],
        ["CAM", "", "", "not applicable"],
    ]
    os.utime(source, (2e9, 2e9))
    assert not look_trust.trust(target, tmp_path, measure=False).findings


def test_verdicts_stand_under_the_pictures(four, tmp_path):
    target = digit_target()
    reported(target, tmp_path / "reports", [finding("randomization[gradient]", "fail")])
    text = page(target, four, tmp_path)
    assert "Gradient: FAILS randomization</figcaption>" in text and "SmoothGrad: not measured" in text


def test_without_a_report_the_checks_are_asked_and_a_crash_is_said(tmp_path, monkeypatch):
    import cnnaudit.checks

    def crash(target, select):
        assert select == ("fidelity.*",)
        raise cnnaudit.checks.AuditCrashError({"fidelity.lime": ValueError()}, [finding("deletion[cam]", "pass")])

    monkeypatch.setattr(cnnaudit.checks, "audit", crash)
    monkeypatch.setattr(cnnaudit.checks, "catalogue", lambda: {"fidelity.lime": None})
    found = look_trust.trust(digit_target(), tmp_path)
    assert found.words("cam") == "passes deletion" and "Crashed, and so not measured: fidelity.lime" in found.source
    monkeypatch.setattr(cnnaudit.checks, "catalogue", dict)
    assert "there are no fidelity checks" in look_trust.trust(digit_target(), tmp_path).source


def test_the_command_writes_the_page_or_says_what_is_missing(capsys, tmp_path, four):
    with pytest.raises(SystemExit) as stop:
        main(["look", str(four)])
    assert stop.value.code == 4 and "--audit-config" in capsys.readouterr().err
    config = "fixtures/targets/digits-lenet.toml"
    with pytest.raises(SystemExit) as stop:
        main(["look", "none.png", "--audit-config", config])
    assert stop.value.code == 4 and "argument IMAGE: expected an image file" in capsys.readouterr().err
    options = ["--audit-config", config, "--no-fidelity", "--report", str(tmp_path), "--layers", "relu1"]
    assert main(["look", str(four), *options]) == 0
    assert capsys.readouterr().out == f"wrote {tmp_path / 'digits-lenet' / 'look-four.html'}\n"
    assert "seen by digits-lenet" in (tmp_path / "digits-lenet" / "look-four.html").read_text()
