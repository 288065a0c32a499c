"""Which axes of a layer's output are places of the image, which one holds the channels, and where its cells stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions.batches import fill_batch, forward
from cnnaudit.interventions.box import Box
from cnnaudit.interventions.modes import evaluating
from cnnaudit.interventions.positions import Places, Positions
from cnnaudit.interventions.recording import stop_at

Reader = Callable[[torch.Tensor], torch.Tensor]

_SAME = 0.05  # pixels below which two positions are one
# These take and answer (N, C, H, W) by definition, also where positions are not known behind some other call.
_PLANAR = {
    *("conv2d", "conv_transpose2d", "max_pool2d", "avg_pool2d", "adaptive_max_pool2d", "adaptive_avg_pool2d"),
    *("lp_pool2d", "batch_norm", "interpolate"),
}


@dataclass(frozen=True, eq=False)
class Layout:
    """How to read the output of a layer as feature maps (N, C, h, w) that lie over the image.

    Attributes:
        channels: the axis of the channels; None where each cell holds a single number.
        cells: int (h, w), the index of each cell among the other axes, counted through in their order.
        box: the pixels that the cells cover; it may leave parts of the image out, or reach beyond it.
        extra: positions of the output that are no place of the image: class and register tokens.
        shape: of the output it was established for, without the batch.
    """

    channels: int | None
    cells: np.ndarray
    box: Box
    extra: int
    shape: tuple[int, ...]

    @property
    def planar(self) -> bool:
        """Whether the output is (N, C, H, W) as it is."""
        return len(self.shape) == 3 and self.channels == 1 and self._in_order

    @property
    def grid(self) -> bool:
        """Whether the output has an axis for rows and one for columns, rather than one of tokens."""
        return len(self.shape) == 3

    @property
    def _in_order(self) -> bool:
        return bool(np.array_equal(self.cells.ravel(), np.arange(self.cells.size))) and not self.extra

    def maps(self, values: torch.Tensor) -> torch.Tensor:
        """The output (N, …) as feature maps (N, C, h, w).

        Raises:
            UnsupportedError: the output has another shape than the one that the layout was established for.
        """
        if tuple(values.shape[1:]) != self.shape:
            raise UnsupportedError(
                f"the layer answers {tuple(values.shape)}, and (N, {', '.join(map(str, self.shape))}) when its layout "
                "was established: a shape that depends on the batch cannot be laid over the image"
            )
        if self.planar:
            return values
        rows = values.unsqueeze(1) if self.channels is None else values.movedim(self.channels, 1)
        rows = rows.flatten(2)
        if not self._in_order:
            rows = rows[:, :, torch.as_tensor(self.cells.ravel(), device=values.device)]
        return rows.reshape(*rows.shape[:2], *self.cells.shape)

    def over_image(self, maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Maps (N, h, w) at the size (H, W) of the image, (N, H, W): bilinear (half-pixel centers) inside the box.

        Pixels that no cell covers are 0.
        """
        box = self.box
        wide = F.interpolate(maps[:, None], size=box.size, mode="bilinear", align_corners=False)[:, 0]
        if box == Box(0, 0, *size):
            return wide
        return F.pad(wide, (box.left, size[1] - box.right, box.top, size[0] - box.bottom))


def layout_of(model: nn.Module, images: torch.Tensor, layer: str) -> Layout:
    """The layout of a layer's output, for images of this size.

    It is established by one pass that carries the row and column of every value through the calls (`positions`), so
    that it holds for any weights: (N, C, H, W), (N, H, W, C), tokens (N, T, D) or (N, D, T) with or without class and
    register tokens. An experiment (moving the input, and watching what moves) was the alternative: it answers nothing
    for dead units and layers of global attention, and confuses symmetric grids.

    Raises:
        UnsupportedError: the positions are not known, or there is one of them only; the reason is told. Or the model
            hides its calls.
        LayerError: the model has no such layer.

    Example:
        >>> import torch
        >>> class Last(torch.nn.Module):
        ...     def forward(self, x):
        ...         return x.permute(0, 2, 3, 1).relu()
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 5, 2, stride=2), Last())
        >>> found = layout_of(net, torch.rand(1, 1, 8, 6), "1/relu:1")
        >>> found.channels, found.cells.shape, found.maps(torch.rand(7, 4, 3, 5)).shape
        (3, (4, 3), torch.Size([7, 5, 4, 3]))
    """
    found = Trace(model, images).layer(layer)
    if isinstance(found.layout, str):
        raise UnsupportedError(f"layer {layer!r} answers {found.output_shape}, no feature maps: {found.layout}")
    return found.layout


