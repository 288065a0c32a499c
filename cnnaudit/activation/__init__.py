"""What the layers hold: feature maps, the pixels and images that activate a unit most, active filters."""
