"""Data sets: versions under a name, each a format and a folder below the data folder."""

from worker.datasets.bounds import UploadBounds
from worker.datasets.sets import Datasets
from worker.datasets.uploads import UPLOADS, Upload, sweep

__all__ = ["UPLOADS", "Datasets", "Upload", "UploadBounds", "sweep"]
