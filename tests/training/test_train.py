"""Training by a plan: interrupted and resumed to the same weights, every choice does what it says."""

import numpy as np
import pytest
import torch
from torch import nn

from cnnaudit.core.errors import DataError, ModelError
from cnnaudit.data import digits
from cnnaudit.models import lenet
from cnnaudit.target.arrays import ArraySplit
from cnnaudit.training import Plan, train
from cnnaudit.training.augmentation import augmentation
from cnnaudit.training.checkpoints import STATE, weights_file
from cnnaudit.training.course import confusion
from cnnaudit.training.frozen_layers import trained_part
from cnnaudit.training.plan import OPTIMIZERS, SCHEDULES


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def split(n=120, start=0):
    data = digits()
    return ArraySplit("train", data.images[start : start + n], data.labels[start : start + n], 10)


def network():
    torch.manual_seed(0)
    return nn.Sequential(lenet((4, 4), 8, classes=16), nn.BatchNorm1d(16), nn.Dropout(0.3), nn.Linear(16, 10))


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def equal(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_interrupted_training_ends_at_the_same_weights(tmp_path, optimizer):
    shift = 0.1 if optimizer == "adadelta" else 0.0  # the slow part, once
    plan = Plan(optimizer=optimizer, epochs=3, batch_size=50, schedule="cosine", flip=True, shift=shift, seed=3)
    whole, cut = network(), network()
    course = train(whole, split(), split(60, 300), plan, tmp_path / "whole")

    reads = []

    class Interrupted(ArraySplit):
        def read(self, indices):
            reads.append(len(indices))
            if len(reads) == 8:  # in the middle of the second epoch
                raise KeyboardInterrupt
            return super().read(indices)

    data = digits()
    with pytest.raises(KeyboardInterrupt):
        train(
            cut, Interrupted("train", data.images[:120], data.labels[:120], 10), split(60, 300), plan, tmp_path / "cut"
        )
    torch.rand(7)  # the global random state is somewhere else now
    assert (tmp_path / "cut" / STATE).exists() and not equal(weights(cut), weights(whole))
    told = []
    resumed = train(network(), split(), split(60, 300), plan, tmp_path / "cut", after_epoch=told.append)
    assert resumed.epochs == course.epochs == tuple(told)
    for epoch in (1, 2, 3):
        names = [tmp_path / name / weights_file(epoch) for name in ("whole", "cut")]
        assert names[0].read_bytes() == names[1].read_bytes()


def test_a_training_that_is_over_is_not_done_again(tmp_path):
    plan, model = Plan(epochs=1), network()
    train(model, split(), split(60), plan, tmp_path)
    again = network()
    course = train(again, split(), split(60), plan, tmp_path)
    assert equal(weights(model), weights(again)) and len(course.epochs) == 1
    assert len(course.predicted) == 60


def test_the_folder_of_another_training_is_refused(tmp_path):
    train(network(), split(), split(60), Plan(epochs=1), tmp_path)
    with pytest.raises(DataError, match=r"training\.pt: this is another training \(epochs was 1, is now 2\)"):
        train(network(), split(), split(60), Plan(epochs=2), tmp_path)
    with pytest.raises(DataError, match="its data differ"):
        train(network(), split(100), split(60), Plan(epochs=1), tmp_path)


@pytest.mark.parametrize("content", [b"", b"no torch file", b"PK\x03\x04 broken"])
def test_a_damaged_state_is_refused(tmp_path, content):
    (tmp_path / STATE).write_bytes(content)
    with pytest.raises(DataError, match="Remove the file to start anew"):
        train(network(), split(), split(60), Plan(epochs=1), tmp_path)


def test_torchs_random_state_stays_as_it_was():
    model = lenet((4, 4), 8)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(model, split(), split(60), Plan(epochs=1, flip=True))
    assert torch.equal(torch.rand(3), expected)


def test_it_learns_and_validates():
    course = train(lenet((4, 8), 16), split(1000), split(400, 1200), Plan(learning_rate=0.003, epochs=4, batch_size=32))
    losses = [epoch.validation_loss for epoch in course.epochs]
    assert losses == sorted(losses, reverse=True) and course.end.validation_accuracy > 0.75
    right = (course.predicted == split(400, 1200).labels).mean()
    assert right == course.end.validation_accuracy
    table = confusion(split(400, 1200).labels, course.predicted, 10)
    assert table.sum() == 400 and np.trace(table) == right * 400
    assert list(course.to_frame().number) == [1, 2, 3, 4]


def test_early_stopping_returns_the_best_weights():
    model = lenet((4, 4), 8)
    course = train(model, split(60), split(60, 300), Plan("sgd", learning_rate=0.8, epochs=12, patience=2))
    losses = [epoch.validation_loss for epoch in course.epochs]
    assert len(losses) < 12 and len(losses) - course.chosen == 2 and course.end.validation_loss == min(losses)
    with torch.no_grad():
        logits = model(split(60, 300).read(np.arange(60)))
    assert float(nn.functional.cross_entropy(logits, torch.from_numpy(split(60, 300).labels))) == pytest.approx(
        min(losses)
    )


def test_class_weights_count_classes_alike():
    labels = np.array([0] * 95 + [1] * 5)
    rng = np.random.default_rng(0)
    images = rng.random((100, 1, 4, 4), dtype=np.float32) * 0.5  # nothing tells the classes apart
    rare = ArraySplit("train", images, labels, 2)
    shares = {}
    for weighted in (False, True):
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
        train(model, rare, rare, Plan("adam", 0.01, epochs=40, batch_size=100, class_weights=weighted))
        with torch.no_grad():
            shares[weighted] = float(model(torch.from_numpy(images)).softmax(1)[:, 1].mean())
    assert shares[False] < 0.2 and 0.4 < shares[True] < 0.6


def test_frozen_layers_keep_weights_and_statistics():
    model = network()
    before = weights(model)
    train(model, split(), split(60), Plan(epochs=1, first_layer="3", anew=False))
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"3.weight", "3.bias"}


