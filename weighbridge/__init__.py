"""Pre-trained models, weighed: images in, scores out, and every condition recorded."""
