"""Audit files: what a good one becomes, and what is said about a bad one."""

from __future__ import annotations

import datetime
import subprocess
import sys
from pathlib import Path

import pytest

from cnnaudit.checks.audit_file import load_target, read
from cnnaudit.core.errors import ConfigError, DataError, ModelError
from cnnaudit.target import Claims, InputSpec
from cnnaudit.target.config import PLACEHOLDER

IDS = ("dataset.leakage", "padding.blind_spot", "padding.border_maximum", "behavior.invariance")
MODEL = "[model]\nname = 'demo'\nsource = 'nets:build'\n"
INPUT = "[input]\nchannels = 1\nsize = [4, 6]\n"
DATA = "[data]\nvalidation = 'nets:data'\nclasses = ['a', 'b']\n"
GOOD = MODEL + INPUT + DATA
NETS = """
import torch

def build(classes=2):
    return torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.Flatten(), torch.nn.Linear(3 * 2 * 4, classes))

def data(n=8):
    return torch.rand(n, 1, 4, 6), torch.arange(n) % 2
"""


@pytest.fixture(autouse=True)
def catalogue(monkeypatch):
    monkeypatch.setattr("cnnaudit.checks.catalogue", lambda: dict.fromkeys(IDS))


@pytest.fixture
def write(tmp_path):
    (tmp_path / "nets.py").write_text(NETS)

    def write(text: str) -> Path:
        (tmp_path / "audit.toml").write_text(text)
        return tmp_path / "audit.toml"

    return write


