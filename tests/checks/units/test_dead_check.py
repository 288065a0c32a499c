"""`units.dead`: the counts, the bound, the interval, what is covered, and what cannot be judged."""

import numpy as np
import torch
from torch import nn

from cnnaudit.checks.units.dead import dead, pushed
from cnnaudit.target import AuditTarget


def parts(findings):
    return {finding.part: finding for finding in findings}


def target(model, shape=(1, 28, 28), n=40):
    images = torch.rand(n, *shape, generator=torch.Generator().manual_seed(0))
    return AuditTarget.from_arrays("t", model.eval(), {"validation": (images, np.arange(n) % 2)}, classes=("a", "b"))


def test_dead_units_are_counted_with_their_bound_their_twin_and_what_is_covered():
    finding = parts(dead(pushed(0, bias=-100.0)))["never"]
    assert finding.statistic == 30 / 32 and finding.interval == (30 / 32, 30 / 32) and finding.locations[0].layer == "0"
    assert "In layer 0, the worst, 30 of 32 units (94%) never fire on the 500 images" in finding.summary
    assert "up to 0.6% of other images" in finding.summary and "in an untrained twin" in finding.summary
    assert "covers the 1 of the 2 convolutions and dense layers that can be judged" in finding.summary
    assert finding.evidence[0]["rows"][0][:4] == ["0", 32, 30, 0.938]


def test_a_pass_names_the_worst_layer_and_its_share():
    finding = parts(dead(pushed(0, bias=-100.0, share=0.77)))["never"]
    assert finding.verdict == "pass" and "In layer 0, the worst, 24 of 32 units (75%) never fire" in finding.summary


def test_the_interval_knows_that_rare_units_may_miss_other_images():
    model = nn.Sequential(nn.Conv2d(1, 10, 1), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(10, 2))
    with torch.no_grad():
        model[0].weight.fill_(1)
        model[0].bias.fill_(-0.5)
    shown = torch.zeros(200, 1, 4, 4)
    shown[0] = 1  # all units fire in this image and in no other
    data = {"validation": (shown, np.arange(200) % 2)}
    found = parts(dead(AuditTarget.from_arrays("rare", model, data, classes=("a", "b"))))
    assert found["never"].statistic == 0 and found["never"].interval[1] == 1
    assert found["never"].verdict == "inconclusive" and found["always"].verdict == "pass"


def test_without_an_activation_function_neither_question_applies_and_the_reason_is_true():
    layers = nn.Conv2d(1, 4, 28), nn.Tanh(), nn.Flatten(), nn.Linear(4, 2)
    for finding in dead(target(nn.Sequential(*layers))):
        assert finding.verdict == "not_applicable"
        assert "was seen directly after any of the 2 convolutions and dense layers" in finding.summary
    finding, _ = dead(target(Pooled()))
    assert finding.summary == "the model has no 2-d convolution and no dense layer"


class Pooled(nn.Module):
    def forward(self, images):
        return images.flatten(1)[:, :2]


class Transformer(nn.Module):
    """A patch embedding, attention and an MLP of which most units are pushed far down."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Conv2d(1, 16, 7, stride=7)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.up, self.gelu, self.down = nn.Linear(16, 40), nn.GELU(), nn.Linear(40, 16)
        self.head = nn.Linear(16, 2)

    def forward(self, images):
        tokens = self.embedding(images).flatten(2).transpose(1, 2)
        tokens = tokens + self.attention(tokens, tokens, tokens)[0]
        return self.head((tokens + self.down(self.gelu(self.up(tokens)))).mean(1))


def test_the_mlp_of_a_transformer_is_judged():
    torch.manual_seed(0)
    model = Transformer()
    with torch.no_grad():
        model.up.bias[:36] = -100
        model.up.bias[36:] = 100
    found = parts(dead(target(model)))
    assert found["never"].verdict == "fail" and "In layer up, the worst, 36 of 40 units (90%)" in found["never"].summary
    assert found["always"].statistic == 0.1
    assert "covers the 1 of the 4 convolutions and dense layers with an activation" in found["always"].summary


def test_the_same_seed_gives_the_same_intervals():
    built = pushed(1)
    one, two = dead(built, seed=5), dead(built, seed=5)
    assert [(f.interval, f.evidence) for f in one] == [(f.interval, f.evidence) for f in two]
