"""What an image's parts contribute to a class or a unit: gradients, deconvnet, DeepLIFT, CAMs, occlusion, LIME.

Functions that share their module's name are imported here before anybody imports the modules, so that the name is the
function in every order of imports. No module imports torch at its top.
"""

from __future__ import annotations

from cnnaudit.attribution.deconvnet import deconvnet, guided_backpropagation
from cnnaudit.attribution.gradients import gradient, gradient_times_input, integrated_gradients, smooth_grad
from cnnaudit.attribution.methods import METHODS, Method, saliency

__all__ = [
    "METHODS",
    "Method",
    "deconvnet",
    "gradient",
    "gradient_times_input",
    "guided_backpropagation",
    "integrated_gradients",
    "saliency",
    "smooth_grad",
]
