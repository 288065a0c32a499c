"""From a model's source, as an audit file names it, to a module that takes pixels in [0, 1] and answers logits."""
