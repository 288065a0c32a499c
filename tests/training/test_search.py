"""The search: what it answers, that it goes on where it was interrupted, and what it says to bad input."""

from __future__ import annotations

import dataclasses
import errno
import itertools
import os

import joblib
import numpy as np
import pytest

from cnnaudit.core.errors import DataError, ModelError
from cnnaudit.data import reference
from cnnaudit.target.shrink import label_ceiling, shrink
from cnnaudit.training import Architecture, grid, named_grid, search
from cnnaudit.training import executor as working
from cnnaudit.training.executor import tasks
from cnnaudit.training.results import COLUMNS, Results, Row, as_csv, key_of
from cnnaudit.training.summary import Summary, summarize

GRID = grid(size=28, kernel=(2, 3), cells=(1, 2), pooling=("average",), learning_rate=(0.03,))


def figures(seed=0, n=20):
    return tuple(
        (part.images, part.labels)
        for part in (reference("2.1", s, seed, n_per_class=n) for s in ("train", "validation"))
    )


def small_search(path=None, target=0.9, **settings):
    train, validation = figures()
    settings = {"epochs": 64, "batch_size": 8, "seeds": 3, "tries": 2, **settings}
    return search(GRID, train, validation=validation, target_accuracy=target, results=path, **settings)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("search") / "search.csv"


@pytest.fixture(scope="module")
def found(file):
    return small_search(file)


def without_time(found):
    return dataclasses.replace(found, seconds=0.0).answer(), found.table()


def test_the_grid_is_ordered_and_counts_parameters():
    networks = named_grid("quick", 20, 3, 4)
    counts = [network.parameters for network in networks]
    assert counts == sorted(counts)
    assert len(set(networks)) == len(networks)
    for network in networks[::7]:
        assert sum(p.numel() for p in network.build().parameters()) == network.parameters


def test_the_thesis_networks_are_in_its_grid():
    assert {16, 109, 333} <= {network.parameters for network in named_grid("thesis", 28, 1, 3)}


def test_a_grid_that_fits_no_image_is_refused():
    with pytest.raises(ModelError, match="no network fits"):
        grid(size=2, cells=(4,))
    with pytest.raises(ModelError, match="did you mean 'quick'"):
        named_grid("quik", 28, 1, 3)


def test_networks_that_differ_in_the_learning_rate_are_one_task():
    networks = grid(learning_rate=(0.01, 0.03), pooling=("max", "average"), cells=(1,))
    made = tasks(networks, range(5), 3)
    assert [len(task.architectures) for task in made] == [2, 2]
    assert len(made[0].trainings()) == 10


def test_the_smallest_network_is_found_and_confirmed(found):
    assert found.complete
    assert found.learnable
    assert found.smallest is not None
    assert found.smallest.confirmed
    assert len(found.smallest.rows) == 6
    assert {row.seed for row in found.smallest.rows}.isdisjoint(
        {row.seed for summary in found.summaries for row in summary.rows}
    )
    assert all(s.best.train_accuracy < 0.9 for s in found.smaller)
    assert f"{found.smallest.parameters} parameters" in found.answer()


def test_the_summary_of_seeds_is_their_plain_statistics(found):
    summary = found.summaries[0]
    validation = [row.validation_accuracy for row in summary.rows]
    assert summary.quartiles == tuple(np.quantile(validation, [0.25, 0.5, 0.75]))
    assert summary.reached == sum(value >= 0.9 for value in validation)
    assert summary.best.train_accuracy == max(row.train_accuracy for row in summary.rows)
    assert summary.interval()[0] <= summary.reached / len(summary.rows) <= summary.interval()[1]


