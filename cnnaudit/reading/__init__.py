"""Reading a small model: its features, filters and clusters, as a person would explain them."""
