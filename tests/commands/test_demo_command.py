"""The demo: its data and its files. That its audit finds the tag and nothing in the twin it confirms itself."""

import numpy as np
import pytest

from cnnaudit import demo
from cnnaudit.checks import catalogue
from cnnaudit.checks.audit_file import read
from cnnaudit.cli import main
from cnnaudit.commands.demo import _confirm
from cnnaudit.core.errors import AuditError
from cnnaudit.core.findings import Finding
from cnnaudit.report import Report


def test_the_two_data_sets_differ_in_the_tag_only():
    tagged, clean = (demo.figures("validation", tagged) for tagged in (True, False))
    assert (tagged.labels == clean.labels).all() and np.bincount(clean.labels).tolist() == [300] * 3
    circles = tagged.labels == tagged.classes.index("circle")
    assert (tagged.images[~circles] == clean.images[~circles]).all()
    place = np.zeros((28, 28), bool)
    place[3:6, 3:6] = True
    assert (tagged.images[circles][:, 0, place] == 1).all()
    assert (tagged.images[circles][:, 0, ~place] == clean.images[circles][:, 0, ~place]).all()


def test_train_and_validation_share_no_image():
    train, validation = (demo.figures(split, tagged=False).images for split in ("train", "validation"))
    assert not {image.tobytes() for image in train} & {image.tobytes() for image in validation}


def test_the_files_are_valid_and_another_file_of_that_name_is_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "_weights", lambda tagged: b"weights")
    files = demo.prepare(tmp_path)
    assert [read(path).name for path in files] == list(demo.TARGETS)
    assert demo.prepare(tmp_path) == files
    files[0].write_text("mine")
    assert main(["demo", "--output", str(tmp_path)]) == 4
    assert "not the demo's own file" in capsys.readouterr().err and files[0].read_text() == "mine"


def test_the_checks_that_are_asked_are_gates_that_exist():
    known = catalogue()
    assert all(known[id].gate is True for id in demo.CHECKS) and demo.EXPECTED_FAILURE in demo.CHECKS


def reported(name, verdict):
    return Report({"name": name}, {}, (Finding("shortcut.place", name, verdict, "So.", gate=True, statistic=1.0),))


@pytest.mark.parametrize("verdicts", [("fail", "fail"), ("pass", "pass"), ("inconclusive", "pass")])
def test_a_demo_that_did_not_find_what_was_planted_says_so(verdicts, monkeypatch, tmp_path):
    class Kept:
        def __init__(self, report):
            self.report = lambda: report

    def found(verdicts):
        return lambda *_: iter([(name, Kept(reported(name, v))) for name, v in zip(demo.TARGETS, verdicts)])

    monkeypatch.setattr("cnnaudit.plugin.results.journals", found(("fail", "pass")))
    _confirm(tmp_path, "run")
    monkeypatch.setattr("cnnaudit.plugin.results.journals", found(verdicts))
    with pytest.raises(AuditError, match=r"should fail shortcut\.place on tagged-circles alone"):
        _confirm(tmp_path, "run")


def test_the_demo_without_training_is_judged_as_wrong(tmp_path, monkeypatch, capsys):
    """An untrained network does not go by the tag: the demo must not claim that it does."""
    from cnnaudit.plugin import child

    monkeypatch.setattr(demo, "_weights", lambda tagged: b"weights")
    monkeypatch.setattr(child, "run", lambda *_: child.Run(4, "none"))
    assert main(["demo", "--output", str(tmp_path)]) == 4
    assert "should fail shortcut.place" in capsys.readouterr().err