def test_a_search_interrupted_anywhere_ends_with_the_same_table(found, tmp_path, monkeypatch):
    path = tmp_path / "search.csv"
    true_run, calls = working.run, itertools.count()

    def interrupted(*arguments):
        if next(calls) == 3:
            raise KeyboardInterrupt
        return true_run(*arguments)

    monkeypatch.setattr(working, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        small_search(path)
    written = path.read_bytes()
    assert written.count(b"\n") == 1 + 3 * 3
    path.write_bytes(written + b"half,a,li")  # the machine went down while it wrote
    assert without_time(small_search(path)) == without_time(found)
    before = next(calls)
    assert without_time(small_search(path)) == without_time(found)
    assert next(calls) == before + 1  # nothing was trained again


def test_every_cut_of_the_file_is_repaired(found, tmp_path):
    rows = [row for summary in found.summaries[:2] for row in summary.rows[:2]]
    whole = as_csv(rows).encode()
    for cut in range(0, len(whole), 7):
        path = tmp_path / f"{cut}.csv"
        path.write_bytes(whole[:cut])
        kept = Results(path, rows[0].search)
        assert kept.rows == rows[: len(kept.rows)]
        kept.add(rows[len(kept.rows) :])
        assert path.read_bytes() == whole


def test_the_file_is_what_pandas_reads(found, file):
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(file)
    assert list(frame.columns) == COLUMNS
    best = frame[frame.purpose == "confirm"].validation_accuracy.max()
    assert best == max(row.validation_accuracy for row in found.smallest.rows)


def test_a_file_of_another_search_is_refused(tmp_path):
    path = tmp_path / "search.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="not a file of this search"):
        small_search(path)
    row = Row("other", "screen", 11, GRID[0], 0, 0, 0, 3, 3, 0.5, 0.5, "trained", 0.1)
    path.write_text(as_csv([row]))
    with pytest.raises(DataError, match="on other data"):
        small_search(path)


def test_two_processes_give_the_numbers_of_one(found):
    assert without_time(small_search(jobs=2)) == without_time(found)


def test_dask_gives_the_numbers_of_one_process(found):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        assert without_time(small_search()) == without_time(found)


def test_ray_gives_the_numbers_of_one_process(found):
    ray = pytest.importorskip("ray")
    from ray.util.joblib import register_ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        register_ray()
        with joblib.parallel_config(backend="ray", n_jobs=2):
            assert without_time(small_search()) == without_time(found)
    finally:
        ray.shutdown()


def test_a_budget_too_small_says_what_is_known(tmp_path):
    nothing = small_search(budget_seconds=0)
    assert not nothing.complete
    assert nothing.smallest is None
    assert "Nothing is known yet" in nothing.answer()
    assert "The time was over" in nothing.answer()


def test_labels_that_cannot_be_learned_are_told_after_few_trainings():
    rng = np.random.default_rng(0)
    noise = tuple((rng.random((n, 1, 28, 28), dtype=np.float32), rng.integers(0, 3, n)) for n in (60, 120))
    found = search(GRID, noise[0], validation=noise[1], target_accuracy=0.9, epochs=16, seeds=3)
    assert not found.learnable
    assert found.complete
    assert "cannot be learned" in found.answer()
    assert len(found.summaries) == len(GRID)
    assert all(summary.given <= 16 for summary in found.summaries)


def test_labels_that_contradict_each_other_bound_the_target():
    images = np.zeros((8, 1, 28, 28), dtype=np.float32)
    images[:4] = np.arange(4)[:, None, None, None] / 4
    labels = np.array([0, 1, 0, 1, 0, 0, 0, 1])
    assert label_ceiling(images, labels) == (1 + 1 + 1 + 4) / 8  # images 0 and 4 to 7 are one: labels 0, 0, 0, 0, 1
    with pytest.raises(DataError, match=r"above what the labels allow.*0\.8750"):
        search(GRID, (images, labels), validation=(images, labels), target_accuracy=0.9)


def test_classes_of_one_image_and_two_identical_classes():
    images, labels = figures(n=1)[0]
    one = search(GRID, (images, labels), validation=(images, labels), target_accuracy=0.6, epochs=16, seeds=3, tries=1)
    assert one.complete
    twice = (np.concatenate([images, images]), np.array([0, 1, 2, 0, 1, 3]))
    with pytest.raises(DataError, match=r"more than 0\.8333"):
        search(grid(classes=4), twice, validation=twice, target_accuracy=0.9)


def test_losses_that_are_not_finite_are_counted_as_dead():
    train, validation = figures()
    wild = grid(cells=(1,), learning_rate=(0.01, 1e30))
    found = search(wild, train, validation=validation, target_accuracy=0.99, epochs=16, seeds=3, tries=1)
    summary = next(s for s in found.summaries if s.architecture.learning_rate > 1)
    assert summary.dead == 3
    assert all(np.isfinite(row.validation_accuracy) for row in summary.rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target_accuracy": 1.5}, "at most 1"),
        ({"labels": np.zeros(60, dtype=int)}, "one class only"),
        ({"labels": np.full(60, -1)}, "labels 0, 1"),
        ({"labels": np.arange(60) % 5}, "classes=5"),
        ({"images": np.full((60, 1, 28, 28), np.nan)}, "NaN"),
        ({"images": np.zeros((60, 3, 28, 28))}, "channels=3"),
        ({"images": np.zeros((60, 1, 20, 20))}, "size=20"),
        ({"grid": ()}, "the grid is empty"),
    ],
)
def test_bad_input_is_a_message(change, message):
    (images, labels), validation = figures()
    data = change.get("images", images), change.get("labels", labels)
    with pytest.raises(DataError, match=message):
        search(
            change.get("grid", GRID), data, validation=validation, target_accuracy=change.get("target_accuracy", 0.9)
        )


