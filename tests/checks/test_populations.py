"""The zoo of clean targets: what a seed names, how it is trained and kept, and that the networks are good."""

from __future__ import annotations

import os
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from cnnaudit.checks import photographs, populations
from cnnaudit.checks.populations import ARCHITECTURES, available, build, design, ordinary, warm
from cnnaudit.core.errors import DataError
from cnnaudit.target import AuditTarget
from cnnaudit.training import kept

DATA = os.environ.get("CNNAUDIT_DATA")
SETS = ("digits", "mnist", "fashion_mnist", "cifar10")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(kept.CACHE, str(tmp_path_factory.mktemp("networks")))
        yield Path(os.environ[kept.CACHE]) / "networks"


def forget() -> None:
    populations._trained.cache_clear()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch):
    """One epoch of each training, for tests that ask other things of a network than to be good."""
    settings = populations._settings
    monkeypatch.setattr(populations, "_settings", lambda plan: {**settings(plan), "epochs": 1})
    monkeypatch.setattr(populations, "_has_learned", lambda *_: True)
    forget()
    yield
    forget()


def weights(target: AuditTarget) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in target.model.state_dict().items()}


def accuracy(target: AuditTarget) -> float:
    images, labels = target.sample("validation")
    return float((target.logits(images).argmax(1) == labels).double().mean())


@pytest.mark.parametrize("data", SETS)
@pytest.mark.parametrize("start", [0, 17, 75, 1000])
def test_75_seeds_hold_all_pairs_sizes_and_architectures(data: str, start: int) -> None:
    plans = [design(data, seed) for seed in range(start, start + 75)]
    pairs = [plan.classes for plan in plans if len(plan.classes) == 2]
    assert len(pairs) == len(set(pairs)) == 45
    assert set(Counter(len(plan.classes) for plan in plans)) == {2, 3, 5, 7, 10}
    assert min(Counter(plan.architecture for plan in plans)[name] for name in ARCHITECTURES) >= 10
    assert all(plan.classes == tuple(sorted(set(plan.classes))) for plan in plans)


@pytest.mark.parametrize("data", SETS)
def test_no_factor_stands_for_another(data: str) -> None:
    """In 280 seeds every size of subset meets every architecture, and every size and architecture all four kinds."""
    plans = [design(data, seed) for seed in range(280)]
    assert len({(len(plan.classes), plan.architecture) for plan in plans}) == 5 * 7
    kinds = 2 if data == "cifar10" else 4
    assert len({(plan.architecture, plan.imbalanced, plan.shifted) for plan in plans}) == 7 * kinds
    each = (
        {(len(plan.classes), plan.imbalanced) for plan in plans},
        {(len(plan.classes), plan.shifted) for plan in plans},
    )
    assert [len(found) for found in each] == [10, 5 if data == "cifar10" else 10]
    assert 0.2 < np.mean([plan.imbalanced for plan in plans]) < 0.3


def test_the_same_seed_gives_the_same_target_and_another_another(short: None) -> None:
    first, other = build("digits", 1), build("digits", 76)
    fresh = weights(first)
    assert first.name == build("digits", 1).name != other.name
    assert weights(build("digits", 1)) == fresh != weights(other)
    for split in ("train", "validation"):
        assert torch.equal(first.sample(split)[0], build("digits", 1).sample(split)[0])
    with torch.no_grad():
        next(first.model.parameters()).zero_()
    assert weights(build("digits", 1)) == fresh  # whoever changes a target changes only that one


def test_what_is_kept_is_bit_for_bit_what_is_trained(
    cache: Path, short: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in (1, 5):  # without and with batch normalization
        trained = weights(build("digits", seed))
        files = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
        forget()
        assert weights(build("digits", seed)) == trained
        assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == files
        forget()
        with monkeypatch.context() as patch:
            patch.setenv(kept.CACHE, str(tmp_path))
            assert weights(build("digits", seed)) == trained
        forget()
    assert {path.name for path in (tmp_path / "networks").iterdir()} <= {path.name for path in cache.iterdir()}


def small(classes: int = 2) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten(), torch.nn.Linear(2 * 36, classes))


