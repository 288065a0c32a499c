"""The page, the figure and the command of each study."""

import dataclasses

import pytest

from cnnaudit.cli import main
from cnnaudit.pages.study import command
from cnnaudit.pages.study.page import write_study
from cnnaudit.studies import STUDIES, study_named
from cnnaudit.studies.study import Effort, Results, conduct

TINY = Effort(seeds=3, epochs=2, train=16, validation=2)

#: So few tasks that a page still has every part.
ENOUGH = {
    "activations": lambda task: task["optimizer"] == "adam" and task["activation"] in ("relu", "heaviside"),
    "pruning": lambda task: task["dataset"] == "1.3",
    "classic-filters": lambda task: task["dataset"] == "1.3",
    "filter-similarity": lambda task: (
        task["dataset"] in ("4.0", "random") and task["change"] in ("none", "other draw", "other figure", "random")
    ),
    "noise": lambda task: task["noise"] == 20 and task["dataset"] == "4.0",
    "single-pixel": lambda task: task["name"] in ("4.0", "shapes-2.1-rotation"),
}


def small(name):
    """The study with few tasks."""
    study = study_named(name)
    return dataclasses.replace(study, quick=TINY, tasks=lambda effort: list(filter(ENOUGH[name], study.tasks(effort))))


@pytest.mark.parametrize("name", STUDIES)
def test_a_page_holds_the_question_the_findings_the_figure_and_the_cost(name, tmp_path):
    study = small(name)
    results = conduct(study, TINY, tmp_path)
    picture, page = write_study(study, TINY, results, tmp_path, f"cnnaudit study {name}")
    assert picture.read_bytes().startswith(b"\x89PNG")
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") >= 1 and "<h2>In numbers</h2>" in text
    assert study.question in text
    assert "3 seeds, 2 epochs, 16 training and 2 validation images of each class" in text
    assert f"cnnaudit study {name}" in text
    assert "nan" not in text.replace("nance", "") and "mathdefault" not in text
    found = study.findings(results.rows)
    assert found, "nothing is said"
    assert (tmp_path / f"{name}.csv").read_text().splitlines()[0] == ",".join(study.columns)


@pytest.mark.parametrize("name", STUDIES)
def test_a_page_of_nothing_says_so(name, tmp_path):
    _, page = write_study(study_named(name), TINY, Results([], 0.0), tmp_path, "")
    assert "Nothing has finished yet." in page.read_text(encoding="utf-8")


def test_the_command_prints_what_was_found_and_goes_on_after_an_interruption(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "study_named", small)
    arguments = ["study", "noise", "--jobs", "1", "--quick", "--output"]
    assert main([*arguments, str(tmp_path / "whole")]) == 0
    printed = capsys.readouterr().out
    assert "61 parameters reach" in printed and "noise.html" in printed

    from cnnaudit.studies import noise_curve

    def cut(task, effort):
        if task["parameters"] == 61:
            raise KeyboardInterrupt
        return noise_curve.run(task, effort)

    monkeypatch.setattr(command, "study_named", lambda name: dataclasses.replace(small(name), run=cut))
    assert main([*arguments, str(tmp_path)]) == 2
    assert "The same command continues" in capsys.readouterr().err
    monkeypatch.setattr(command, "study_named", small)
    assert main([*arguments, str(tmp_path)]) == 0
    assert (tmp_path / "noise.csv").read_bytes() == (tmp_path / "whole" / "noise.csv").read_bytes()


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["noise", "--seeds", "1"], "argument --seeds: expected a whole number of at least 2, got '1'"),
        (["noise", "--jobs", "0"], "argument --jobs: expected 1 or more processes"),
        (["nois"], "did you mean 'noise'?"),
    ],
)
def test_wrong_use_names_the_option_and_exits_with_4(arguments, said, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["study", *arguments])
    assert stop.value.code == 4 and said in capsys.readouterr().err


def test_two_seeds_are_too_few_to_compare_filters(tmp_path, capsys):
    assert main(["study", "filter-similarity", "--seeds", "2", "--output", str(tmp_path)]) == 4
    assert "--seeds must be at least 3" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
