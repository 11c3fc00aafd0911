"""From torch to ONNX (the hub), from the hub to TFLite, and the proof that the files compute the same."""