def map_reader(model: nn.Module, images: torch.Tensor, layer: str) -> Reader:
    """A function that reads the output of a layer as feature maps (N, C, h, w); outputs (N, F) stay as they are.

    The bare name of a module that is called more than once means its first call, as in `run_until`. For images of this
    size; one pass of the first image, outside of any other intervention.

    Raises:
        UnsupportedError: the output has more than two axes, and which of them are channels and places is not
            established; the reason is told. Or the model hides its calls.
        LayerError: the model has no such layer.

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 5, 2, stride=2), torch.nn.Flatten())
        >>> map_reader(net, torch.rand(1, 1, 8, 6), "0")(torch.rand(7, 5, 4, 3)).shape
        torch.Size([7, 5, 4, 3])
    """
    return _until(model, images, layer).reader()


def grid_readers(model: nn.Module, images: torch.Tensor, layers: Sequence[str]) -> dict[str, Reader]:
    """For each layer a function that reads its output: as feature maps (N, C, h, w) where it has four axes.

    Errors as in `map_reader`.
    """
    found = [_until(model, images, layer) for layer in layers]
    return {name: one.reader() if len(one.output_shape) == 4 else _as_it_is for name, one in zip(layers, found)}


def _until(model: nn.Module, images: torch.Tensor, layer: str) -> Traced:
    """What is known of the layer, from a pass that ends there."""
    return Trace(model, images, until=layer).layer(layer)


def _as_it_is(output: torch.Tensor) -> torch.Tensor:
    return output


