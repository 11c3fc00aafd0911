"""One-bit weights and activations: operators, layers, the pass that binarizes a trained model, and integer folding."""