def test_an_inner_layer_may_be_the_first():
    parameters, frozen = trained_part(network(), "0.hidden")
    assert len(parameters) == 2 * 4 and len(frozen) == 7
    with pytest.raises(DataError, match=r"no layer '0\.hiden'; did you mean '0\.hidden'"):
        trained_part(network(), "0.hiden")
    with pytest.raises(DataError, match="name an earlier one"):
        trained_part(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), "1")


def test_augmentation_changes_each_image_on_its_own():
    ramp = torch.linspace(0, 1, 12).expand(40, 1, 12, 12).clone()
    torch.manual_seed(0)
    flipped = augmentation(Plan(flip=True), (12, 12))(ramp)
    kinds = {tuple(image[0, 0].tolist()) for image in flipped}
    assert len(kinds) == 2
    shifted = augmentation(Plan(shift=0.25), (12, 12))(ramp)
    assert shifted.min() >= 0 and len({tuple(image[0, 0].tolist()) for image in shifted}) > 3
    white = torch.ones(8, 1, 12, 12)
    changed = augmentation(Plan(shift=0.3, rotation=45), (12, 12))(white)
    assert changed.min() > 0.99, "the border is continued, so that white stays white"
    assert augmentation(Plan(), (12, 12)) is None


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"optimizer": "adm"}, "did you mean 'adam'"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"epochs": 0}, "epochs must be 1"),
        ({"dropout": 1.0}, "dropout must be"),
        ({"learning_rate": -1.0}, "learning_rate must be above 0"),
        ({"patience": 0}, "patience at least 1"),
        ({"shift": 0.7}, "shift must be"),
    ],
)
def test_wrong_plans_are_refused(wrong, says):
    with pytest.raises(DataError, match=says):
        Plan(**wrong)


def test_schedules_end_low():
    for name, factor in SCHEDULES.items():
        values = [factor(t / 100) for t in range(100)]
        assert values == sorted(values, reverse=True) and values[0] == 1, name
        assert name == "constant" or values[-1] < 0.02


def test_what_cannot_be_trained_is_refused():
    with pytest.raises(DataError, match="no dropout layer"):
        train(lenet((4, 4), 8), split(), split(60), Plan(epochs=1, dropout=0.5))
    few = ArraySplit("train", np.zeros((3, 1, 28, 28), np.float32), np.array([0, 2, 2]), 10)
    with pytest.raises(DataError, match=r"no image of the classes \[1,"):
        train(lenet((4, 4), 8), few, split(60), Plan(epochs=1))
    with pytest.raises(ModelError, match=r"lower the learning rate"):
        train(lenet((4, 4), 8), split(), split(60), Plan("sgd", 1e30, epochs=3))
