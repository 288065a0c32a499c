"""How well the classes separate in feature space."""
