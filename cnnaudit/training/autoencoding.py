"""Train an autoencoder on a target's own images: the prior of what its inputs look like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnaudit.models.autoencoder import Autoencoder


def fit_autoencoder(
    data: tuple[Any, Any],
    code: int = 32,
    hidden: int = 256,
    size: int = 32,
    epochs: int = 20,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    seed: int = 0,
    device: str = "cpu",
) -> Autoencoder:
    """An autoencoder of the images, trained by Adam on the mean squared error, deterministic by seed.

    Args:
        data: images, float in [0, 1] or uint8, (N, C, H, W), and their labels, which are not used.
        code: numbers of the code.
        hidden: neurons between image and code.
        size: larger images are shrunk to this side first.
        seed: of the initialization and the order of the images.

    Raises:
        DataError: there are no images, or not as many labels.

    Example:
        >>> import numpy as np
        >>> fit_autoencoder((np.random.rand(8, 1, 6, 6), np.zeros(8)), code=4, hidden=8, epochs=1).shape
        (1, 6, 6)
    """
    import torch
    from torch.nn import functional

    from cnnaudit.models.autoencoder import Autoencoder
    from cnnaudit.training._fit import glorot, tensors

    images, _ = tensors(data, torch.device(device), "fit_autoencoder")
    if max(images.shape[2:]) > size:
        side = [min(size, length) for length in images.shape[2:]]
        images = functional.interpolate(images, side, mode="bilinear", antialias=True)
    model = Autoencoder(images.shape[1:], code, hidden).to(device)
    rng = torch.Generator().manual_seed(seed)
    glorot(model, rng)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    for _ in range(epochs):
        for rows in torch.randperm(len(images), generator=rng).to(device).split(batch_size):  # type: ignore[no-untyped-call]
            loss = functional.mse_loss(model(images[rows]), images[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    model.zero_grad(set_to_none=True)
    with torch.no_grad():
        codes = model.encoder(images)
        model.lowest, model.highest = codes.amin(0), codes.amax(0)
    return model.requires_grad_(False).eval()