def test_color_images_of_any_size_and_number_of_classes():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(5), 12)
    images = np.clip(rng.normal(0.2, 0.05, (60, 3, 40, 60)), 0, 1)
    images[:, 0] += labels[:, None, None] / 8
    data = ((np.clip(images, 0, 1) * 255).astype(np.uint8), labels)
    found = search(
        grid(16, 3, 5, filters=(4,), cells=(1,), pooling=("average",), learning_rate=(0.1,)),
        data, validation=data, target_accuracy=0.5, size=16, epochs=64, batch_size=8, seeds=3, tries=1,
    )  # fmt: skip
    assert found.smallest is not None


def test_shrinking_averages_and_leaves_small_images_alone():
    images = np.random.default_rng(0).random((3, 1, 28, 28), dtype=np.float32)
    assert np.array_equal(shrink(images), images)
    assert shrink(np.zeros((1, 3, 48, 20))).shape == (1, 3, 20, 20)
    halved = images.reshape(3, 1, 14, 2, 14, 2).mean((3, 5))
    assert np.abs(shrink(images, 14)[..., 1:-1, 1:-1] - halved[..., 1:-1, 1:-1]).mean() < 0.1
    assert np.allclose(shrink(np.full((1, 1, 90, 90), 128, dtype=np.uint8)), 128 / 255)


def test_the_longest_training_of_an_architecture_is_what_counts():
    rows = [
        Row("s", "screen", 16, Architecture(), seed, 0, 0, given, given, accuracy, accuracy, "trained", 0.0)
        for given, accuracy in ((12, 0.9), (50, 0.8))
        for seed in range(2)
    ]
    (summary,) = summarize(rows, 0.85)
    assert isinstance(summary, Summary)
    assert (summary.given, summary.reached) == (50, 0)
    assert len({key_of(row) for row in rows}) == 4


def test_a_disk_that_takes_a_part_of_a_line_leaves_whole_lines(tmp_path, monkeypatch):
    kept = Results(tmp_path / "search.csv", "s")
    rows = [Row("s", "screen", 0, Architecture(), seed, 0, 0, 8, 8, 0.5, 0.5, "trained", 0.0) for seed in (0, 1)]
    kept.add(rows[:1])
    before = kept.path.read_bytes()
    plain, parts = os.write, []

    def nearly_full(descriptor, content):
        parts.append(len(content))
        if len(parts) > 1:
            raise OSError(errno.ENOSPC, "full")
        return plain(descriptor, content[:10])

    monkeypatch.setattr(os, "write", nearly_full)
    with pytest.raises(OSError, match="full"):
        kept.add(rows[1:])
    monkeypatch.setattr(os, "write", lambda descriptor, content: plain(descriptor, content[:10]))
    assert kept.path.read_bytes() == before
    kept.add(rows[1:])
    assert len(Results(kept.path, "s").rows) == 2