def problems(path: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        read(path)
    assert caught.value.source == str(path)
    return caught.value.problems


def test_every_key_is_read(write, tmp_path):
    (tmp_path / "w.safetensors").touch()
    (tmp_path / "meta.csv").touch()
    for name in ("cat", "dog", "ant"):
        (tmp_path / "images" / name).mkdir(parents=True)
    file = read(
        write(
            """
            [model]
            name = "tumour-v7"
            source = "hospital.models:build"
            arguments = { num_classes = 3 }
            weights = "w.safetensors"
            outputs = "probabilities"
            device = "cuda:1"
            batch_size = 8
            trusted = true
            [input]
            channels = 3
            size = 224
            resize = 256
            interpolation = "bicubic"
            order = "BGR"
            scale = 255
            mean = [1, 2.5, 3]
            std = 0.5
            [data]
            train = "images"
            classes = ["dog", "cat", "ant"]
            class_indices = [7, 0, 3]
            metadata = "meta.csv"
            [data.validation]
            source = "hospital.data:validation"
            arguments = { year = 2024 }
            [claims]
            accuracy = 0.93
            rotation_degrees = 15
            translation_pixels = 2
            scale = 1.5
            noise = 0.05
            polarity = true
            [checks]
            ignore = ["padding.*"]
            [checks."dataset.leakage"]
            tolerance = 0.02
            gate = false
            [[expected]]
            check = "behavior.invariance[rotation]"
            reason = "as delivered"
            until = 2027-06-30
            [[expected]]
            check = "dataset.leakage"
            reason = "same patient, two visits"
            until = "2027-07-01"
            """
        )
    )
    model = file.model
    assert file.name == model.name == "tumour-v7"
    assert (model.source, model.arguments, model.weights) == (
        "hospital.models:build",
        {"num_classes": 3},
        tmp_path / "w.safetensors",
    )
    assert (model.outputs, model.device, model.batch_size, model.trusted) == ("probabilities", "cuda:1", 8, True)
    assert model.class_indices == (7, 0, 3)
    assert file.input == InputSpec(3, (224, 224), 256, "bicubic", "BGR", 255.0, (1.0, 2.5, 3.0), (0.5,))
    assert file.splits["train"].source == tmp_path / "images"
    assert file.splits["validation"].source == "hospital.data:validation"
    assert file.splits["validation"].arguments == {"year": 2024}
    assert (file.classes, file.metadata) == (("dog", "cat", "ant"), tmp_path / "meta.csv")
    assert file.claims == Claims(0.93, 15, 2, 1.5, 0.05, True)
    assert (file.ignore, file.overrides) == (("padding.*",), {"dataset.leakage": {"tolerance": 0.02, "gate": False}})
    assert [entry.until for entry in file.expected] == [datetime.date(2027, 6, 30), datetime.date(2027, 7, 1)]
    assert file.expected[0].check == "behavior.invariance[rotation]" and file.expected[0].reason == "as delivered"


def test_what_may_be_left_out_has_its_default(write):
    file = read(write(GOOD))
    assert (file.model.outputs, file.model.device, file.model.batch_size, file.model.trusted) == (
        "logits",
        "auto",
        64,
        False,
    )
    assert file.input == InputSpec(channels=1, size=(4, 6))
    assert file.claims == Claims() and not file.expected and not file.ignore and not file.overrides


def test_classes_are_the_folder_names_in_order(write, tmp_path):
    for name in ("b", "a", ".hidden"):
        (tmp_path / "images" / name).mkdir(parents=True)
    assert read(write(MODEL + INPUT + "[data]\ntrain = 'images'\n")).classes == ("a", "b")


# The text to replace in GOOD, its replacement, and what the problem must say.
BAD = [
    ("name = 'demo'", "", ["model.name: missing", "letters, digits"]),
    ("name = 'demo'", "name = 'a/b'", ["model.name = 'a/b'", "letters, digits"]),
    ("name = 'demo'", "name = '..'", ["model.name = '..'"]),
    ("name = 'demo'", "name = 7", ["model.name = 7"]),
    ("name = 'demo'", "nmae = 'demo'", ["model.nmae: unknown key; did you mean 'name'?"]),
    ("source = 'nets:build'", "source = 'nets'", ["model.source = 'nets'", "torchvision:NAME", ".onnx"]),
    ("source = 'nets:build'", "source = 'gone.onnx'", ["model.source = 'gone.onnx': no such file", "gone.onnx)"]),
    ("source = 'nets:build'", "source = 'nets:build'\nweights = 'x.csv'", ["model.weights = 'x.csv'", ".safetensors"]),
    ("source = 'nets:build'", "source = 'nets:build'\nweights = 'x.pt'", ["model.weights = 'x.pt': no such file"]),
    ("source = 'nets:build'", "source = 'nets:build'\narguments = 3", ["model.arguments = 3", "a table"]),
    (
        "source = 'nets:build'",
        "source = 'nets:build'\noutputs = 'scores'",
        ["'logits', 'probabilities', 'binary', 'sigmoid'"],
    ),
    ("source = 'nets:build'", "source = 'nets:build'\ndevice = 'gpu'", ["model.device = 'gpu'", "'cuda:0'"]),
    ("source = 'nets:build'", "source = 'nets:build'\nbatch_size = 0", ["model.batch_size = 0", "at least 1"]),
    ("source = 'nets:build'", "source = 'nets:build'\nbatch_size = true", ["model.batch_size = True"]),
    ("source = 'nets:build'", "source = 'nets:build'\ntrusted = 'yes'", ["model.trusted = 'yes'", "true or false"]),
    ("[model]", "[modle]", ["modle: unknown table; did you mean 'model'?", "model.name: missing"]),
    ("channels = 1", "channels = 65", ["input.channels = 65: expected 1 or 3"]),
    ("size = [4, 6]", "", ["input.size: missing", "[height, width]"]),
    ("size = [4, 6]", "size = [4, 6, 1]", ["input.size = [4, 6, 1]"]),
    ("size = [4, 6]", "size = [4, 6]\nresize = 3", ["input.resize = 3: a crop of input.size = [4, 6] does not fit"]),
    ("size = [4, 6]", "size = [4, 6]\ninterpolation = 'area'", ["input.interpolation = 'area'", "'bicubic'"]),
    ("size = [4, 6]", "size = [4, 6]\norder = 'BGR'", ["input.order = 'BGR'", "three channels"]),
    ("size = [4, 6]", "size = [4, 6]\nscale = 0", ["input.scale = 0", "1 or 255"]),
    ("size = [4, 6]", "size = [4, 6]\nmean = [1, 2, 3]", ["input.mean = [1.0, 2.0, 3.0]", "1, one per channel"]),
    ("size = [4, 6]", "size = [4, 6]\nmean = nan", ["input.mean = nan"]),
    ("size = [4, 6]", "size = [4, 6]\nstd = 0", ["input.std = 0", "above 0"]),
    ("validation = 'nets:data'", "", ["data.validation: missing, and so is data.train", "module:callable"]),
    ("validation = 'nets:data'", "validation = 'images'", ["data.validation = 'images': no such folder"]),
    ("validation = 'nets:data'", "validation = 3", ["data.validation = 3", "a table of source and arguments"]),
    ("validation = 'nets:data'", "validation = { sorce = 'a:b' }", ["data.validation = {'sorce': 'a:b'}"]),
    ("validation = 'nets:data'", "validation = { source = 'x', arguments = { a = 1 } }", ["data.validation = {"]),
    ("classes = ['a', 'b']", "", ["data.classes: missing", "in the order of the logits"]),
    ("classes = ['a', 'b']", "classes = ['a']", ["data.classes = ['a']", "at least two"]),
    ("classes = ['a', 'b']", "classes = ['a', 'a']", ["data.classes = ['a', 'a']", "different"]),
    (
        "classes = ['a', 'b']",
        "classes = ['a', 'b']\nclass_indices = [4]",
        ["data.class_indices: one number picks"],
    ),
    (
        "classes = ['a', 'b']",
        "classes = ['a', 'b']\nclass_indices = [4, 1, 0]",
        ["data.class_indices: expected one number for each of 2 classes, got 3"],
    ),
    ("classes = ['a', 'b']", "classes = ['a', 'b']\nmetadata = 'm.csv'", ["data.metadata = 'm.csv': no such file"]),
    ("[data]", "[claims]\naccuracy = 93\n[data]", ["claims.accuracy = 93: expected a number in (0, 1]"]),
    ("[data]", "[claims]\nindependent_of = ['colour']\n[data]", ["claims.independent_of", "did you mean 'color'?"]),
    ("[data]", "[claims]\nrotation = 9\n[data]", ["claims.rotation: unknown key; did you mean 'rotation_degrees'?"]),
    ("[data]", "[claims]\nscale = 1\n[data]", ["claims.scale = 1", "above 1"]),
    ("[data]", "[claims]\nnoise = 7\n[data]", ["claims.noise = 7", "standard deviation in (0, 1]"]),
    ("[data]", "[claims]\ntranslation_pixels = 1.5\n[data]", ["claims.translation_pixels = 1.5", "whole number"]),
    ("[data]", "[claims]\ncalibrated = 0\n[data]", ["claims.calibrated = 0", "a number in (0, 1]"]),
    ("[data]", "[claims]\ncorruption_accuracy = 60\n[data]", ["claims.corruption_accuracy = 60", "in (0, 1]"]),
    ("[data]", "[claims]\npipeline_changes = true\n[data]", ["claims.pipeline_changes = True", "in (0, 1]"]),
    ("[data]", "[checks]\nignore = 'x'\n[data]", ["checks.ignore = 'x'", "a list of patterns"]),
    (
        "[data]",
        "[checks]\nignore = ['paddin.*']\n[data]",
        ["checks.ignore: no check matches 'paddin.*'", "did you mean"],
    ),
    (
        "[data]",
        "[checks.'padding.blindspot']\ngate = true\n[data]",
        ["checks.\"padding.blindspot\": no such check; did you mean 'padding.blind_spot'?"],
    ),
    (
        "[data]",
        "[checks.padding.blind_spot]\ngate = true\n[data]",
        ['needs quotes, [checks."padding.blind_spot"]'],
    ),
    ("[data]", "[checks.'padding.blind_spot']\ngate = 1\n[data]", ['checks."padding.blind_spot".gate = 1']),
    ("[data]", "[checks.'padding.blind_spot']\ntolerence = 1\n[data]", ["did you mean 'tolerance'?"]),
    (
        "[data]",
        "[[expected]]\ncheck = 'dataset.leekage'\nreason = 'known'\n[data]",
        ["expected, entry 1.check = 'dataset.leekage': no such check; did you mean 'dataset.leakage'?"],
    ),
    ("[data]", "[[expected]]\ncheck = 'dataset.leakage'\n[data]", ["expected, entry 1.reason: missing"]),
    ("[data]", "[[expected]]\ncheck = 'dataset.leakage'\nreason = ' '\n[data]", ["expected, entry 1.reason = ' '"]),
    (
        "[data]",
        f"[[expected]]\ncheck = 'dataset.leakage'\nreason = '{PLACEHOLDER}'\n[data]",
        ["expected, entry 1.reason (dataset.leakage): still asks for its reason"],
    ),
    (
        "[data]",
        "[[expected]]\ncheck = 'dataset.leakage'\nreason = 'known'\nuntil = 'summer'\n[data]",
        ["expected, entry 1.until = 'summer'", "a date such as 2027-06-30"],
    ),
    ("[data]", "[expected]\ncheck = 'dataset.leakage'\n[data]", ["expected tables [[expected]]"]),
]


@pytest.mark.parametrize(("old", "new", "said"), BAD, ids=range(len(BAD)))
def test_a_bad_key_is_named_with_its_value_and_what_is_accepted(write, old, new, said):
    assert old in GOOD
    found = problems(write(GOOD.replace(old, new)))
    assert len(found) == 1 or "modle" in new or "nmae" in new, found
    for part in said:
        assert any(part in problem for problem in found), found


def test_all_problems_are_listed_at_once(write):
    text = "[model]\nsource = 'x'\nbach_size = 3\n[input]\nsize = 0\n[data]\nclasses = []\n[claim]\nx = 1\n"
    found = problems(write(text))
    for start in (
        "claim: unknown",
        "model.bach_size",
        "model.name",
        "model.source",
        "input.size",
        "data.classes",
        "data.validation",
    ):
        assert sum(problem.startswith(start) for problem in found) == 1, (start, found)
    assert len(found) == 7


def test_a_file_that_is_missing_or_no_toml_is_said_to_be_so(write, tmp_path):
    assert "no such file" in problems(tmp_path / "gone.toml")[0]
    assert "line 2, column 8" in problems(write("[model]\nname = = 3\n"))[0]
    (tmp_path / "latin.toml").write_bytes(b"[model]\nname = '\xe9'\n")
    assert "not UTF-8" in problems(tmp_path / "latin.toml")[0]
    assert "cannot be read" in problems(tmp_path)[0]


def test_weights_beside_a_file_that_holds_its_own_are_refused(write, tmp_path):
    (tmp_path / "m.onnx").touch()
    (tmp_path / "w.pt").touch()
    text = GOOD.replace("nets:build'", "m.onnx'\nweights = 'w.pt'\narguments = { k = 3 }")
    said = "m.onnx holds its own; leave them out"
    assert problems(write(text)) == (f"model.arguments: {said}", f"model.weights: {said}")


def test_reading_imports_no_torch_and_no_module_of_the_user(write):
    path = write(GOOD)
    code = f"import sys; from cnnaudit.checks.audit_file import read; read({str(path)!r})"
    code += "; print({'torch', 'nets'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


# loading


def test_a_target_is_loaded_from_its_own_folder(write):
    path = write(GOOD + "[claims]\npolarity = true\n[checks]\nignore = ['padding.*']\n")
    target = load_target(path)
    assert (target.name, target.classes, target.source) == ("demo", ("a", "b"), str(path))
    assert target.claims.polarity and target.ignore == ("padding.*",) and target.inside
    assert target.logits(target.sample("validation")[0]).shape == (8, 2)
    assert not target.model.training
    assert [name for name, _ in target.model.named_modules()] == ["", "0", "1", "2"]


def test_errors_of_loading_name_the_file_and_the_key(write):
    with pytest.raises(
        ModelError, match=r"audit\.toml: model\.source = 'nets:biuld': nets has no 'biuld'; did you mean 'build'"
    ):
        load_target(write(GOOD.replace("nets:build", "nets:biuld")))
    with pytest.raises(DataError, match=r"audit\.toml: data\.validation: nets:data\(k=3\) raised TypeError"):
        load_target(write(GOOD.replace("'nets:data'", "{ source = 'nets:data', arguments = { k = 3 } }")))


def test_two_folders_with_modules_of_one_name_do_not_mix(tmp_path):
    for number in (1, 2):
        folder = tmp_path / str(number)
        (folder / "package").mkdir(parents=True)
        (folder / "package" / "inner.py").write_text(f"NUMBER = {number}\n")  # a package without __init__.py
        (folder / "helper.py").write_text(f"NUMBER = {number}\n")
        nets = NETS + "\nimport helper\nfrom package.inner import NUMBER\nassert helper.NUMBER == NUMBER\n"
        nets += "def number():\n    return NUMBER\n"
        nets += f"def late():\n    import late_{number}\n    return late_{number}.NUMBER\n"
        (folder / f"late_{number}.py").write_text(f"NUMBER = {number}\n")
        (folder / "nets.py").write_text(nets)
        (folder / "audit.toml").write_text(GOOD)
    import importlib

    modules = []
    for number in (1, 2, 1):
        load_target(tmp_path / str(number) / "audit.toml")
        modules.append(importlib.import_module("nets"))
        assert modules[-1].number() == number
    assert [module.number() for module in modules] == [1, 2, 1]
    assert [module.late() for module in modules] == [1, 2, 1]  # a folder stays importable after another was loaded


def test_a_module_that_python_already_holds_under_that_name_is_not_taken_for_the_users(write, tmp_path):
    (tmp_path / "json.py").write_text(NETS)
    with pytest.raises(ModelError, match=r"already holds another module 'json'.*rename"):
        load_target(write(GOOD.replace("nets:build", "json:build")))
