"""ONNX models, run by onnxruntime on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from cnnaudit.core.errors import ModelError
from cnnaudit.core.wording import one_line

KINDS = {"tensor(float)": torch.float32, "tensor(float16)": torch.float16, "tensor(double)": torch.float64}


class OnnxModel(nn.Module):
    """An ONNX file as a module without parameters; an ONNX graph holds no Python.

    Attributes:
        batch: the only batch size that it takes; None: any.

    Raises:
        ModelError: onnxruntime is not installed or cannot load the file, or the model has several inputs.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        try:
            import onnxruntime
        except ModuleNotFoundError:
            raise ModelError("an ONNX model needs onnxruntime: pip install cnnaudit[onnx]") from None
        self._path = path
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                path,
                options,
                providers=["CPUExecutionProvider"],
                enable_fallback=0,  # which prints
            )
        except Exception as error:  # onnxruntime's errors have no common class
            raise ModelError(f"onnxruntime cannot load it: {one_line(error)}") from error
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise ModelError(
                f"it takes {len(inputs)} inputs ({', '.join(i.name for i in inputs)}), expected the images only"
            )
        self._input = inputs[0].name
        size = inputs[0].shape[0] if inputs[0].shape else None
        if (kind := KINDS.get(inputs[0].type)) is None:
            raise ModelError(f"its input is {inputs[0].type}, expected floating-point images; export it with those")
        self._kind = kind
        self.batch: int | None = size if isinstance(size, int) else None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._path,)

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """The answer to (N, C, H, W), without gradients; a tuple where the model has several outputs."""
        answers = self._session.run(None, {self._input: x.detach().cpu().to(self._kind).numpy()})
        tensors = tuple(torch.from_numpy(answer) for answer in answers)
        return tensors[0] if len(tensors) == 1 else tensors
