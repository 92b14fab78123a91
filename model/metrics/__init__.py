"""How good predicted poses are, as the benchmarks define it: PCK, PCKh and COCO's AP."""
