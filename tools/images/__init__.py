"""What tools/image is made of."""
