"""Drawing the pixels of a PixelCNN: the plain reference, row by row in torch, and compiled."""