@dataclass(frozen=True, eq=False)
class Traced:
    """A call or module of a pass: name, kind (of a module: of the call whose output it returns), shape and layout."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    _places: Places | None
    _size: tuple[int, int]
    _batch: int

    @property
    def layout(self) -> Layout | str:
        """The layout of the output, or the reason why it has none."""
        return established(self.output_shape, self._places, self._size, self._batch)

    @property
    def planar(self) -> bool:
        """Whether the output is (N, C, H, W)."""
        if len(self.output_shape) != 4:
            return False
        if self.kind in _PLANAR or self.output_shape[2:] == (1, 1):
            return True
        layout = self.layout
        return not isinstance(layout, str) and layout.planar

    def reader(self) -> Reader:
        """See `map_reader`."""
        if len(self.output_shape) == 2 or self.planar:
            return _as_it_is
        layout = self.layout
        if isinstance(layout, str):
            raise UnsupportedError(
                f"layer {self.name!r} answers {self.output_shape}, expected feature maps (N, C, H, W) or (N, F): "
                f"{layout}"
            )
        return layout.maps


class Trace:
    """One pass of the first image, with the layouts of what its calls and modules answer.

    Args:
        until: the pass ends at this layer, and what follows need not take images of this size; None: a whole pass.

    Raises:
        ModelError: the model raises on images of this size.
        UnsupportedError: the model hides its calls.
    """

    def __init__(self, model: nn.Module, images: torch.Tensor, until: str | None = None) -> None:
        bound = getattr(model, "batch", None)
        end = nullcontext() if until is None else stop_at(model, until)
        with evaluating(model), torch.no_grad(), Positions(model) as self._positions, end:
            forward(model, fill_batch(images[:1], bound))
        self._size, self._batch = (int(images.shape[2]), int(images.shape[3])), int(bound or 1)

    def calls(self) -> list[Traced]:
        """Every call, in order."""
        return [
            Traced(name, kind, shape, places, self._size, self._batch)
            for name, kind, shape, places in self._positions.calls()
        ]

    def layer(self, name: str) -> Traced:
        """One module or call.

        Raises:
            LayerError: the model has no such layer, or it is called more than once and the name has no number.
        """
        kind, shape, places = self._positions.of(name)
        return Traced(name, kind, shape, places, self._size, self._batch)


def established(shape: tuple[int, ...], places: Places | None, size: tuple[int, int], batch: int = 1) -> Layout | str:
    """The layout that positions establish for an output of that shape, or the reason why they establish none."""
    if places is None:
        return "its values pass through calls that leave their places in the image unknown"
    if len(shape) < 3 or shape[0] != batch:
        return "its axes are not those of a batch, channels and places"
    rows, columns = (plane[0].double().cpu().numpy() for plane in places)
    spatial = [k for k in range(rows.ndim) if rows.shape[k] > 1 and (_varies(rows, k) or _varies(columns, k))]
    if not spatial:
        return "its values are about the image as a whole, or one place of it"
    others = [k for k in range(rows.ndim) if k not in spatial and rows.shape[k] > 1]
    if len(others) > 1:
        return "its channels lie on several axes, as the heads of attention do"
    channels = others[0] if others else next((k for k in range(rows.ndim) if k not in spatial), None)
    if channels is not None:
        rows, columns = rows.take(0, channels), columns.take(0, channels)
    flat = np.stack([rows.ravel(), columns.ravel()])
    known = np.flatnonzero(np.isfinite(flat).all(0))
    cells = _cells(flat[:, known])
    if isinstance(cells, str):
        return cells
    order, lines = cells
    box = _box(lines, size)
    if isinstance(box, str):
        return box
    extra = flat.shape[1] - len(known)
    return Layout(None if channels is None else channels + 1, known[order], box, extra, tuple(shape[1:]))


def _varies(plane: np.ndarray, axis: int) -> bool:
    """Whether positions differ along an axis; also where some have one and others none."""
    known = np.isfinite(plane)
    high = np.where(known, plane, -np.inf).max(axis)
    low = np.where(known, plane, np.inf).min(axis)
    return bool((high - low > _SAME).any() or (known.any(axis) != known.all(axis)).any())


def _cells(places: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]] | str:
    """The index of the cell in each row and column of a full grid, and where those lie; places: (2, cells)."""
    if not places.size:
        return "none of its values has a place in the image"
    numbers, lines = [], []
    for found in places:
        order = np.argsort(found, kind="stable")
        steps = np.diff(found[order]) > _SAME
        number = np.empty(len(found), dtype=int)
        number[order] = np.concatenate([[0], np.cumsum(steps)])
        numbers.append(number)
        lines.append(found[order][np.concatenate([[True], steps])])
    height, width = len(lines[0]), len(lines[1])
    if height * width == 1:
        return "its values are about one place of the image"
    flat = numbers[0] * width + numbers[1]
    if len(flat) != height * width or len(np.unique(flat)) != len(flat):
        return f"its {len(flat)} places are no grid of rows and columns"
    return np.argsort(flat).reshape(height, width), (lines[0], lines[1])


def _box(lines: tuple[np.ndarray, np.ndarray], size: tuple[int, int]) -> Box | str:
    """The pixels that a grid of cells covers: the whole image where it misses less than half a cell of it."""
    ends = []
    for found, side in zip(lines, size):
        if len(found) == 1:
            ends.append((0, side))
            continue
        pitch = (found[-1] - found[0]) / (len(found) - 1)
        if (np.abs(np.diff(found) - pitch) > max(0.5 * pitch, _SAME)).any():
            return "its places do not lie at equal distances"
        low, high = found[0] - pitch / 2 + 0.5, found[-1] + pitch / 2 + 0.5
        covered = max(abs(low), abs(high - side)) < pitch / 2
        start = round(low)
        ends.append((0, side) if covered else (start, max(round(high), start + 1)))
    return Box(ends[0][0], ends[1][0], ends[0][1], ends[1][1])
