"""The first answer of a model is held against the audit file."""

from __future__ import annotations

import json

import pytest

from cnnaudit.checks.audit_file import load_target
from cnnaudit.core.errors import ModelError

PROBE = """
import torch
from torch import nn

class Answer(nn.Module):
    def __init__(self, code):
        super().__init__()
        self.code = code
    def forward(self, x):
        n = len(x)
        return eval(self.code)

def data(n=6):
    return torch.rand(n, 1, 4, 4), torch.arange(n) % 2
"""
ANSWERS = [
    ("torch.rand(n, 2) * 9", "", None),
    ("torch.rand(n, 2).softmax(1)", "", "set model.outputs = 'probabilities'"),
    ("torch.rand(n, 2).softmax(1)", "outputs = 'probabilities'", None),
    ("torch.rand(n, 2) * 9 - 5", "outputs = 'probabilities'", "set model.outputs = 'logits'"),
    ("torch.rand(n, 7) * 9", "", "answers 7 classes, data.classes names 2"),
    ("torch.rand(n, 7) * 9", "class_indices = [6, 0]", None),
    ("torch.rand(n, 7) * 9", "class_indices = [7, 0]", "data.class_indices goes up to 7, but the model answers 0..6"),
    ("torch.rand(n, 1)", "", "set model.outputs = 'binary' where it is a logit"),
    ("torch.rand(n, 2, 1, 1)", "", "answers shape (2, 2, 1, 1) to two images, expected (2, classes)"),
    ("torch.rand(2)", "", "answers shape (2,)"),
    ("(torch.rand(n, 2), torch.rand(n, 2))", "", None),
    ("(torch.rand(n, 2, 2, 2), torch.rand(n, 2))", "", "the model is a segmenter or a feature extractor"),
    ("('a', torch.rand(n, 2))", "", "answers a tuple of 2, expected one tensor of logits"),
    ("{'logits': torch.rand(n, 2)}", "", None),
    ("{'values': torch.rand(n, 2)}", "", "answers a dict of 1"),
    ("[{'boxes': torch.rand(3, 4), 'scores': torch.rand(3)}] * n", "", "the model is a detector (it answers boxes)"),
    ("{'out': torch.rand(n, 2, 4, 4)}", "", "the model is a segmenter"),
    ("torch.rand(n, 1)", "outputs = 'binary'", None),
    ("torch.rand(n)", "outputs = 'binary'", None),
    ("x.flatten(1).sum(1).sigmoid()", "outputs = 'sigmoid'", None),
    ("x.flatten(1).sum(1).sigmoid()", "outputs = 'binary'", "ends in a sigmoid"),
    ("x.flatten(1)[:, :2].sigmoid()", "", "ends in a sigmoid (its answers are in"),
    ("x.flatten(1)[:, :2].sigmoid()", "outputs = 'sigmoid'", None),
    ("torch.rand(n, 2) * 9 - 4", "outputs = 'sigmoid'", "model.outputs = 'sigmoid', but the model answers"),
    ("torch.rand(n, 5)", "outputs = 'binary'", "model.outputs = 'binary', but the model answers 5 numbers"),
    ("None", "", "answers a NoneType"),
    ("torch.rand(n, 2) * torch.nan", "", "answers NaN or infinity"),
    ("1 / 0", "", "rejects images of input.size = [4, 4] with input.channels = 1: ZeroDivisionError"),
    ("x.view(n, 3, 224, 224)", "", "rejects images of input.size = [4, 4]"),
    ("torch.zeros(n, 2)", "", None),
]


@pytest.mark.parametrize(("code", "setting", "said"), ANSWERS)
def test_the_first_answer_is_held_against_the_file(tmp_path, code, setting, said):
    (tmp_path / "answers.py").write_text(PROBE)
    outputs, indices = (setting, "") if setting.startswith("outputs") else ("", setting)
    (tmp_path / "audit.toml").write_text(
        f"[model]\nname = 'demo'\nsource = 'answers:Answer'\narguments = {{ code = {json.dumps(code)} }}\n"
        f"device = 'cpu'\n{outputs}\n[input]\nchannels = 1\nsize = 4\n"
        f"[data]\nvalidation = 'answers:data'\nclasses = ['a', 'b']\n{indices}\n"
    )
    if said is None:
        target = load_target(tmp_path / "audit.toml")
        assert target.predictions("validation").shape == (6, 2)
    else:
        with pytest.raises(ModelError) as caught:
            load_target(tmp_path / "audit.toml")
        assert said in str(caught.value) and "audit.toml: " in str(caught.value) and "\n" not in str(caught.value)
