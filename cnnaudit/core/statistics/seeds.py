"""Seeds that depend on what is drawn and for whom, never on the order of drawing."""

from __future__ import annotations

import hashlib

import numpy as np


def derive_seed(*parts: object) -> int:
    """A 63-bit seed from a hash of the parts, equal on every machine and Python process.

    Example:
        >>> derive_seed(0, "digits-lenet", "dataset.leakage") == derive_seed(0, "digits-lenet", "dataset.leakage")
        True
    """
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(*parts: object) -> np.random.Generator:
    """A NumPy generator seeded by `derive_seed(*parts)`."""
    return np.random.default_rng(derive_seed(*parts))
