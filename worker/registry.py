"""The models: numbered versions of students, and which of them is in production."""

import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from model.precisions import FULL, VARIANTS
from model.predictor import BUNDLED, Predictor
from model.receipt import beside, receipt_of
from worker.artifacts import ArtifactStore, digest
from worker.errors import (
    ArtifactNotFound,
    ModelNotFound,
    ReceiptNotFound,
    RollbackImpossible,
    VersionNotFound,
)
from worker.gate import Verdict
from worker.names import checked_name, is_name, receipt_file, student_file
from worker.store.database import Database
from worker.store.steps import clock
from worker.store.tables import Artifact, Model, Promotion, Version
from worker.store.versions import insert_version

BUNDLED_NAME: Final = "okdhp"
PROMOTE: Final = "promote"
ROLLBACK: Final = "rollback"


@dataclass(frozen=True)
class ModelEntry:
    """A model with its versions, newest first."""

    name: str
    versions: list[Version]
    promoted: int | None
    """The version of its own that was promoted last, if any."""

    @property
    def default(self) -> int:
        """What the bare name means (`Registry`)."""
        if self.promoted is not None:
            return self.promoted
        return max(self.versions, key=lambda v: (v.variant == FULL, v.version)).version


class Registry:
    """Models, their versions and the log of promotions.

    `production` is what was promoted last, of all models. A bare model name means its own most
    recently promoted version, else its newest in float32: fewer bits answer nobody who has not
    chosen them. `name@variant` means the same among the versions in these bits.
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
        """The version that `name`, `name:version`, `name@variant` or None (production) means.

        Raises ModelNotFound, VersionNotFound.
        """
        with self._database.reading() as session:
            last = select(Promotion).order_by(Promotion.id.desc()).limit(1)
            if asked is None:
                line = session.scalar(last)
                if line is None:
                    raise ModelNotFound("no model is in production yet")
                return session.get_one(Version, (line.model, line.version))
            name = re.split("[:@]", asked, maxsplit=1)[0]
            mark, which = asked[len(name) : len(name) + 1], asked[len(name) + 1 :]
            if not is_name(name) or session.get(Model, name) is None:
                raise ModelNotFound(f"there is no model {name!r}")
            of_model = select(Version).where(Version.model == name)
            found = None
            if not mark:
                found = _meant(session, of_model)
            elif mark == "@" and which in VARIANTS:
                found = _meant(session, of_model.where(Version.variant == which))
            elif mark == ":" and which.isascii() and which.isdigit() and len(which) < 10:
                found = session.scalar(of_model.where(Version.version == int(which)))
            if found is None:
                there = session.execute(
                    select(Version.version, Version.variant)
                    .where(Version.model == name)
                    .order_by(Version.version)
                ).all()
                told = [str(v) if v_is == FULL else f"{v} ({v_is})" for v, v_is in there]
                raise VersionNotFound(
                    f"model {name!r} has no version {'in ' * (mark == '@')}{which!r}; "
                    f"there are: {', '.join(told) or 'none'}"
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
        receipt = receipt_of(onnx)
        stored = self._artifacts.put(onnx, f"models/{name}/{sha256}.onnx")
        return Version(
            model=name,
            key=stored.key,
            bytes=stored.bytes,
            sha256=stored.sha256,
            card=dict(card),
            metrics=dict(metrics),
            receipt=None if receipt is None else receipt.model_dump(mode="json"),
            job_id=job_id,
            branch=card.get("branch", ""),
            variant=card.get("precision", FULL),
        )

    def add_version(
        self,
        name: str,
        onnx: Path,
        card: Mapping[str, Any],
        metrics: Mapping[str, Any],
        job_id: str | None = None,
    ) -> Version:
        """Register an ONNX file as the model's next version; a file of a job only once.

        Raises NameInvalid, ArtifactUnusable, ReceiptUnusable.
        """
        prepared = self.prepare(name, onnx, card, metrics, job_id)
        with self._database.writing() as session:
            at = clock(session)
            return insert_version(session, prepared, at)

    def add_branch(self, name: str, job_id: str, branch: str, left: Sequence[Artifact]) -> Version:
        """Register a student that a job left, with its receipt; the same version every time.

        left: the job's artifacts. Raises NameInvalid, ArtifactNotFound, ArtifactUnusable,
        ModelUnusable, ReceiptUnusable.
        """
        checked_name(name, "model")
        there = {artifact.name: artifact for artifact in left}
        student = there.get(student_file(branch))
        if student is None:
            names = sorted(Path(name).stem for name in there if name.endswith(".onnx"))
            accepted = ", ".join(names) or "none"
            raise ArtifactNotFound(
                f"job {job_id} left no student {branch!r}; there are: {accepted} "
                "(a run with export.branch=all leaves every branch)"
            )
        evidence = there.get(receipt_file(branch))
        with TemporaryDirectory() as folder:
            # The store may keep each file under a name of its own: here they lie side by side.
            onnx = Path(folder) / "student.onnx"
            shutil.copyfile(self._artifacts.fetch(student.key, student.sha256), onnx)
            if evidence is not None:
                receipt = self._artifacts.fetch(evidence.key, evidence.sha256)
                shutil.copyfile(receipt, beside(onnx))
            card = read_card(onnx)
            return self.add_version(name, onnx, card, card["metrics"], job_id)

    def siblings(self, version: Version) -> list[Version]:
        """`siblings_among` all versions of the version's model, newest first."""
        if version.job_id is None:
            return []
        of_job = select(Version).where(
            Version.model == version.model, Version.job_id == version.job_id
        )
        with self._database.reading() as session:
            found = session.scalars(of_job.order_by(Version.version.desc()))
            return siblings_among(found, version)

    def promote(
        self,
        name: str,
        version: int,
        *,
        who: str,
        why: str = "",
        gate: Verdict | None = None,
        forced: bool = False,
    ) -> Promotion:
        """Put a version into production. Raises ModelNotFound, VersionNotFound.

        who, why: any text; what a database cannot hold is left out. gate: what it found, for the
        log alone. forced: whether what it found was to be passed over.
        """
        self.get(name, version)
        with self._database.writing() as session:
            line = _line(name, version, clock(session), who, why)
            line.gate = None if gate is None else gate.to_json(forced=forced)
            session.add(line)
        return line

    def before(self, name: str) -> Version:
        """The version that was in production before `name`'s present one.

        Raises ModelNotFound, RollbackImpossible.
        """
        self.resolve(name)
        with self._database.reading() as session:
            return session.get_one(Version, _before(session, name))

    def roll_back(self, name: str, to: Version, *, who: str, why: str = "") -> Promotion:
        """Put what was in production before back; again goes one further back.

        to: what `before` said. Raises RollbackImpossible when another promotion came between.
        """
        with self._database.writing() as session:
            session.get(Model, name, with_for_update=True)
            if _before(session, name) != (to.model, to.version):
                raise RollbackImpossible("another promotion came between: look, and ask again")
            line = _line(to.model, to.version, clock(session), who, why)
            line.action = ROLLBACK
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


