"""The protocol's documents."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Asked(BaseModel):
    """Types are taken as they are; what the protocol leaves open to servers is passed over."""

    model_config = ConfigDict(strict=True, frozen=True)


class InputTensor(_Asked):
    """The crops."""

    name: str = Field(examples=["image"])
    shape: list[int] = Field(examples=[[1, 256, 256, 3]])
    datatype: str = Field(examples=["UINT8"])
    parameters: dict[str, Any] = Field(
        default_factory=dict,
        description="`binary_data_size`: how many bytes of it follow the JSON, instead of `data`",
    )
    data: list[Any] | None = Field(None, description="row by row, flat or nested as the shape")


class OutputWanted(_Asked):
    """One of the outputs that the metadata lists, and how it is sent."""

    name: str = Field(examples=["keypoints"])
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="`binary_data`: whether it follows the JSON as bytes"
    )


class InferRequest(_Asked):
    """Crops, cut as the model wants them."""

    id: str | None = Field(None, description="comes back with the answer")
    parameters: dict[str, Any] = Field(
        default_factory=dict,
        description="`flip_test`: also infer the mirror image and average; "
        "`binary_data_output`: outputs as bytes unless they say otherwise",
    )
    inputs: list[InputTensor]
    outputs: list[OutputWanted] | None = Field(None, description="by default all that there are")


class OutputTensor(BaseModel):
    """The keypoints, or how likely each joint is seen and not hidden."""

    name: str = Field(examples=["keypoints"])
    shape: list[int] = Field(examples=[[1, 16, 3]])
    datatype: str = Field(examples=["FP32"])
    parameters: dict[str, int] | None = None
    data: list[float | None] | None = Field(
        None,
        description="flat: of `keypoints` x, y in crop pixels and score; of `visible` a "
        "probability, NaN (in JSON null) where nothing is known of that joint",
    )


class InferResponse(BaseModel):
    """The keypoints of the crops, in their order, and `visible` where the model tells it."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


class TensorDocument(BaseModel):
    """A tensor that a model takes or gives; -1 for as many as there are."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """What a model takes and gives: the contract of its ONNX file."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorDocument]
    outputs: list[TensorDocument]
    parameters: dict[str, Any] = Field(description="skeleton and joints, in the keypoints' order")


class ServerMetadata(BaseModel):
    """Who answers, and what of the protocol he speaks."""

    name: str
    version: str
    extensions: list[str]


class Live(BaseModel):
    live: bool


class Ready(BaseModel):
    ready: bool


class ModelReady(BaseModel):
    name: str
    ready: bool


class IndexEntry(BaseModel):
    """A version in the repository; READY is one in memory, any other is loaded when asked for."""

    name: str
    version: str
    state: str
    reason: str
