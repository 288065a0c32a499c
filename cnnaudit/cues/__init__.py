"""Cues: what gives a label away, and whether a model goes by it.

A cue is a part of the image that can be read alone and put into another image (`Cue`). `availability` and `constancy`
say whether it is there, `gain` and `loss` whether a model uses it, `search_windows` and `search_patches` where.
"""

from cnnaudit.cues.availability import Availability, availability
from cnnaudit.cues.color import Color
from cnnaudit.cues.compression import Compression
from cnnaudit.cues.constancy import Constancy, constancy
from cnnaudit.cues.edges import edge_codes
from cnnaudit.cues.excess import Excess, excess
from cnnaudit.cues.file_facts import FileFacts, letterbox_widths
from cnnaudit.cues.model import Model, Sample
from cnnaudit.cues.noise import Noise
from cnnaudit.cues.patch import Patch, confirm_patches, prepare_patches, search_patches, shared_patches
from cnnaudit.cues.pattern import Pattern
from cnnaudit.cues.placed import given, removed
from cnnaudit.cues.places import confirm_windows, prepare_windows, search_windows
from cnnaudit.cues.protocol import Cue, PlacedCue, Predict
from cnnaudit.cues.ring import Ring
from cnnaudit.cues.search import Found, Prepared, Search
from cnnaudit.cues.spectrum import Spectrum
from cnnaudit.cues.tone import Tone
from cnnaudit.cues.use import Effect, gain, loss
from cnnaudit.cues.window import Window, largest_side

__all__ = [
    "Availability",
    "Color",
    "Compression",
    "Constancy",
    "Cue",
    "Effect",
    "Excess",
    "FileFacts",
    "Found",
    "Model",
    "Noise",
    "Patch",
    "Pattern",
    "PlacedCue",
    "Predict",
    "Prepared",
    "Ring",
    "Sample",
    "Search",
    "Spectrum",
    "Tone",
    "Window",
    "availability",
    "confirm_patches",
    "confirm_windows",
    "constancy",
    "edge_codes",
    "excess",
    "gain",
    "given",
    "largest_side",
    "letterbox_widths",
    "loss",
    "prepare_patches",
    "prepare_windows",
    "removed",
    "search_patches",
    "search_windows",
    "shared_patches",
]
