"""int8 quantization: observers, the table of int8 rules, the plan for an ONNX graph, training with fake quantizers."""
