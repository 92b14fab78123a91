"""What /predict takes and answers."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Parameters(BaseModel):
    """The parameters beside the image: form fields and query parameters alike."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    boxes: str | None = Field(
        None,
        description="JSON list of people's boxes, each [x, y, width, height] in pixels of the "
        "upright image; without it the whole image is one person. For several images: a list of "
        "such lists, one an image, null for the whole image",
        examples=["[[40, 12, 180, 420]]"],
    )
    model: str | None = Field(
        None,
        description="`name`, `name:version` or `name@variant` (fp16, int8); without it the model "
        "in production",
        examples=["okdhp:1"],
    )
    flip_test: bool = Field(
        False, description="also infer the mirror image and average: twice the work"
    )
    ensemble: bool = Field(
        False,
        description="all branches of the model's run that are registered answer together",
    )
    format: Literal["json", "coco", "image", "png", "webp"] = Field(
        "json",
        description="`coco` answers COCO's results, `png` (or `image`) and `webp` the photograph "
        "with the poses drawn",
    )


class ModelBlock(BaseModel):
    """Which model answered, and on what it ran."""

    name: str = Field(examples=["okdhp"])
    version: int = Field(examples=[1])
    branch: str = Field(description="of an ensemble: all, joined by +", examples=["branch0"])
    variant: str = Field(description="fp32, fp16 or int8", examples=["fp32"])
    skeleton: str = Field(examples=["mpii16"])
    provider: str = Field(description="ONNX Runtime's provider", examples=["CPUExecutionProvider"])


class ImageBlock(BaseModel):
    """The upright image, in pixels."""

    width: int = Field(examples=[640])
    height: int = Field(examples=[480])


class Keypoint(BaseModel):
    """One joint; pixel centres are at integer coordinates."""

    name: str = Field(examples=["left_wrist"])
    x: float = Field(description="pixels of the upright image", examples=[201.5])
    y: float = Field(description="pixels of the upright image", examples=[88.25])
    score: float = Field(
        description="probability that it lies where it should, 0 … 1", examples=[0.91]
    )
    visible: float | None = Field(
        description="probability that it is seen and not hidden, 0 … 1; null where the data that "
        "the model was validated on does not know",
        examples=[0.97],
    )


class PoseBlock(BaseModel):
    """One person."""

    box: tuple[float, float, float, float] = Field(
        description="[x, y, width, height]", examples=[[40, 12, 180, 420]]
    )
    score: float = Field(description="0 … 1", examples=[0.84])
    keypoints: list[Keypoint]


class Timings(BaseModel):
    """Where the time went, in milliseconds."""

    decode: float = Field(examples=[5.1])
    preprocess: float = Field(description="cutting the crops", examples=[1.4])
    queue: float = Field(description="waiting for an inference's turn", examples=[0.1])
    inference: float = Field(description="of the batch that it was part of", examples=[8.2])
    total: float = Field(description="since the request's head was read", examples=[16.9])


class Result(BaseModel):
    """The poses of one photograph of several, in its boxes' order."""

    image: ImageBlock
    poses: list[PoseBlock]


class Answers(BaseModel):
    """The poses of several photographs, in the request's order."""

    model: ModelBlock
    results: list[Result]
    timings_ms: Timings


class CocoResult(BaseModel):
    """One person in COCO's results format."""

    image_id: int = Field(description="counts the request's images, from 0", examples=[0])
    category_id: Literal[1] = 1
    bbox: tuple[float, float, float, float] = Field(description="[x, y, width, height]")
    score: float = Field(description="0 … 1", examples=[0.84])
    keypoints: list[float] = Field(description="x, y, score of every joint of the skeleton")


class Answer(BaseModel):
    """The poses of one photograph, in the boxes' order."""

    model: ModelBlock
    image: ImageBlock
    poses: list[PoseBlock]
    timings_ms: Timings
