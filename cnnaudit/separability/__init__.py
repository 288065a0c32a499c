"""How the features that a network gives to its classifier fall apart by class."""
