"""Stimuli, positions and the measurement of a blind spot."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import binom

from cnnaudit.checks.padding._blind_spot import (
    Grid,
    PositionScan,
    Stimulus,
    find_blind_spot,
    grid_for,
    paired_drop_interval,
    scan_positions,
    stimulus_of,
)
from cnnaudit.core.errors import UnsupportedError

SIZE = (20, 24)
WHOLE = Grid()


def stimulus(label: int = 0, center=(0.5, 0.5), side: int = 4) -> Stimulus:
    return Stimulus(torch.full((1, side, side), 0.25 + 0.5 * label), torch.zeros(1), center, label)


def reader(blind=None):
    """Reads the label from the brightest pixel; where `blind(row, column)` of that pixel, always 0."""

    def logits(images):
        answers = []
        for image in images:
            flat = int(image[0].argmax())
            row, column = divmod(flat, image.shape[-1])
            label = 0 if blind and blind(row, column) else int(image.max() > 0.5)
            answers.append([5.0 * (label == 0), 5.0 * (label == 1)])
        return torch.tensor(answers)

    return logits


@pytest.mark.parametrize("position, corner", [(0, (0, 0)), (24, (16, 20)), (12, (8, 10)), (4, (0, 20))])
def test_corners_and_center(position, corner):
    patch = stimulus(1)
    image = WHOLE.image(patch, position, SIZE)
    assert image.sum() == pytest.approx(16 * 0.75)
    top, left = corner
    assert torch.equal(image[:, top : top + 4, left : left + 4], patch.pixels)


def test_small_content_is_cut_out_and_large_content_is_made_smaller():
    image = torch.ones(1, 30, 30)
    image[:, 4:10, 20:24] = 0
    found = stimulus_of(image, 3)
    assert found.pixels.shape == (1, 6 + 4, 4 + 4) and found.label == 3 and found.color.tolist() == [1.0]
    assert found.center == pytest.approx((7 / 30, 22 / 30))
    assert torch.equal(found.pixels, image[:, 2:12, 18:26])
    image[:, 1:29, 5:20] = 0
    large = stimulus_of(image, 3)
    assert max(large.pixels.shape) == 20
    assert stimulus_of(torch.ones(1, 30, 30), 3) is None


def corner_of(image):
    rows, columns = image[0].nonzero(as_tuple=True)
    return int(rows.min()), int(columns.min())


def test_without_a_claim_the_grid_spans_the_image():
    assert grid_for([stimulus()], SIZE) == grid_for([stimulus()], SIZE, 0) == Grid()
    assert Grid().rows == Grid().columns == (0, 0.25, 0.5, 0.75, 1)


def test_a_claim_on_centered_data_promises_moves_around_each_own_place():
    centered = [stimulus(center=(0.5 + d, 0.5 - d)) for d in np.linspace(-0.1, 0.1, 21)]
    grid = grid_for(centered, SIZE, 2)
    assert grid.moves and grid.rows == grid.columns == (-2, -1, 0, 1, 2)
    patch = stimulus(1, center=(0.4, 0.5))  # its own corner: row 6, column 10
    assert corner_of(grid.image(patch, 0, SIZE)) == (4, 8)
    assert corner_of(grid.image(patch, 12, SIZE)) == (6, 10)
    assert corner_of(grid.image(patch, 24, SIZE)) == (8, 12)
    assert "-2 rows and +2 columns" in grid.words(4)


def test_a_claim_on_data_that_stand_anywhere_promises_all_their_places():
    anywhere = [stimulus(center=(c, c)) for c in np.linspace(0.2, 0.8, 101)]
    grid = grid_for(anywhere, SIZE, 1)
    assert not grid.moves
    assert corner_of(grid.image(stimulus(1), 0, SIZE)) == (round(0.23 * 20 - 1 - 2), round(0.23 * 24 - 1 - 2))
    wide = grid_for(anywhere, SIZE, 8)
    assert wide.rows == wide.columns == Grid().rows


def test_a_claim_keeps_the_size_of_the_content():
    image = torch.ones(1, 30, 30)
    image[:, 3:27, 8:20] = 0
    assert max(stimulus_of(image, 0).pixels.shape) == 20
    assert max(stimulus_of(image, 0, 1).pixels.shape) == 28
    assert max(stimulus_of(image, 0, 3).pixels.shape) == 24


def test_the_scan_finds_the_worst_place():
    stimuli = [stimulus(k % 2) for k in range(12)]
    scan = scan_positions(reader(lambda row, column: row >= 16 and column >= 20), stimuli, SIZE, WHOLE)
    assert scan.worst == 24
    assert scan.correct.mean(0)[24] == 0.5 and scan.correct[:, :24].all()
    null = scan.null(200, np.random.default_rng(0))
    assert scan.p_value(null) == 1 / 201


def test_positions_that_do_not_matter_give_uniform_p_values():
    rng = np.random.default_rng(0)
    p_values = []
    for _ in range(60):
        scan = PositionScan(np.ones((8, 25), bool), rng.random((8, 25)))
        p_values.append(scan.p_value(scan.null(99, rng)))
    assert 0.35 < np.mean(p_values) < 0.65
    assert np.mean(np.array(p_values) <= 0.05) < 0.15


def test_the_drop_is_measured_on_fresh_stimuli():
    stimuli = [stimulus(k % 2) for k in range(60)]
    spot = find_blind_spot(
        reader(lambda row, column: row >= 16 and column >= 20),
        stimuli,
        SIZE,
        WHOLE,
        searched=20,
        rng=np.random.default_rng(0),
    )
    assert len(spot.truth) == 40
    assert spot.drop == 0.5 and spot.lost.sum() == 20 and spot.gained.sum() == 0
    low, high = spot.interval(0.95)
    assert low < 0.5 < high


def test_no_drop_where_positions_do_not_matter():
    stimuli = [stimulus(k % 2) for k in range(60)]
    spot = find_blind_spot(reader(), stimuli, SIZE, WHOLE, searched=20, rng=np.random.default_rng(0))
    assert spot.drop == 0
    assert spot.interval(0.95)[1] < 0.13


def test_a_search_over_noise_does_not_bias_the_drop():
    drops = []
    for seed in range(40):
        rng = np.random.default_rng(seed)

        def coin(images, rng=rng):
            right = torch.tensor(rng.random(len(images)) < 0.92)
            label = (images.amax((1, 2, 3)) > 0.5) == right
            return torch.stack([~label, label], 1).double()

        stimuli = [stimulus(k % 2) for k in range(60)]
        drops.append(find_blind_spot(coin, stimuli, SIZE, WHOLE, searched=10, rng=rng).drop)
    assert abs(np.mean(drops)) < 3 * np.std(drops) / np.sqrt(len(drops))


def test_a_model_that_recognizes_nothing_is_not_asked():
    stimuli = [stimulus(k % 2) for k in range(40)]
    with pytest.raises(UnsupportedError, match="only 15 of 30 images"):
        find_blind_spot(reader(lambda *_: True), stimuli, SIZE, WHOLE, searched=10, rng=np.random.default_rng(0))


def test_a_model_that_sees_one_place_only_is_not_let_off():
    stimuli = [stimulus(k % 2) for k in range(60)]
    center_only = reader(lambda row, column: not (6 < row < 12 and 8 < column < 14))
    spot = find_blind_spot(center_only, stimuli, SIZE, WHOLE, searched=10, rng=np.random.default_rng(0))
    assert spot.scan.best == 12 and not spot.everywhere
    assert spot.drop == 0.5


@pytest.mark.parametrize("n, confidence", [(60, 0.9), (40, 0.997)])
@pytest.mark.parametrize("lost, gained", [(0.0, 0.0), (0.02, 0.0), (0.05, 0.05), (0.2, 0.05), (0.3, 0.3), (0.5, 0.0)])
def test_the_interval_covers(lost, gained, n, confidence):
    covered = 0.0
    for b in range(n + 1):
        for c in range(n + 1 - b):
            weight = binom.pmf(b, n, lost) * binom.pmf(c, n - b, gained / (1 - lost))
            if weight > 1e-9:
                low, high = paired_drop_interval(b, c, n, confidence)
                covered += weight * (low - 1e-12 <= lost - gained <= high + 1e-12)
    assert covered >= confidence


def test_the_interval_is_symmetric_in_lost_and_gained():
    low, high = paired_drop_interval(7, 3, 50, 0.95)
    assert paired_drop_interval(3, 7, 50, 0.95) == pytest.approx((-high, -low))
    assert paired_drop_interval(50, 0, 50, 0.95)[1] == pytest.approx(1)
