"""The models: numbered versions of students, and which of them is in production."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select

from model.errors import ReceiptUnusable
from model.predictor import BUNDLED, Predictor
from model.receipt import beside, read_receipt
from worker.artifacts import ArtifactStore, digest
from worker.errors import ModelNotFound, ReceiptNotFound, VersionNotFound
from worker.names import checked_name, is_name
from worker.store.database import Database
from worker.store.steps import clock
from worker.store.tables import Model, Promotion, Version
from worker.store.versions import insert_version

BUNDLED_NAME: Final = "okdhp"


@dataclass(frozen=True)
class ModelEntry:
    """A model with its versions, newest first."""

    name: str
    versions: list[Version]
    promoted: int | None
    """The version of its own that was promoted last, if any."""


class Registry:
    """Models, their versions and the log of promotions.

    `production` is what was promoted last, of all models. A bare model name means its own most
    recently promoted version, else its newest.
    """

    def __init__(self, database: Database, artifacts: ArtifactStore) -> None:
        self._database = database
        self._artifacts = artifacts

    def models(self) -> list[ModelEntry]:
        """Every model, by name."""
        with self._database.reading() as session:
            names = session.scalars(select(Model.name).order_by(Model.name)).all()
            versions = session.scalars(select(Version).order_by(Version.version.desc())).all()
            promoted = {
                line.model: line.version
                for line in session.scalars(select(Promotion).order_by(Promotion.id))
            }
        return [
            ModelEntry(name, [v for v in versions if v.model == name], promoted.get(name))
            for name in names
        ]

    def production(self) -> Version:
        """The version that answers when none is asked for. Raises ModelNotFound."""
        return self.resolve(None)

    def resolve(self, asked: str | None) -> Version:
        """The version that `name`, `name:version` or None (production) means.

        Raises ModelNotFound, VersionNotFound.
        """
        with self._database.reading() as session:
            last = select(Promotion).order_by(Promotion.id.desc()).limit(1)
            if asked is None:
                line = session.scalar(last)
                if line is None:
                    raise ModelNotFound("no model is in production yet")
                return session.get_one(Version, (line.model, line.version))
            name, colon, number = asked.partition(":")
            if not is_name(name) or session.get(Model, name) is None:
                raise ModelNotFound(f"there is no model {name!r}")
            of_model = select(Version).where(Version.model == name)
            if colon:
                found = None
                if number.isascii() and number.isdigit() and len(number) < 10:
                    found = session.scalar(of_model.where(Version.version == int(number)))
            elif (line := session.scalar(last.where(Promotion.model == name))) is not None:
                found = session.get(Version, (name, line.version))
            else:
                found = session.scalar(of_model.order_by(Version.version.desc()).limit(1))
            if found is None:
                there = session.scalars(
                    select(Version.version).where(Version.model == name).order_by(Version.version)
                )
                accepted = ", ".join(map(str, there)) or "none"
                raise VersionNotFound(
                    f"model {name!r} has no version {number!r}; there are: {accepted}"
                )
            return found

    def get(self, name: str, version: int) -> Version:
        """Raises ModelNotFound, VersionNotFound."""
        return self.resolve(f"{name}:{version}")

    def receipt(self, name: str, version: int) -> dict[str, Any]:
        """What `model.receipt` wrote of a version's file.

        Raises ModelNotFound, VersionNotFound, ReceiptNotFound.
        """
        found = self.get(name, version).receipt
        if found is None:
            raise ReceiptNotFound(f"version {version} of model {name!r} came without a receipt")
        return found

    def open_local(self, name: str, version: int) -> Path:
        """A path of this host to the version's ONNX file, checked against its SHA-256.

        Raises ModelNotFound, VersionNotFound, ArtifactUnusable.
        """
        found = self.get(name, version)
        return self._artifacts.fetch(found.key, found.sha256)

    def prepare(
        self,
        name: str,
        onnx: Path,
        card: Mapping[str, Any],
        metrics: Mapping[str, Any],
        job_id: str | None = None,
    ) -> Version:
        """A version whose file is stored but which has no number yet: nobody sees it.

        The receipt that lies beside the file is taken along. `JobStore.succeed` adds the version
        in the transaction that ends its job.
        Raises NameInvalid, ArtifactUnusable, ReceiptUnusable.
        """
        checked_name(name, "model")
        sha256, _ = digest(onnx)
        receipt = _receipt_of(onnx, sha256)
        stored = self._artifacts.put(onnx, f"models/{name}/{sha256}.onnx")
        return Version(
            model=name,
            key=stored.key,
            bytes=stored.bytes,
            sha256=stored.sha256,
            card=dict(card),
            metrics=dict(metrics),
            receipt=receipt,
            job_id=job_id,
        )

    def add_version(
        self,
        name: str,
        onnx: Path,
        card: Mapping[str, Any],
        metrics: Mapping[str, Any],
        job_id: str | None = None,
    ) -> Version:
        """Register an ONNX file as the model's next version; a job's only once.

        Raises NameInvalid, ArtifactUnusable, ReceiptUnusable.
        """
        prepared = self.prepare(name, onnx, card, metrics, job_id)
        with self._database.writing() as session:
            at = clock(session)
            return insert_version(session, prepared, at)

    def promote(self, name: str, version: int, *, who: str, why: str = "") -> Promotion:
        """Put a version into production. Raises ModelNotFound, VersionNotFound.

        who, why: any text; what a database cannot hold is left out.
        """
        self.get(name, version)
        with self._database.writing() as session:
            at = clock(session)
            line = Promotion(
                model=name, version=version, at=at, who=_plain(who, 200), why=_plain(why, 1000)
            )
            session.add(line)
        return line

    def promotions(self, name: str | None = None, limit: int = 100) -> list[Promotion]:
        """The log, newest first; of one model or of all."""
        query = select(Promotion).order_by(Promotion.id.desc()).limit(limit)
        if name is not None:
            query = query.where(Promotion.model == name)
        with self._database.reading() as session:
            return list(session.scalars(query))

    def ensure_bundled(self) -> None:
        """Register the student that ships with this program, and promote it if nothing is.

        A newer program's student becomes the next version; it is not promoted over another's
        choice. Where no student ships nothing happens.
        """
        if not BUNDLED.is_file():
            return
        sha256, _ = digest(BUNDLED)
        with self._database.reading() as session:
            same = (Version.model == BUNDLED_NAME) & (Version.sha256 == sha256)
            known = session.scalar(select(Version).where(same).limit(1))
            in_production = session.scalar(select(Promotion.id).limit(1))
        if known is None:
            card = read_card(BUNDLED)
            known = self.add_version(BUNDLED_NAME, BUNDLED, card, card["metrics"])
        if in_production is None:
            self.promote(BUNDLED_NAME, known.version, who="okdhp", why="shipped with the program")


def _plain(text: str, length: int) -> str:
    """Without the NULs and half characters that JSON can spell but no database stores."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")[:length]


def _receipt_of(onnx: Path, sha256: str) -> dict[str, Any] | None:
    """The receipt beside a file, as JSON; None where there is none. Raises ReceiptUnusable."""
    path = beside(onnx)
    if not path.is_file():
        return None
    receipt = read_receipt(path)
    if receipt.file.sha256 != sha256:
        raise ReceiptUnusable(f"{path.name} is the receipt of another file than {onnx.name}")
    return receipt.model_dump(mode="json")


def read_card(onnx: Path) -> dict[str, Any]:
    """What a student's file says of itself, as JSON. Raises ModelUnusable."""
    card: dict[str, Any] = json.loads(Predictor(onnx).card.to_json())
    return card
