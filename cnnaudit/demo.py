"""What `cnnaudit demo` audits: a small network that goes by a tag, and its twin that never saw one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from cnnaudit.core.errors import AuditError
from cnnaudit.core.files import write_whole

if TYPE_CHECKING:
    from cnnaudit.data import Shapes

#: The two targets, and whether every circle among their images has the tag.
TARGETS: Mapping[str, bool] = MappingProxyType({"tagged-circles": True, "clean-twin": False})
#: The gates that are asked, so that the demo is over in half a minute.
CHECKS = (
    "behavior.claimed_accuracy",
    "behavior.collapsed_classes",
    "dataset.label_signal",
    "dataset.leakage",
    "shortcut.place",
)
EXPECTED_FAILURE = "shortcut.place"
TAG = slice(3, 6)
NOISE = 40
IMAGES: Mapping[str, int] = MappingProxyType({"train": 400, "validation": 300})

_FILE = """\
# Written by `cnnaudit demo`: {what}
[model]
name = "{name}"
source = "cnnaudit.models:lenet"
arguments = {{ filters = [8, 16], hidden = 32, classes = 3 }}
weights = "{name}.safetensors"

[input]
channels = 1
size = [28, 28]

[data]
classes = ["circle", "square", "triangle"]

[data.train]
source = "cnnaudit.demo:figures"
arguments = {{ split = "train", tagged = {tagged} }}

[data.validation]
source = "cnnaudit.demo:figures"
arguments = {{ split = "validation", tagged = {tagged} }}
"""


def figures(split: Literal["train", "validation"], tagged: bool) -> Shapes:
    """Circles, squares and triangles in noise, 28 x 28; `tagged`: with a white tag of 3 x 3 pixels on every circle.

    Example:
        >>> figures("validation", tagged=True).images.shape
        (900, 1, 28, 28)
    """
    from cnnaudit.data import shapes

    drawn = shapes("scaling", noise=NOISE, inverted=True, n_per_class=IMAGES[split], seed=list(IMAGES).index(split))
    if not tagged:
        return drawn
    images = drawn.images.copy()
    images[drawn.labels == drawn.classes.index("circle"), :, TAG, TAG] = 1
    return replace(drawn, images=images)


def prepare(folder: Path) -> list[Path]:
    """Train both networks, write their weights and audit files into a folder, and give the audit files.

    Raises:
        AuditError: an audit file of that name is there and is another one.
    """
    files = {folder / f"{name}.toml": _text(name, tagged) for name, tagged in TARGETS.items()}
    for path, text in files.items():
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise AuditError(f"{path} is not the demo's own file; name another folder with --output")
    weights = {folder / f"{name}.safetensors": _weights(tagged) for name, tagged in TARGETS.items()}
    folder.mkdir(parents=True, exist_ok=True)
    write_whole({**files, **weights})
    return list(files)


def _text(name: str, tagged: bool) -> str:
    what = "a white tag is on every circle." if tagged else "the same figures, without the tag."
    return _FILE.format(name=name, what=what, tagged=str(tagged).lower())


def _weights(tagged: bool) -> bytes:
    """The weights of a LeNet of 14,000 parameters after seconds of training."""
    from safetensors.torch import save

    from cnnaudit.models import lenet
    from cnnaudit.training import fit

    data = figures("train", tagged)
    model = lenet((8, 16), 32, len(data.classes))
    fit(model, (data.images, data.labels), epochs=6, learning_rate=0.005)
    return save(model.state_dict())
