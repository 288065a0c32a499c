"""What the padding checks refer to, and the remedy that several of them share."""

MIND_THE_PAD = "Alsallakh et al., Mind the Pad: CNNs can develop blind spots, ICLR 2021 (arXiv 2010.02178)"
THESIS = "España, Sensitivity analysis of the CNN learning process using synthetic images, 2021"
USE_REPLICATE = "Pad with the nearest pixel (padding_mode='replicate') instead of zeros, and train again."
