"""What van den Oord et al. (2016) show of the Gated PixelCNN, on small variants."""
