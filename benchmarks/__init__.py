"""Speed and memory of DIM, measured against a plain model of stock Keras layers."""
