"""`cnnaudit cues`: what gives the labels away, and whether the model goes by it, on one page."""

from cnnaudit.pages.cues.page import cues

__all__ = ["cues"]