def _meant(session: Session, versions: Select[Version]) -> Version | None:
    """Of some of a model's versions the last promoted, else the newest, those in float32 first."""
    same = (Promotion.model == Version.model) & (Promotion.version == Version.version)
    by_promotion = versions.join(Promotion, same).order_by(Promotion.id.desc()).limit(1)
    promoted = session.scalar(by_promotion)
    if promoted is not None:
        return promoted
    newest = versions.order_by(Version.variant != FULL, Version.version.desc()).limit(1)
    return session.scalar(newest)


def _line(name: str, version: int, at: float, who: str, why: str) -> Promotion:
    return Promotion(
        model=name,
        version=version,
        at=at,
        who=_plain(who, 200),
        why=_plain(why, 1000),
        action=PROMOTE,
    )


def _before(session: Session, name: str) -> tuple[str, int]:
    """Model and version that the log leads back to. Raises RollbackImpossible.

    A promotion goes on top of what was there, a rollback takes the top away: two in a row lead two
    back, and do not swap.
    """
    was: list[tuple[str, int]] = []
    for line in session.scalars(select(Promotion).order_by(Promotion.id)):
        here = (line.model, line.version)
        if line.action == ROLLBACK:
            was.pop()
        elif not was or was[-1] != here:
            was.append(here)
    if not was or was[-1][0] != name:
        now = f"{was[-1][0]}:{was[-1][1]} is" if was else "nothing is"
        raise RollbackImpossible(f"model {name!r} is not in production: {now}")
    if len(was) < 2:
        raise RollbackImpossible(f"nothing was in production before {name}:{was[-1][1]}")
    return was[-2]


def siblings_among(versions: Iterable[Version], version: Version) -> list[Version]:
    """Those of a model's versions that are other branches of the version's job, in their order.

    They answer with the same numbers: an int8 student's siblings are int8.
    """
    return [
        other
        for other in versions
        if other.job_id is not None
        and (other.job_id, other.variant) == (version.job_id, version.variant)
        and other.branch != version.branch
    ]


def _plain(text: str, length: int) -> str:
    """Without the NULs and half characters that JSON can spell but no database stores."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")[:length]


def read_card(onnx: Path) -> dict[str, Any]:
    """What a student's file says of itself, as JSON. Raises ModelUnusable."""
    card: dict[str, Any] = json.loads(Predictor(onnx).card.to_json())
    return card
