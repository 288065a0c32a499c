"""How fast the methods are, relative to plain work timed in the same run."""
