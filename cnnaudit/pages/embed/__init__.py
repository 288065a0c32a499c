"""`cnnaudit embed`: images in the plane by what a layer answers to them, over the training, on one page."""
