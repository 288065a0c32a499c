"""What an image's parts contribute to a class or a unit: gradients, deconvnet, DeepLIFT, CAMs, occlusion, LIME."""
