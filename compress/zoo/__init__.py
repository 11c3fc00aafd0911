"""Reference networks, plain float modules with no quantization code in them."""
