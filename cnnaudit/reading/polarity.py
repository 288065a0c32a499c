"""Is an image's background white or black?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from cnnaudit.data.background import backgrounds

COLUMN = "polarity"
WORDS = ("on black", "on white")
FEWEST = 0.05


def white_background(images: torch.Tensor, metadata: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
    """Whether the background of each image is white, bool (n,).

    A metadata column `polarity` of two values decides, where the data have one: the value whose images have the
    brighter borders is white. Otherwise the background is the median of the outermost pixels, and white above .5.

    Args:
        images: float (n, C, H, W) in [0, 1].
        metadata: columns of n values.

    Example:
        >>> white_background(torch.stack([torch.ones(1, 4, 4), torch.zeros(1, 4, 4)])).tolist()
        [True, False]
    """
    bright = backgrounds(images).mean(1).double().cpu().numpy()
    column = (metadata or {}).get(COLUMN)
    if column is not None:
        names, codes = np.unique(np.asarray(column), return_inverse=True)
        if len(names) == 2:
            return np.asarray(codes == int(bright[codes == 1].mean() > bright[codes == 0].mean()))
    return np.asarray(bright > 0.5)


def two_backgrounds(white: np.ndarray) -> bool:
    """Whether both backgrounds occur, each in at least one image of twenty."""
    return bool(FEWEST <= np.mean(white) <= 1 - FEWEST)
