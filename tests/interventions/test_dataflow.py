"""The graph of a network is that of its tensors, whatever its forward does."""

import pytest
import torch
from torch import nn

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions.dataflow import dataflow
from cnnaudit.models import small_resnet, vgg4
from cnnaudit.pages.colors import PRINT
from cnnaudit.pages.train.network_graph import boxes, graph_figure, network_rows, rows


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 3, 1)

    def forward(self, x):
        left = self.left(x)
        left += 1
        return torch.cat([left, self.right(x)], 1).split(2, 1)[0].mean((2, 3))


def test_branches_meet_where_they_are_joined():
    flow = dataflow(Branches(), torch.rand(1, 1, 4, 4))
    assert ("input", "left") in flow.edges and ("input", "right") in flow.edges
    joined = {maker for maker, reader in flow.edges if reader == "/cat:1"}
    assert joined == {"/add:1", "right"}, "an in-place sum is what is read after it"
    assert ("/split:1", "/mean:1") in flow.edges


def test_a_residual_block_adds_its_input():
    flow = dataflow(small_resnet(), torch.rand(1, 1, 28, 28))
    assert {maker for maker, reader in flow.edges if reader == "block1/add:1"} == {"relu1", "block1.norm2"}
    assert sum(node.parameters for node in flow.nodes) == 11_230


def test_parameters_and_shapes_are_listed():
    listed = network_rows(dataflow(vgg4(), torch.rand(1, 3, 32, 32)))
    assert ["hidden", "linear", "100", 819_300] in listed and sum(row[3] for row in listed) == 1_080_470


def test_many_calls_become_modules_and_every_box_is_below_what_it_reads():
    flow = dataflow(small_resnet(filters=(4, 4, 4, 8)), torch.rand(1, 1, 28, 28))
    found = boxes(flow, most=12)
    assert [box.name for box in found][:5] == ["input", "conv1", "norm1", "relu1", "block1"]
    lines = rows(boxes(flow))
    level = {name: row for row, line in enumerate(lines) for name in line}
    assert all(level[name] < level[box.name] for box in boxes(flow) for name in box.reads)
    figure = graph_figure(found, PRINT)
    assert {"input", "block1"} <= {text.get_text() for text in figure.axes[0].texts}


def test_a_network_without_calls_is_refused():
    with pytest.raises(UnsupportedError, match="no call that can be observed"):
        dataflow(nn.Sequential(), torch.rand(1, 1, 4, 4))
