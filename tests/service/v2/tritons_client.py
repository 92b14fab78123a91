"""A program with Triton's own client; run with a server's HOST:PORT, it fails or is silent."""

import sys
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

H, W, K = 64, 64, 16


def spots(*places: tuple[int, int]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    made = np.zeros((len(places), H, W, 3), np.uint8)
    for crop, (x, y) in zip(made, places, strict=True):
        crop[y, x] = 255
    return made


def image(pixels: np.ndarray[Any, Any], *, binary: bool = True) -> triton.InferInput:
    tensor = triton.InferInput("image", list(pixels.shape), triton.np_to_triton_dtype(pixels.dtype))
    tensor.set_data_from_numpy(pixels, binary_data=binary)
    return tensor


def main(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    assert client.is_model_ready("glow")
    assert client.is_model_ready("glow", "1")
    assert not client.is_model_ready("glow", "7")
    assert not client.is_model_ready("unknown")
    metadata = client.get_model_metadata("glow", "1")
    assert metadata["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, H, W, 3]}]
    assert metadata["outputs"] == [{"name": "keypoints", "datatype": "FP32", "shape": [-1, K, 3]}]
    assert "glow" in {entry["name"] for entry in client.get_model_repository_index()}

    places = [(i, 63 - i) for i in range(20)]  # more than one batch holds
    for binary_in in (True, False):
        for binary_out in (True, False, None):  # None: nothing is said of outputs
            for version in ("", "1"):
                wanted = None
                if binary_out is not None:
                    wanted = [triton.InferRequestedOutput("keypoints", binary_data=binary_out)]
                result = client.infer(
                    "glow",
                    [image(spots(*places), binary=binary_in)],
                    model_version=version,
                    outputs=wanted,
                    request_id="mine",
                    parameters={"flip_test": False},
                )
                found = result.as_numpy("keypoints")
                assert (found.shape, found.dtype) == ((20, K, 3), np.float32)
                np.testing.assert_array_equal(found[:, 0, :2], places)
                assert result.get_response()["id"] == "mine"
                assert result.get_response()["model_version"] == "1"

    for wrong, said in (
        (image(np.zeros((1, H, W, 4), np.uint8)), r"\[400\].*accepted: \[n, 64, 64, 3\]"),
        (image(np.zeros((1, H, W, 3), np.float32)), r"\[400\].*accepted: UINT8"),
        (image(np.zeros((65, H, W, 3), np.uint8)), r"\[400\].*n from 1 to 64"),
    ):
        with pytest.raises(InferenceServerException, match=said):
            client.infer("glow", [wrong])
    with pytest.raises(InferenceServerException, match=r"\[404\] there is no model 'unknown'"):
        client.infer("unknown", [image(spots((0, 0)))])
    with pytest.raises(InferenceServerException, match=r"\[400\].*`keypoints`"):
        client.infer("glow", [image(spots((0, 0)))], outputs=[triton.InferRequestedOutput("maps")])
    assert client.infer("glow", [image(spots((3, 4)))]).as_numpy("keypoints")[0, 0, 1] == 4


if __name__ == "__main__":
    main(triton.InferenceServerClient(sys.argv[1]))
