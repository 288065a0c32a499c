"""What a convolution or pooling does to the plane: kernel, stride, dilation and the padding that reaches it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Geometry:
    """The geometry of a convolution or pooling; pairs are (height, width).

    Attributes:
        padding: left, right, top, bottom, joined: the call's own argument plus a `pad` just before it.
        padding_mode: `none`, `constant`, `replicate`, `reflect`, `circular`, or `mixed` where the joined ones differ.
        padding_value: what a constant padding puts there: 0 for convolutions and average pooling, -inf for
            max pooling; None for the other modes.
        ceil_mode: whether a pooling rounds its output size up.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    padding: tuple[int, int, int, int]
    padding_mode: str
    padding_value: float | None
    ceil_mode: bool = False