def test_every_ingredient_of_a_training_has_its_own_file(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    data = rng.integers(0, 256, (80, 1, 8, 8), dtype=np.uint8), np.arange(80) % 2
    last = data[0].copy()
    last[-1, 0, 0, 0] ^= 1
    key = kept._key(small, data, 0, {"epochs": 2})
    others = {
        kept._key(small, data, 1, {"epochs": 2}),
        kept._key(small, data, 0, {"epochs": 3}),
        kept._key(small, data, 0, {"epochs": 2, "batch_size": 16}),
        kept._key(small, (last, data[1]), 0, {"epochs": 2}),
        kept._key(small, (data[0], 1 - data[1]), 0, {"epochs": 2}),
        kept._key(lambda: torch.nn.Sequential(small(), torch.nn.SiLU()), data, 0, {"epochs": 2}),
    }
    with monkeypatch.context() as patch:  # another way of training
        patch.setattr(kept, "fit", lambda *given, **settings: kept_fit(*given, **{**settings, "learning_rate": 0.02}))
        others.add(kept._key(small, data, 0, {"epochs": 2}))
    assert len(others) == 7
    assert key not in others
    assert kept._key(small, data, 0, {"epochs": 2}) == key


kept_fit = kept.fit


def test_a_broken_file_is_trained_again_and_replaced(cache: Path) -> None:
    data = np.random.default_rng(0).random((40, 1, 8, 8), dtype=np.float32), np.arange(40) % 2
    before = set(cache.iterdir()) if cache.exists() else set()
    trained = kept.fit_once(small, data, 0, epochs=1).state_dict()
    (path,) = set(cache.iterdir()) - before
    whole = path.read_bytes()
    for broken in (b"", whole[:-8], b"\xff" * 64):
        path.write_bytes(broken)
        again = kept.fit_once(small, data, 0, epochs=1).state_dict()
        assert all(torch.equal(again[name], value) for name, value in trained.items())
        assert path.read_bytes() == whole
    assert not [other for other in cache.iterdir() if other.suffix == ".part"]


def test_training_leaves_threads_and_the_random_state_alone() -> None:
    torch.manual_seed(5)
    expected, threads = torch.rand(3), torch.get_num_threads()
    torch.manual_seed(5)
    data = np.random.default_rng(1).random((40, 1, 8, 8), dtype=np.float32), np.arange(40) % 2
    kept.fit_once(small, data, 0, epochs=1)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_the_folder_of_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(kept.CACHE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert kept.cache_folder() == tmp_path / "cnnaudit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert kept.cache_folder() == Path.home() / ".cache" / "cnnaudit"


def test_the_networks_are_good(cache: Path) -> None:
    found = {seed: accuracy(build("digits", seed)) for seed in (1, 5)}
    assert min(found.values()) > 0.9, found


def test_a_network_that_died_is_trained_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers the same class for every image in the first training, and in all five."""
    seeds: list[int] = []
    train = kept.fit_once

    def dying(architecture, data, seed, **settings):
        seeds.append(seed)
        model = train(architecture, data, seed, **{**settings, "epochs": 12})
        if len(seeds) <= deaths:
            torch.nn.init.zeros_(model.output.weight)
        return model

    monkeypatch.setattr(kept, "fit_once", dying)
    forget()
    deaths = 1
    assert accuracy(build("digits", 1)) > 0.9
    assert seeds == [1, 1_000_001]
    forget()
    seeds.clear()
    deaths = 5
    with pytest.raises(DataError, match="none of five trainings beats the most frequent class"):
        build("digits", 1)
    assert len(seeds) == 5


def test_imbalance_and_shift_are_what_they_say() -> None:
    plans = [design("digits", seed) for seed in range(40)]
    three_to_one = next(plan for plan in plans if plan.imbalanced and len(plan.classes) == 2)
    for images, labels in populations._splits(three_to_one).values():
        few, many = sorted(np.bincount(labels))
        assert 2.6 < many / few < 3.4
        assert images.dtype == np.uint8
    shifted = next(plan for plan in plans if plan.shifted)
    images, _ = populations._splits(shifted)["train"]
    assert images.shape[1:] == (1, 36, 36)
    tops = (images[:, 0].max(2) > 0).argmax(1)
    assert np.ptp(tops) >= 8
    ink = np.sort(images.reshape(len(images), -1).astype(int).sum(1))
    centered = populations._splits(populations.Ordinary(**{**vars(shifted), "shifted": False}))["train"][0]
    assert np.array_equal(np.sort(centered.reshape(len(centered), -1).astype(int).sum(1)), ink)  # nothing is cut off


def test_train_and_validation_share_no_image() -> None:
    splits = populations._splits(design("digits", 4))
    seen = {image.tobytes() for image in splits["train"][0]}
    assert not any(image.tobytes() in seen for image in splits["validation"][0])


def test_populations_of_a_check(short: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CNNAUDIT_DATA", raising=False)
    (only,) = ordinary(seeds=300, part="this", check="a.check")
    assert (only.check, only.seeds, only.part) == ("a.check", 300, "this")
    assert photographs.photographs() == []
    monkeypatch.setenv("CNNAUDIT_DATA", str(tmp_path))
    for name in ("mnist", "fashion_mnist", "cifar10"):
        (tmp_path / f"{name}.npz").touch()
    assert available() == SETS
    found = ordinary(seeds=300)
    assert [population.seeds for population in found] == [75] * 4
    assert weights(pickle.loads(pickle.dumps(found[0].build))(1)) == weights(build("digits", 1))


def test_data_that_are_unknown_or_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CNNAUDIT_DATA", raising=False)
    forget()  # another test of this process may have built the same target
    with pytest.raises(DataError, match="data must be one of digits, mnist, fashion_mnist, cifar10, got 'svhn'"):
        design("svhn", 0)
    with pytest.raises(DataError, match=r"set CNNAUDIT_DATA to the folder that holds mnist\.npz"):
        build("mnist", 0)
    with pytest.raises(DataError, match="expected one of mobilenet_v2, inception_v3, got 'resnet'"):
        photographs.published("resnet")
    monkeypatch.setattr(photographs, "_photographs", lambda *_: None)
    with pytest.raises(DataError, match=r"mobilenet_v2_imagenet\.safetensors not found"):
        photographs.published("mobilenet_v2")


def test_warming_trains_once_and_tells_what_came_of_it(
    cache: Path, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CNNAUDIT_DATA", raising=False)
    rows = warm(seeds=2)
    assert [(row["data"], row["seed"]) for row in rows] == [("digits", 0), ("digits", 1)]
    files = set(cache.iterdir())
    forget()
    again = warm(seeds=2)
    assert set(cache.iterdir()) == files
    assert [row["accuracy"] for row in again] == [row["accuracy"] for row in rows]


@pytest.mark.skipif(not DATA, reason="set CNNAUDIT_DATA to a folder with MNIST and CIFAR-10")
def test_one_network_on_mnist_is_good() -> None:
    assert accuracy(build("mnist", 0)) > 0.9


@pytest.mark.skipif(not DATA, reason="set CNNAUDIT_DATA to a folder with MobileNetV2 and photographs")
def test_mobilenet_knows_the_photographs() -> None:
    target = photographs.published("mobilenet_v2")
    images, labels = (part[:24] for part in target.sample("validation"))
    assert target.classes[0] == "0 tench"
    assert float((target.logits(images).argmax(1) == labels).double().mean()) > 0.7
