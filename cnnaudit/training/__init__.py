"""Training of the reference networks, one or many at once, and the search of the smallest that suffices.

`fit`, `grid` and `search` share their modules' names; importing them here makes `cnnaudit.training.fit` the function in
every order of imports. The modules import torch only when a function is called.
"""

from __future__ import annotations

from cnnaudit.training._fit import fit
from cnnaudit.training._grid import Architecture, grid, named_grid
from cnnaudit.training._search import search
from cnnaudit.training._train import train
from cnnaudit.training.autoencoding import fit_autoencoder
from cnnaudit.training.course import Course, Epoch
from cnnaudit.training.plan import Plan
from cnnaudit.training.stacked.train import StackedResult, train_stacked
from cnnaudit.training.summary import SearchResult

__all__ = [
    "Architecture",
    "Course",
    "Epoch",
    "Plan",
    "SearchResult",
    "StackedResult",
    "fit",
    "fit_autoencoder",
    "grid",
    "named_grid",
    "search",
    "train",
    "train_stacked",
]
