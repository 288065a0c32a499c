"""What the images and labels give away before any model looks: copies, constants, shortcuts, chance."""
