"""Files of a report: whole or not at all, the same bytes for the same run."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from cnnaudit.core import evidence
from cnnaudit.core.errors import AuditError
from cnnaudit.report import folder_name, load_report, write_index, write_report
from cnnaudit.report.schema import check_entry
from cnnaudit.report.write import json_text

NAMES = {"json": "report.json", "md": "report.md", "html": "report.html", "sarif": "report.sarif"}


def test_writes_four_files_and_reads_itself_back(report, tmp_path):
    paths = write_report(report, tmp_path / "new" / "folder")
    assert {kind: path.name for kind, path in paths.items()} == NAMES
    assert sorted(p.name for p in (tmp_path / "new" / "folder").iterdir()) == sorted(NAMES.values())
    assert load_report(paths["json"]) == load_report(tmp_path / "new" / "folder") == report


def test_same_run_same_bytes_in_any_order(report, make, tmp_path):
    write_report(report, tmp_path / "a")
    write_report(make(findings=tuple(reversed(report.findings))), tmp_path / "b")
    for name in NAMES.values():
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


@pytest.mark.parametrize("broken", ["write", "replace"])
def test_no_space_left_keeps_the_old_report_and_no_scratch(report, make, tmp_path, monkeypatch, broken):
    write_report(report, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    original = Path.write_bytes

    def full(self, data):
        if self.name.startswith(".report.sarif"):
            original(self, data[:10])
            raise OSError(28, "No space left on device")
        return original(self, data)

    def refused(source, target):
        raise OSError(28, "No space left on device")

    if broken == "write":
        monkeypatch.setattr(Path, "write_bytes", full)
    else:
        monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(AuditError, match="No space left on device") as caught:
        write_report(make(findings=()), tmp_path)
    assert str(tmp_path) in str(caught.value)
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_interrupt_leaves_no_scratch(report, tmp_path, monkeypatch):
    def interrupted(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_report(report, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_a_file(report, tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(AuditError, match="--audit-report"):
        write_report(report, tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "mine"


def test_json_is_readable_and_the_same_value():
    value = {"b": [1.5, 2, None, True], "a": {"x": [[1, 2], [3, 4]]}, "c": [], "d": {}, "e": [{"f": 'é\n"'}] * 2}
    text = json_text(value)
    assert json.loads(text) == value
    assert text.splitlines()[1:6] == ['  "a": {', '    "x": [', "      [1, 2],", "      [3, 4]", "    ]"]
    with pytest.raises(ValueError, match="JSON"):
        json_text({"x": [float("nan")]})


def test_json_of_a_report_has_no_endless_lines(report, tmp_path):
    lines = write_report(report, tmp_path)["json"].read_text(encoding="utf-8").splitlines()
    long = [line for line in lines if len(line) > 140]
    assert all('"png"' in line or line.lstrip().startswith(('"null"', '"x"', '"', "[")) for line in long)
    assert len(lines) > 200


def test_hostile_names_become_safe_folders(hostile_report, tmp_path):
    names = [
        hostile_report.name,
        "../../etc/passwd",
        "..",
        "",
        "a/b",
        "a\\b",
        "CON",
        "nul.txt",
        "漢字",
        "字漢",
        "x" * 400,
        ".hidden",
    ]
    folders = [folder_name(name) for name in names]
    assert len(set(folders)) == len(names)
    for folder in folders:
        assert folder.isascii() and 0 < len(folder) < 100 and not folder.startswith(".")
        assert not set(folder) & set('/\\:*?"<>| ')
    assert folder_name("shapes-3.0-scaling-noise") == "shapes-3.0-scaling-noise"
    write_report(hostile_report, tmp_path / folder_name(hostile_report.name))


def test_index_links_every_target(report, make, hostile_report, tmp_path):
    reports = [report, make("shapes-2.1-rotation"), hostile_report]
    for one in reports:
        write_report(one, tmp_path / folder_name(one.name))
    page = write_index(reports, tmp_path).read_text(encoding="utf-8")
    for one in reports:
        link = f"{folder_name(one.name)}/report.html"
        assert f'href="{link}"' in page
        assert (tmp_path / link).is_file()
    assert "<script>alert" not in page


def test_pictures_of_photographs_are_kept(tmp_path, make, finding_of):
    """The PNG of 224 x 224 pixels of noise has 200,000 characters."""
    noisy = evidence.images("Noise", np.random.default_rng(0).random((2, 3, 224, 224)), ["one", "two"])
    assert len(noisy["images"][0]["png"]) > 200_000
    found = make(findings=(finding_of("padding.border_maximum", evidence=(noisy,)),))
    entry = {"check": "c", "test": "t", "error": "", "ignored": False, "findings": [found.findings[0].to_json()]}
    check_entry(json.loads(json.dumps(entry)))
    write_report(found, tmp_path)
    assert load_report(tmp_path / "report.json").findings == found.findings
