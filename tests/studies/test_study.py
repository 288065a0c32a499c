"""Tasks are kept as they finish: resumed is the same as uninterrupted."""

import dataclasses

import pytest

from cnnaudit.core.errors import AuditError, DataError
from cnnaudit.studies import STUDIES, study_named
from cnnaudit.studies.study import Effort, Study, conduct

EFFORT = Effort(seeds=2, epochs=1, train=3, validation=3)
LOG = []


def numbers(effort):
    return [{"number": number} for number in range(6)]


def squares(task, effort):
    LOG.append(task["number"])
    if task["number"] in INTERRUPTED:
        raise KeyboardInterrupt
    return [{**task, "power": power, "value": task["number"] ** power} for power in (1, 2)]


INTERRUPTED = set()
TOY = Study(
    name="toy",
    title="Toy",
    question="",
    thesis="",
    method=(),
    columns=("number", "power", "value"),
    default=EFFORT,
    quick=EFFORT,
    tasks=numbers,
    run=squares,
    findings=lambda rows: [f"{len(rows)} rows"],
)


@pytest.fixture(autouse=True)
def fresh():
    LOG.clear()
    INTERRUPTED.clear()


def test_rows_come_in_the_order_of_the_tasks_and_as_csv(tmp_path):
    results = conduct(TOY, EFFORT, tmp_path)
    assert [row["value"] for row in results.rows] == [0, 0, 1, 1, 2, 4, 3, 9, 4, 16, 5, 25]
    assert (tmp_path / "toy.csv").read_text().splitlines()[:3] == ["number,power,value", "0,1,0", "0,2,0"]


def test_pandas_reads_the_table(tmp_path):
    pandas = pytest.importorskip("pandas")
    conduct(TOY, EFFORT, tmp_path)
    assert pandas.read_csv(tmp_path / "toy.csv").value.sum() == sum(n + n * n for n in range(6))


def test_two_processes_give_the_same_table(tmp_path):
    conduct(TOY, EFFORT, tmp_path / "one", jobs=1)
    conduct(TOY, EFFORT, tmp_path / "two", jobs=2)
    assert (tmp_path / "one" / "toy.csv").read_bytes() == (tmp_path / "two" / "toy.csv").read_bytes()


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path):
    conduct(TOY, EFFORT, tmp_path / "whole")
    LOG.clear()
    INTERRUPTED.add(3)
    with pytest.raises(KeyboardInterrupt):
        conduct(TOY, EFFORT, tmp_path / "cut")
    assert len((tmp_path / "cut" / "toy.csv").read_text().splitlines()) == 1 + 2 * 3  # what was known
    INTERRUPTED.clear()
    conduct(TOY, EFFORT, tmp_path / "cut")
    assert LOG == [0, 1, 2, 3, 3, 4, 5]
    assert (tmp_path / "cut" / "toy.csv").read_bytes() == (tmp_path / "whole" / "toy.csv").read_bytes()


def test_a_line_that_was_cut_off_is_done_again(tmp_path):
    whole = conduct(TOY, EFFORT, tmp_path)
    journal = tmp_path / "toy.jsonl"
    journal.write_text(journal.read_text()[:-20])
    LOG.clear()
    assert conduct(TOY, EFFORT, tmp_path).rows == whole.rows
    assert LOG == [5]


def test_another_effort_starts_anew_and_loses_nothing(tmp_path):
    conduct(TOY, EFFORT, tmp_path)
    LOG.clear()
    conduct(TOY, dataclasses.replace(EFFORT, epochs=2), tmp_path)
    assert LOG == [0, 1, 2, 3, 4, 5]
    conduct(TOY, EFFORT, tmp_path)
    assert len(LOG) == 6, "the first effort's tasks are still known"


def test_a_file_that_is_no_journal_is_refused(tmp_path):
    (tmp_path / "toy.jsonl").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"toy\.jsonl: not the journal of a study"):
        conduct(TOY, EFFORT, tmp_path)


def test_one_seed_has_no_spread():
    with pytest.raises(AuditError, match="at least 2"):
        TOY.effort(seeds=1)
    assert TOY.effort(seeds=7).seeds == 7


def test_an_unknown_study_names_the_nearest():
    with pytest.raises(AuditError, match="did you mean 'noise'"):
        study_named("noize")


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_is_well_formed(name):
    study = study_named(name)
    assert study.name == name
    tasks = study.tasks(study.quick)
    assert len({tuple(task.items()) for task in tasks}) == len(tasks)
    assert study.findings([]) == []
    assert len(set(study.columns)) == len(study.columns)
