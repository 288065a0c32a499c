"""`cnnaudit audit` as it is typed: what it takes from the project, and what it prints."""

import argparse
import json
import subprocess
import sys

import pytest

from cnnaudit.cli import _parser, main
from cnnaudit.commands import audit
from cnnaudit.plugin import child


def parsed(*words):
    options, options.rest = _parser().parse_known_args(["audit", *words])
    return options


@pytest.fixture
def project(tmp_path, monkeypatch):
    text = '[tool.cnnaudit]\nconfigs = ["a.toml"]\nonly = ["dataset.*"]\nprofile = "deep"\nstrict = true\n'
    (tmp_path / "pyproject.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_given_wins_over_the_project_and_that_over_the_defaults(project):
    assert audit.settings(parsed()) == {
        **audit.DEFAULTS,
        "configs": ["a.toml"],
        "only": ["dataset.*"],
        "profile": "deep",
        "strict": True,
    }
    given = audit.settings(parsed("b.toml", "--only", "padding.*", "--no-strict", "--seed", "0", "--profile", "quick"))
    assert (given["configs"], given["only"], given["strict"]) == (["b.toml"], ["padding.*"], False)
    assert (given["profile"], given["seed"]) == ("quick", 0)


def test_a_wrong_project_table_is_a_message_of_audit_and_of_no_other_command(project, capsys):
    (project / "pyproject.toml").write_text("[tool.cnnaudit]\nprofil = 'deep'\n")
    assert main(["audit"]) == 4
    assert "did you mean 'profile'" in capsys.readouterr().err
    assert main(["checks", "--ids"]) == 0


def test_settings_reach_pytest():
    words = audit.arguments(["a.toml"], ["x.*"], "out", "deep", 3, True)
    assert {"--audit-config=a.toml", "--audit-only=x.*", "--audit-strict"} < set(words)
    assert words[words.index("--audit-report") + 1] == "out" and words[words.index("--audit-seed") + 1] == "3"


@pytest.fixture
def no_run(monkeypatch):
    """A run that pytest ends with a status, without one being started."""

    def end(status):
        monkeypatch.setattr(child, "run", lambda *_: child.Run(status, "none"))

    return end


def test_json_is_all_that_is_printed(no_run, tmp_path, capsys):
    no_run(0)
    assert main(["audit", "--json", "--report", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out) == {"status": 0, "targets": []}


def test_a_misspelled_option_is_told_where_pytest_refuses_it(no_run, capsys):
    no_run(4)
    assert main(["audit", "--profle", "deep", "--collect-only"]) == 4
    assert capsys.readouterr().err == "cnnaudit audit: --profle: did you mean --profile?\n"


def test_an_option_that_pytest_does_not_know_is_wrong_use_and_no_lost_run(tmp_path, capfd):
    done = child.run(["--no-such-option"], tmp_path, "errors")
    said = capfd.readouterr()
    assert done.status == 4 and said.out == "" and "no-such-option" in said.err and "ended before" not in said.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["chekcs"], "unknown: 'chekcs'; did you mean 'checks'?"),
        (["study", "nois"], "did you mean 'noise'"),
        (["compare", "--jsn", "a", "b"], "unrecognized arguments: --jsn; did you mean '--json'?"),
    ],
)
def test_what_was_meant_is_told(words, said, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 4 and said in capsys.readouterr().err


def test_checks_as_json(capsys):
    assert main(["checks", "dataset.leakage", "fidelity.lime", "--json"]) == 0
    leakage, lime = json.loads(capsys.readouterr().out)
    assert leakage["id"] == "dataset.leakage" and lime["family"] == "fidelity"
    assert leakage["tolerance"] == {"quick": 0.01, "standard": 0.01, "deep": 0.01}
    assert leakage["measured"]["dataset.leakage"]["power"]["count"] > 0 and leakage["plants"]


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_completion_script_knows_every_command_and_is_valid(shell, capsys):
    pytest.importorskip("shtab", reason="shtab is not installed (extra: completion)")
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    commands = next(a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction)).choices
    assert all(name in script for name in commands)
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


def test_completion_without_its_extra_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 4
    assert "cnnaudit[completion]" in capsys.readouterr().err
