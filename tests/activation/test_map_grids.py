"""Feature map grids say what they show; frames lie around the patch."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from cnnaudit.activation import Box, draw_feature_maps, feature_map_grid, outlined
from cnnaudit.core.errors import DataError


def words(figure):
    return [text.get_text() for text in figure.axes[0].texts], figure.axes[0].get_title(loc="left")


def test_the_strongest_is_labelled_and_dead_maps_are_marked():
    maps = torch.rand(10, 6, 4) / 2
    maps[3] = 0
    maps[7, 2, 2] = 5
    figure = draw_feature_maps(maps, "conv1", most=64)
    labels, title = words(figure)
    assert labels == ["0", "1", "2", "3 dead", "4", "5", "6", "7 max", "8", "9"]
    assert title == "conv1, 10 maps of 6 x 4, 1 dead"
    assert len(figure.axes[0].patches) == 1 and len(figure.axes[0].lines) == 2
    assert figure.axes[1].get_xlabel() == "activation" and figure.axes[0].images[0].get_clim() == (0, 5)


def test_of_many_maps_the_strongest_are_shown_or_a_page():
    maps = torch.arange(1.0, 101)[:, None, None].expand(100, 2, 2)
    labels, title = words(draw_feature_maps(maps, most=8))
    assert labels == ["92", "93", "94", "95", "96", "97", "98", "99 max"] and title.startswith(
        "the 8 strongest of 100 maps"
    )
    labels, title = words(draw_feature_maps(maps, most=30, page=4))
    assert labels[0] == "90" and len(labels) == 10 and "maps 90 to 99 of 100 maps of 2 x 2, page 4 of 4" in title
    with pytest.raises(DataError, match="page 5 of 4 does not exist"):
        draw_feature_maps(maps, most=30, page=5)


def test_the_mosaic_holds_every_value_where_its_number_stands():
    maps = torch.rand(5, 3, 6)
    axes = draw_feature_maps(maps, columns=2).axes[0]
    picture = axes.images[0]
    data, (left, right, bottom, top) = picture.get_array().filled(np.nan), picture.get_extent()
    scale = data.shape[1] / (right - left)
    assert (bottom - top) == pytest.approx(data.shape[0] / scale)
    for unit, text in enumerate(axes.texts):
        column = round(text.get_position()[0] * scale)
        row = round((text.get_position()[1] + 0.06 * 0.5) * scale)
        factor = round(scale / 6)
        tile = data[row : row + 3 * factor : factor, column : column + 6 * factor : factor]
        np.testing.assert_allclose(tile, maps[unit].numpy())


def test_signed_maps_have_zero_in_the_middle_of_the_scale():
    figure = draw_feature_maps(torch.tensor([[[-3.0, 1.0]]]))
    assert figure.axes[0].images[0].get_clim() == (-3, 3)
    silent = draw_feature_maps(torch.zeros(2, 3, 3))
    assert words(silent)[0] == ["0 dead", "1 dead"] and figure.axes[0].images


def test_the_png_can_be_read_and_wrong_maps_are_refused():
    with Image.open(io.BytesIO(feature_map_grid(torch.rand(70, 7, 7), "deep"))) as image:
        assert image.width == 1040 and image.format == "PNG"
    for wrong in (torch.rand(3, 3), torch.rand(0, 3, 3), torch.full((1, 2, 2), torch.nan)):
        with pytest.raises(DataError, match="expected finite numbers"):
            feature_map_grid(wrong)


def test_the_frame_lies_around_the_patch_where_there_is_room():
    image = torch.zeros(1, 12, 12)
    framed = outlined(image, Box(3, 4, 8, 9))
    assert framed.shape == (3, 12, 12)
    assert (
        not framed[:, 3:8, 4:9].any()
        and framed[0, 2:9, 3].all()
        and framed[0, 8, 3:10].all()
        and not framed[0, 1].any()
    )
    edge = outlined(image, Box(0, 0, 5, 12))
    assert edge[0, 0].all() and edge[0, :, 0][:6].all() and edge[0, 5].all() and not edge[0, 1:5, 1:-1].any()
    assert not outlined(image, Box(0, 0, 0, 0)).any()
