"""The ring at checkpoints of a training."""

import numpy as np
import pytest
import torch

from cnnaudit.core.errors import DataError
from cnnaudit.topology import over_training, ring
from cnnaudit.topology.nulls import Settings
from cnnaudit.topology.synthetic_ring import synthetic_ring
from cnnaudit.training import fit

pytest.importorskip("ripser", reason='persistent homology needs "cnnaudit[topology]"')

FEW = {"draws": 1, "resamples": 5, "settings": Settings(landmarks=80)}


def test_each_checkpoint_is_asked_as_ring_would_be_in_the_order_of_the_epochs():
    rng = np.random.default_rng(0)
    states = {8: synthetic_ring(600, 4.0, rng), 0: rng.normal(size=(600, 9))}
    course = over_training(states, **FEW)
    assert course.epochs == (0, 8)
    for k, epoch in enumerate(course.epochs):
        alone = ring(states[epoch], describe=False, **FEW)
        assert course.relative[k] == alone.relative
        for name, band in course.bands.items():
            assert np.allclose(band[k, 1], np.median(alone.null[name]) / np.sqrt(3))
    assert course.relative[1] > 2 * course.relative[0]


@pytest.mark.parametrize("states, said", [({}, "no checkpoint"), ({3: np.zeros((500, 9))}, "epoch 3: ring")])
def test_bad_checkpoints_are_told(states, said):
    with pytest.raises(DataError, match=said):
        over_training(states, **FEW)


def test_fit_hands_over_every_epoch_from_the_first_weights_on():
    rng = np.random.default_rng(0)
    data = rng.random((40, 1, 6, 6), dtype=np.float32), np.arange(40) % 2
    seen, states = [], {}
    models = [torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.Flatten(), torch.nn.Linear(64, 2)) for _ in "ab"]

    def keep(epoch):
        seen.append(epoch)
        states[epoch] = models[0][0].weight.detach().clone()

    history = fit(models[0], data, epochs=3, after_epoch=keep)
    assert seen == [0, 1, 2, 3] and not torch.equal(states[0], states[1])
    assert torch.equal(states[3], models[0][0].weight)
    assert history == fit(models[1], data, epochs=3)  # looking changes nothing
