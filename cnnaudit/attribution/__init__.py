"""What an image's parts contribute to a class or a unit: gradients, deconvnet, DeepLIFT, CAMs, occlusion, LIME.

Functions that share their module's name are imported here before anybody imports the modules, so that the name is the
function in every order of imports. No module imports torch at its top.
"""

from __future__ import annotations

from cnnaudit.attribution._attention_rollout import attention_rollout
from cnnaudit.attribution._cam import cam, grad_cam, guided_grad_cam, last_feature_maps
from cnnaudit.attribution._deconvnet import deconvnet, guided_backpropagation
from cnnaudit.attribution._deeplift import deeplift
from cnnaudit.attribution._forward_backward import forward_backward
from cnnaudit.attribution._lime import LimeExplanation, lime, lime_explanation
from cnnaudit.attribution._occlusion import OcclusionMaps, occlusion, occlusion_maps
from cnnaudit.attribution.averaged_gradients import integrated_gradients, smooth_grad
from cnnaudit.attribution.figures import draw_lime_panels, draw_occlusion_maps, lime_panels
from cnnaudit.attribution.gradients import gradient, gradient_times_input
from cnnaudit.attribution.methods import METHODS, Method, saliency

__all__ = [
    "METHODS",
    "LimeExplanation",
    "Method",
    "OcclusionMaps",
    "attention_rollout",
    "cam",
    "deconvnet",
    "deeplift",
    "draw_lime_panels",
    "draw_occlusion_maps",
    "forward_backward",
    "grad_cam",
    "gradient",
    "gradient_times_input",
    "guided_backpropagation",
    "guided_grad_cam",
    "integrated_gradients",
    "last_feature_maps",
    "lime",
    "lime_explanation",
    "lime_panels",
    "occlusion",
    "occlusion_maps",
    "saliency",
    "smooth_grad",
]
