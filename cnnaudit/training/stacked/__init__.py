"""Training of many networks of one architecture as one computation."""

from cnnaudit.training.stacked.train import StackedResult, train_stacked

__all__ = ["StackedResult", "train_stacked"]
