"""OKDHP itself: networks, schemes, training, export and the predictor.

Two doors: `model.training` (torch) and `model.predictor` (NumPy, Pillow and ONNX Runtime alone).
Knows no HTTP, no broker and no database.
"""
