"""The commands, from the outside."""

import argparse
import errno
import importlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnaudit import __version__, pages
from cnnaudit.checks import audit_file as config
from cnnaudit.checks import catalogue
from cnnaudit.cli import main
from cnnaudit.core.errors import AuditError
from cnnaudit.core.findings import Finding
from cnnaudit.report import Report, write_report
from cnnaudit.report.accept import accept
from cnnaudit.scaffold import look_at_folder, scaffold
from cnnaudit.target.config import PLACEHOLDER, ConfigError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A small folder of images per class; the working folder lies beside it."""
    rng = np.random.default_rng(0)
    for split in ("train", "validation"):
        for name in ("cat", "dog"):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for number in range(4):
                pixels = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "data" / split / name / f"{number}.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_checks_lists_the_catalogue_in_80_columns(capsys):
    assert main(["checks"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for id, check in catalogue().items():
        assert id in text
        assert check.question.split()[0] in text


def test_checks_explains_one(capsys):
    assert main(["checks", "padding.blind_spot"]) == 0
    text = capsys.readouterr().out
    assert "remedy" in text
    assert "position" in text


def test_an_unknown_check_names_the_nearest_and_exits_with_4(capsys):
    assert main(["checks", "padding.blindspot"]) == 4
    assert "padding.blind_spot" in capsys.readouterr().err


def test_init_writes_a_file_that_is_valid(folder, capsys):
    arguments = ["--model", "torchvision:resnet18", "--train", "data/train", "--validation", "data/validation"]
    assert main(["init", *arguments, "--ci", "github"]) == 0
    file = config.read("audit.toml")
    assert file.name == "resnet18"
    assert file.classes == ("cat", "dog")
    assert (file.input.channels, file.input.size, file.input.resize) == (3, (224, 224), 256)
    assert file.input.mean == (0.485, 0.456, 0.406)
    assert file.model.arguments == {"num_classes": 2}
    assert "cnnaudit audit audit.toml" in (folder / ".github/workflows/audit.yml").read_text()


def test_init_overwrites_nothing(folder, capsys):
    (folder / "audit.toml").write_text("mine")
    assert main(["init", "--model", "torchvision:resnet18", "--train", "data/train"]) == 4
    assert "already there" in capsys.readouterr().err
    assert (folder / "audit.toml").read_text() == "mine"


def test_init_describes_a_callable_by_asking_it(folder):
    (folder / "mine.py").write_text(
        "from torch import nn\n"
        "def build():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 7))\n"
    )
    scaffold("mine:build", folder / "audit.toml", validation="data/validation")
    text = (folder / "audit.toml").read_text()
    assert "7 outputs for 2 classes" in text
    assert config.read("audit.toml").model.class_indices == (0, 1)


def test_init_refuses_data_that_are_not_there(folder, capsys):
    arguments = ["--model", "torchvision:resnet18", "--validation", "data/validation", "--train", "data/trian"]
    assert main(["init", *arguments]) == 4
    assert "--train data/trian: no such folder" in capsys.readouterr().err
    assert not (folder / "audit.toml").exists()


def test_a_wrong_torchvision_name_is_a_message(folder, capsys):
    assert main(["init", "--model", "torchvision:resnet81", "--train", "data/train"]) == 4
    assert "resnet81" in capsys.readouterr().err


def test_a_look_at_a_folder(folder):
    seen = look_at_folder(folder / "data" / "train")
    assert seen.classes == ("cat", "dog")
    assert seen.counts == {"cat": 4, "dog": 4}
    assert (seen.channels, seen.size) == (3, (48, 64))
    with pytest.raises(AuditError, match="one folder of images per class"):
        look_at_folder(folder / "data" / "train" / "cat")


def finding(check, verdict="fail", gate=True):
    return Finding(check=check, target="resnet18", verdict=verdict, summary="It\nfails.", gate=gate, statistic=1.0)


@pytest.fixture
def reported(folder):
    """An audit file and the report of its last run."""
    scaffold("torchvision:resnet18", folder / "audit.toml", train="data/train", validation="data/validation")
    findings = (
        finding("dataset.leakage"),
        finding("behavior.invariance[rotation]"),
        finding("padding.uneven_application", gate=False),
        finding("dataset.label_signal", "pass"),
    )
    write_report(Report({"name": "resnet18"}, {}, findings), folder / "reports" / "resnet18")
    return folder


def test_accept_writes_the_failing_gates_and_asks_for_reasons(reported, capsys):
    before = (reported / "audit.toml").read_text()
    assert main(["accept", "audit.toml"]) == 0
    after = (reported / "audit.toml").read_text()
    assert after.startswith(before.rstrip("\n"))
    entries = tomllib.loads(after)["expected"]
    assert {entry["check"] for entry in entries} == {"dataset.leakage", "behavior.invariance[rotation]"}
    assert {entry["reason"] for entry in entries} == {PLACEHOLDER}
    with pytest.raises(ConfigError, match="reason"):
        config.read("audit.toml")


def test_accepted_failures_with_a_reason_are_expected(reported):
    added = accept(reported / "audit.toml", reported / "reports", "known since March")
    assert set(added) == {"dataset.leakage", "behavior.invariance[rotation]"}
    assert {entry.reason for entry in config.read("audit.toml").expected} == {"known since March"}


def test_accept_without_a_report_says_what_to_run(folder):
    scaffold("torchvision:resnet18", folder / "audit.toml", train="data/train")
    with pytest.raises(AuditError, match="cnnaudit audit"):
        accept(folder / "audit.toml", folder / "reports")


def test_report_writes_every_format_again(reported, capsys):
    assert main(["report", "reports/resnet18", "--output", "again"]) == 0
    assert {path.name for path in (reported / "again").iterdir()} >= {"report.json", "report.md", "report.html"}
    assert "dataset.leakage" in capsys.readouterr().out


def test_compare_fails_when_something_got_worse(reported, capsys):
    better = Report({"name": "resnet18"}, {}, (finding("dataset.leakage", "pass"),))
    write_report(better, reported / "older")
    assert main(["compare", "older/report.json", "reports/resnet18/report.json"]) == 1
    assert main(["compare", "older/report.json", "older"]) == 0
    assert main(["compare", "reports/resnet18/report.json", "older/report.json"]) == 1  # it lost three checks
    assert main(["compare", "older/report.json", "absent.json"]) == 4
    assert "absent.json" in capsys.readouterr().err


def test_words_that_are_not_known_are_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["checks", "--colour"])
    assert stop.value.code == 4


def test_an_atlas_is_written_and_a_wrong_layer_or_checkpoint_is_told(tmp_path, capsys):
    config = str(Path(__file__).parent.parent / "fixtures/targets/digits-lenet.toml")
    asked = ["--units", "2", "--steps", "2", "--output", str(tmp_path)]
    assert main(["atlas", config, "--layers", "conv1", *asked]) == 0
    assert str(tmp_path / "digits-lenet/atlas/conv1.html") in capsys.readouterr().out
    assert main(["atlas", config, "--layers", "conv9", *asked]) == 4
    assert "conv1" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main(["atlas", config, "--layers", "conv1", *asked, "--checkpoints", "absent.pt"])
    assert stop.value.code == 4
    assert "absent.pt" in capsys.readouterr().err


PAGES = sorted(path.parent.name for path in Path(pages.__file__).parent.glob("*/command.py"))


def test_without_arguments_help_is_printed(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main([]) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: cnnaudit ") and max(map(len, text.splitlines())) <= 80
    assert {"audit", "checks", "look", "atlas", "kernels", "read", "search", "study"} <= set(text.split())


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0 and capsys.readouterr().out == f"cnnaudit {__version__}\n"


def test_a_page_is_found_by_its_place(monkeypatch, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").write_text("")
    (tmp_path / "mine" / "command.py").write_text(
        "HELP = 'greet'\n"
        "def add_arguments(parser): parser.add_argument('name')\n"
        "def run(options): print('hello', options.name); return 0\n"
    )
    monkeypatch.setattr(pages, "__file__", str(tmp_path / "__init__.py"))
    monkeypatch.setattr(pages, "__path__", [str(tmp_path)])
    assert main(["mine", "you"]) == 0
    assert capsys.readouterr().out == "hello you\n"
    for name in ("cnnaudit.pages.mine", "cnnaudit.pages.mine.command"):
        sys.modules.pop(name)


def test_the_parser_is_built_without_anything_heavy():
    code = "import sys; from cnnaudit.cli import _parser; _parser(); print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert "cnnaudit.pages.look.command" in loaded
    assert not loaded & {"torch", "matplotlib", "sklearn", "scipy", "PIL", "jinja2", "rich", "pytest"}


@pytest.mark.parametrize("name", PAGES)
def test_every_argument_has_a_help_text_and_every_page_a_line(name):
    parser = argparse.ArgumentParser()
    module = importlib.import_module(f"cnnaudit.pages.{name}.command")
    module.add_arguments(parser)
    assert module.HELP and not module.HELP.endswith(".")
    assert not [action.dest for action in parser._actions if not action.help]


WHERE = {"look": "--report", "search": "--results"}
FIRST = {"look": ["validation[0]", "--audit-config", "a.toml"], "study": ["noise"]}


@pytest.mark.parametrize("name", PAGES)
def test_a_file_in_place_of_the_output_folder_is_told_before_any_work(name, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    option = WHERE.get(name, "--output")
    with pytest.raises(SystemExit) as stop:
        main([name, *FIRST.get(name, ["a.toml"]), option, str(tmp_path / "file" / "deeper")])
    assert stop.value.code == 4
    said = capsys.readouterr().err
    assert f"argument {option}: expected a folder, but" in said and "Traceback" not in said
    assert (tmp_path / "file").read_text() == "mine"


def test_an_error_of_the_system_is_a_message(monkeypatch, capsys):
    def broken(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO), "disk")

    monkeypatch.setattr("cnnaudit.checks.known_checks", broken)
    assert main(["checks"]) == 4
    assert capsys.readouterr().err == "cnnaudit checks: disk: Input/output error\n"
