"""POST /predict: from a photograph's bytes to its poses."""
