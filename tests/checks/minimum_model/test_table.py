"""Claims of small models: which are asked for, and which networks are trained anew."""

from __future__ import annotations

import torch

from cnnaudit.checks.minimum_model._reproduction import candidates, own_architecture
from cnnaudit.checks.minimum_model.table import claiming
from cnnaudit.checks.minimum_model.table import table as check_table
from cnnaudit.models import lenet, minimum
from cnnaudit.target import AuditTarget


def test_the_claim_of_a_large_model_is_not_asked_for():
    target = claiming(0, 0.9, {"transformation": "scaling", "noise": 0, "inverted": False})
    large = AuditTarget.from_arrays(
        "large", lenet(classes=3), {name: target.sample(name) for name in ("train", "validation")}, ("a", "b", "c")
    )
    found = check_table(large)
    assert found.verdict == "not_applicable"
    assert "2,000 parameters" in found.summary


def test_the_audited_architecture_is_rebuilt_only_where_it_answers_alike():
    images = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    model = minimum(pool=14, hidden=12).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # a filter that never fires would answer halved images alike
            parameter.abs_()
    again = own_architecture(model, images)
    assert again is not None
    assert torch.allclose(again()(images), model(images))
    assert own_architecture(lenet().eval(), images) is None

    class Halved(torch.nn.Sequential):
        def forward(self, inputs):
            return super().forward(inputs / 2)

    halved = Halved(*model.children()).eval()
    assert own_architecture(halved, images) is None


def test_candidates_have_at_most_the_parameters():
    assert max(network.parameters for network in candidates(16, 28, 1, 3)) == 16
    assert not candidates(15, 28, 1, 3)
