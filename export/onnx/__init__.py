"""The hub: standard ONNX, opset 21, IR 10, quantized tensors as QuantizeLinear / DequantizeLinear pairs."""
