"""A training on the disk: the weights after every epoch, and all that is needed to go on from there."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.core.files import write_whole
from cnnaudit.core.wording import one_line
from cnnaudit.training.course import Epoch
from cnnaudit.training.plan import Plan

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cnnaudit.target import Split

STATE = "training.pt"
_SAMPLE = 8  # images that are held against those of the interrupted training


def weights_file(epoch: int) -> str:
    """The name of the file with the weights after that epoch.

    Example:
        >>> weights_file(3)
        'epoch-003.safetensors'
    """
    return f"epoch-{epoch:03d}.safetensors"


def fingerprint(model: nn.Module, training: Split, validation: Split, plan: Plan) -> dict[str, Any]:
    """What tells a training from every other: the plan, the first weights, the labels and some of the images."""
    import torch

    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(name.encode() + str(tuple(value.shape)).encode())
        digest.update(value.detach().cpu().to(torch.float64).numpy().tobytes())
    data = hashlib.sha256()
    for split in (training, validation):
        labels = np.asarray(split.labels)
        rows = np.unique(np.linspace(0, len(labels) - 1, _SAMPLE).round().astype(int))
        data.update(labels.tobytes() + split.read(rows).numpy().tobytes())
    return {"plan": asdict(plan), "first weights": digest.hexdigest()[:16], "data": data.hexdigest()[:16]}


class Checkpoints:
    """The folder of a training.

    Raises:
        DataError: it holds another training; the message says what differs.
    """

    def __init__(self, folder: Path, wanted: dict[str, Any]) -> None:
        self._folder, self._wanted, self._state = folder, wanted, None
        path = folder / STATE
        if path.exists():
            self._state = _read(path)
            found = json.loads(self._state["fingerprint"])
            if differences := _differences(found, wanted):
                raise DataError(
                    f"{path}: this is another training ({'; '.join(differences)}). Remove the folder, or name another "
                    "with --output"
                )

    def resume(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[list[Epoch], dict[str, Any] | None]:
        """Put the kept weights and the optimizer's state in place; the finished epochs, and the best weights so far."""
        if self._state is None:
            return [], None
        try:
            model.load_state_dict(self._state["model"])
            optimizer.load_state_dict(self._state["optimizer"])
            return [Epoch(**row) for row in json.loads(self._state["epochs"])], self._state["best"]
        except (RuntimeError, ValueError, TypeError, KeyError) as error:
            raise _damaged(self._folder / STATE, error) from error

    def keep(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        epochs: list[Epoch],
        best: dict[str, torch.Tensor] | None,
    ) -> None:
        """Write the state after an epoch: whole, or as it was before."""
        import torch
        from safetensors.torch import save

        stream = io.BytesIO()
        torch.save(
            {
                "fingerprint": json.dumps(self._wanted),
                "epochs": json.dumps([asdict(epoch) for epoch in epochs]),
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "best": best,
            },
            stream,
        )
        weights = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
        files: dict[Path, str | bytes] = {
            self._folder / weights_file(epochs[-1].number): save(weights),
            self._folder / STATE: stream.getvalue(),
        }
        write_whole(files)


def _read(path: Path) -> dict[str, Any]:
    """The kept state; read as tensors and plain values only."""
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or not {"fingerprint", "epochs", "model", "optimizer", "best"} <= set(state):
            raise ValueError("it is no training of cnnaudit")
        json.loads(state["fingerprint"])
    except Exception as error:  # torch, zipfile and pickle each have their own
        raise _damaged(path, error) from error
    return state


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: no training can be resumed from it ({one_line(error)}). Remove the file to start anew")


def _differences(found: Any, wanted: dict[str, Any]) -> list[str]:
    """What of two fingerprints differs, in words."""
    plan = found.get("plan", {}) if isinstance(found, dict) else {}
    told = [
        f"{name} was {plan.get(name)!r}, is now {value!r}"
        for name, value in wanted["plan"].items()
        if plan.get(name) != value
    ]
    return told or [f"its {name} differ" for name in ("first weights", "data") if found.get(name) != wanted[name]]
