"""The Open Inference Protocol, version 2: crops in, keypoints out, as KServe and Triton speak it.

https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol
"""
