"""Speed and memory of DIM, measured against the reference model of stock Keras layers."""
