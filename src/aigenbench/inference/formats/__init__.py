"""An exported detector's network in other forms: ONNX, torch.export, int8 weights; and on the hub."""
