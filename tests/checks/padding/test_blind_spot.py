"""Stimuli, positions, and the worst position of a model against that of the same model with other padding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import binom
from torch import nn

from cnnaudit.checks.padding._blind_spot_search import Version, find_blind_spot
from cnnaudit.checks.padding._moved_content import Grid, Stimulus, grid_for, stimulus_of
from cnnaudit.checks.padding.blind_spot import blind_spot, brightness_sum, steady_digits
from cnnaudit.core.errors import ModelError, UnsupportedError
from cnnaudit.core.statistics.paired import paired_drop_interval
from cnnaudit.interventions import calls
from cnnaudit.target import AuditTarget, Claims

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


def search(blind=None, control_blind=None, n=60, searched=20):
    stimuli = [stimulus(k % 2) for k in range(n)]
    versions = [Version(name, reader(where), SIZE) for name, where in (("own", blind), ("other", control_blind))]
    return find_blind_spot(versions[0], versions[1:], stimuli, WHOLE, searched=searched, rng=np.random.default_rng(0))


def corner(row, column):
    return row >= 16 and column >= 20


def top(row, column):
    return row < 4


def test_what_other_padding_recognizes_is_the_cost_of_the_model_s_own():
    spot = search(corner)
    assert spot.position == 24 and len(spot.truth) == 40 and spot.searched.shape == (20, 25)
    assert spot.cost == 0.5 and spot.repaired.sum() == 20 and not spot.broken.any()
    low, high = spot.interval(0.95)
    assert low < 0.5 < high and spot.p_value == pytest.approx(0.5**20)
    assert spot.accuracies() == (0.5, 1.0, 1.0) and spot.elsewhere == "elsewhere"


@pytest.mark.parametrize("control_blind", [corner, top, lambda *_: True])
def test_what_the_control_misses_too_is_not_the_padding_s_fault(control_blind):
    """Also where it misses content at other positions, or everywhere."""
    spot = search(corner, control_blind)
    assert spot.cost == 0 and spot.p_value == 1


def test_a_control_that_does_worse_does_not_accuse():
    spot = search(None, corner)
    assert spot.cost == -0.5 and spot.broken.sum() == 20 and spot.p_value == 1


def test_no_cost_where_positions_do_not_matter():
    spot = search()
    assert spot.cost == 0 and spot.interval(0.95)[1] < 0.13


def test_the_control_with_the_best_worst_position_is_compared():
    stimuli = [stimulus(k % 2) for k in range(60)]
    own, bad, good = (Version(str(k), reader(where), SIZE) for k, where in enumerate((corner, top, None)))
    for controls in ([bad, good], [good, bad]):
        spot = find_blind_spot(own, controls, stimuli, WHOLE, searched=20, rng=np.random.default_rng(0))
        assert spot.control is good and spot.cost == 0.5


def test_a_search_over_noise_does_not_bias_the_cost():
    costs = []
    for seed in range(40):
        rng = np.random.default_rng(seed)

        def coin(images, rng=rng):
            right = torch.tensor(rng.random(len(images)) < 0.92)
            label = (images.amax((1, 2, 3)) > 0.5) == right
            return torch.stack([~label, label], 1).double()

        stimuli = [stimulus(k % 2) for k in range(60)]
        both = [Version(name, coin, SIZE) for name in ("own", "other")]
        costs.append(find_blind_spot(both[0], both[1:], stimuli, WHOLE, searched=10, rng=rng).cost)
    assert np.mean(costs) < 3 * np.std(costs) / np.sqrt(len(costs))


def test_a_model_that_recognizes_nothing_is_not_asked():
    with pytest.raises(UnsupportedError, match="only 15 of 30 images"):
        search(lambda *_: True, n=40, searched=10)


def test_a_model_that_sees_one_place_only_is_not_let_off():
    spot = search(lambda row, column: not (6 < row < 12 and 8 < column < 14), searched=10)
    assert spot.elsewhere == WHOLE.words(12) == "in the middle center" and spot.cost == 0.5


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


def small(*layers: nn.Module, images=None, size=12) -> AuditTarget:
    model = nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(2))
    drawn = torch.rand(20, 1, size, size, generator=torch.Generator().manual_seed(0))
    model(drawn)
    split = {"validation": ((drawn if images is None else images).numpy(), np.arange(20) % 2)}
    return AuditTarget.from_arrays("small", model, split, classes=("a", "b"))


def test_a_model_without_padding_has_no_other_padding():
    found = blind_spot(small(nn.Conv2d(1, 2, 3), nn.ReLU()))
    assert found.verdict == "not_applicable" and "no other padding" in found.summary


def test_empty_images_hold_no_stimulus():
    found = blind_spot(small(nn.Conv2d(1, 2, 3, padding=1), images=torch.zeros(20, 1, 12, 12)))
    assert found.verdict == "not_applicable" and "only 0 of 20 images" in found.summary


def test_a_model_that_answers_nan_is_an_error():
    asked = small(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU())
    nn.init.constant_(asked.model[0].weight, float("nan"))
    with pytest.raises(ModelError, match="NaN"):
        blind_spot(asked)


@pytest.mark.parametrize("claim, gate", [(None, False), (0, False), (3, True)])
def test_a_blind_spot_fails_the_run_only_where_translation_is_claimed(claim, gate):
    found = blind_spot(replace(brightness_sum(0, 32), claims=Claims(translation_pixels=claim)))
    assert found.gate is gate and found.verdict == "fail"
    assert "33 x 33" in found.remedy and "even padding (images of 33 x 33 pixels)" in found.summary


def test_content_in_the_middle_of_each_training_image_does_not_accuse_the_padding():
    """A linear reader of the middle misses content at the border, whatever pads."""
    keep, read = nn.Conv2d(1, 1, 3, padding=1, bias=False), nn.Linear(32 * 32, 2)
    with torch.no_grad():
        keep.weight.copy_(torch.tensor([[0.0, 0, 0], [0, 1, 0], [0, 0, 0]]))
        window = torch.zeros(32, 32)
        window[10:22, 10:22] = 1
        read.weight.copy_(torch.stack([-window.flatten(), window.flatten()]))
        read.bias.copy_(torch.tensor([1.0, -1.0]) * 25 * 0.675)
    asked = brightness_sum(0, 32)
    images = asked.split("validation").read(range(500))
    middle = torch.zeros_like(images)
    middle[:, :, 13:18, 13:18] = images.amax((2, 3))[..., None, None]
    data = {"validation": (middle.numpy(), asked.split("validation").labels)}
    found = blind_spot(AuditTarget.from_arrays("m", nn.Sequential(keep, nn.Flatten(), read), data, asked.classes))
    assert found.verdict == "pass" and found.statistic == 0
    rows = next(item for item in found.evidence if item["kind"] == "table")["rows"]
    assert rows[0][2] < 0.6 < 0.9 < rows[1][2]


def test_nothing_is_left_behind():
    asked = steady_digits(0, 33)
    before, state = [value.clone() for value in asked.model.state_dict().values()], torch.get_rng_state()
    blind_spot(asked)
    assert torch.equal(state, torch.get_rng_state()) and not asked.model.training
    assert all(torch.equal(a, b) for a, b in zip(before, asked.model.state_dict().values()))
    assert calls(asked.model, torch.zeros(1, 1, 33, 33))
