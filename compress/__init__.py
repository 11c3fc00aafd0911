"""Make a model smaller: zoo, tasks, training, passes and quantization."""
