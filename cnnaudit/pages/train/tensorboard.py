"""A training as TensorBoard reads it: scalars of every epoch, the graph of the network, and an embedding."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.core.errors import AuditError, UnsupportedError
from cnnaudit.core.wording import one_line
from cnnaudit.interventions import calls
from cnnaudit.reading.features import last_features, read_features
from cnnaudit.training.course import Epoch

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

MOST_POINTS = 1_000  # of the embedding; their pictures are one image file


class TensorBoard:
    """Writes event files while the context lasts; `warnings` says what could not be written.

    Raises:
        AuditError: tensorboard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError:
            raise AuditError("--tensorboard needs tensorboard: pip install 'cnnaudit[tensorboard]'") from None
        self._writer: Any = SummaryWriter(str(folder))
        self.warnings: list[str] = []

    def __enter__(self) -> TensorBoard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def epoch(self, epoch: Epoch) -> None:
        """Write the numbers of an epoch, training and validation in one chart."""
        for name in ("loss", "accuracy"):
            self._writer.add_scalar(f"{name}/training", getattr(epoch, name), epoch.number)
            self._writer.add_scalar(f"{name}/validation", getattr(epoch, f"validation_{name}"), epoch.number)
        self._writer.add_scalar("learning rate", epoch.learning_rate, epoch.number)
        self._writer.flush()

    def network(self, target: AuditTarget) -> None:
        """Write the graph of the network, and the input of its classifier for up to 1,000 validation images."""
        image = target.split("validation").read(np.array([0])).to(target.device)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch means to replace the tracing that its own writer uses
                self._writer.add_graph(target.model, image)
        except Exception as error:  # torch.jit.trace refuses many networks, each in its own way
            self.warnings.append(f"the graph is not in TensorBoard: {one_line(error)}")
        images, labels = target.sample("validation", MOST_POINTS)
        try:
            place = last_features(calls(target.model, image), len(target.classes))
        except UnsupportedError as error:
            self.warnings.append(f"the embedding is not in TensorBoard: {error}")
            return
        features = read_features(target.model, images, place, device=target.device)
        names = [target.classes[int(label)] for label in labels]
        self._writer.add_embedding(
            features, metadata=names, label_img=_small(images), tag=place.layer.replace(".", "_")
        )
        self._writer.flush()


def _small(images: Any) -> Any:
    """The images at 32 pixels at most: a sprite of all of them has to fit into 8,192 pixels."""
    from torch.nn import functional

    side = min(32, *images.shape[2:])
    return functional.interpolate(images, (side, side), mode="bilinear", antialias=True).expand(-1, 3, -1, -1)
