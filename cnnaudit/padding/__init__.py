"""What padding does to a network: geometry, responses at the border, predictions, blind spots."""
