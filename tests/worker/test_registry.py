"""Models, their versions, and which is in production."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from model.errors import ReceiptUnusable
from model.files import sha256_of
from model.receipt import (
    NOT_MEASURED,
    CostFacts,
    Data,
    FileFacts,
    Made,
    Receipt,
    beside,
    write_receipt,
)
from worker.artifacts import ArtifactStore
from worker.errors import (
    ModelNotFound,
    NameInvalid,
    ReceiptNotFound,
    RollbackImpossible,
    VersionNotFound,
)
from worker.registry import Registry
from worker.store import Database, JobStore, State


@pytest.fixture
def registry(database: Database, tmp_path: Path) -> Registry:
    return Registry(database, ArtifactStore(f"file://{tmp_path / 'store'}", tmp_path / "cache"))


@pytest.fixture
def onnx(tmp_path: Path) -> Path:
    path = tmp_path / "student.onnx"
    path.write_bytes(b"weights")
    return path


def add(registry: Registry, name: str, onnx: Path) -> int:
    return registry.add_version(name, onnx, {"branch": "a"}, {"pck@0.2": 1.0}).version


def meant(registry: Registry, asked: str | None) -> tuple[str, int]:
    found = registry.resolve(asked)
    return found.model, found.version


def test_versions_count_from_one_for_each_model(registry: Registry, onnx: Path) -> None:
    """And keep card, metrics and digest."""
    assert [add(registry, name, onnx) for name in ("gym", "gym", "clinic")] == [1, 2, 1]

    version = registry.get("gym", 2)
    assert (version.card, version.metrics) == ({"branch": "a"}, {"pck@0.2": 1.0})
    assert version.bytes == 7
    assert registry.open_local("gym", 2).read_bytes() == b"weights"
    listed = registry.models()
    assert [(m.name, [v.version for v in m.versions], m.promoted) for m in listed] == [
        ("clinic", [1], None),
        ("gym", [2, 1], None),
    ]


def test_versions_that_are_added_at_once_get_different_numbers(
    registry: Registry, onnx: Path
) -> None:
    """Also of a model that nobody has made yet."""
    with ThreadPoolExecutor(6) as threads:
        numbers = list(threads.map(lambda _: add(registry, "gym", onnx), range(6)))

    assert sorted(numbers) == [1, 2, 3, 4, 5, 6]


def test_a_job_registers_its_student_once_and_with_its_end(
    registry: Registry, jobs: JobStore, onnx: Path
) -> None:
    """An attempt that was lost just before its end comes again."""
    job_id = jobs.add("distill", {}, {})[0].id
    for _ in range(2):
        prepared = registry.prepare("gym", onnx, {}, {}, job_id)
        registry_before = registry.models()
        claim = jobs.claim(job_id, "a")
        jobs.move(claim, State.RUNNING, "")
        jobs.move(claim, State.EVALUATING, "")
        jobs.release(claim, "its worker ends")
        assert registry.models() == registry_before == []
    claim = jobs.claim(job_id, "a")
    jobs.move(claim, State.RUNNING, "")
    jobs.move(claim, State.EVALUATING, "")

    jobs.succeed(claim, prepared)

    assert registry.get("gym", 1).job_id == job_id
    assert registry.add_version("gym", onnx, {}, {}, job_id).version == 1


def test_a_job_may_have_a_version_of_every_branch(
    registry: Registry, jobs: JobStore, onnx: Path
) -> None:
    """Those of one model, job and precision are siblings: any may answer for the other."""
    job_id = jobs.add("distill", {}, {})[0].id
    other = jobs.add("distill", {"seed": 1}, {})[0].id
    cards: list[tuple[str, str, str]] = [
        (job_id, "a", "fp32"),
        (job_id, "b", "fp32"),
        (job_id, "b", "int8"),
        (job_id, "b", "fp32"),
        (other, "c", "fp32"),
    ]

    numbers = [
        registry.add_version("gym", onnx, {"branch": b, "precision": p}, {}, job).version
        for job, b, p in cards
    ]

    assert numbers == [1, 2, 3, 2, 4]
    assert [v.version for v in registry.siblings(registry.get("gym", 1))] == [2]
    assert [v.version for v in registry.siblings(registry.get("gym", 2))] == [1]
    assert registry.siblings(registry.get("gym", 3)) == []
    assert registry.siblings(registry.get("gym", add(registry, "gym", onnx))) == []


def test_each_rollback_goes_one_further_back(registry: Registry, onnx: Path) -> None:
    """Two in a row that swapped would put back what the first took away."""
    for name in ("gym", "gym", "clinic"):
        add(registry, name, onnx)
    for name, version in (("gym", 1), ("gym", 2), ("gym", 2), ("clinic", 1)):
        registry.promote(name, version, who="ada")

    seen = []
    for name in ("clinic", "gym"):
        registry.roll_back(name, registry.before(name), who="bob", why="worse")
        seen.append(meant(registry, None))

    assert seen == [("gym", 2), ("gym", 1)]
    assert [line.action for line in registry.promotions(limit=3)] == [
        "rollback",
        "rollback",
        "promote",
    ]
    with pytest.raises(RollbackImpossible, match="nothing was in production before gym:1"):
        registry.before("gym")
    with pytest.raises(RollbackImpossible, match="'clinic' is not in production: gym:1 is"):
        registry.before("clinic")


def test_a_rollback_undoes_no_promotion_that_it_did_not_see(registry: Registry, onnx: Path) -> None:
    """Who asked had another version before him."""
    for _ in range(3):
        add(registry, "gym", onnx)
    registry.promote("gym", 1, who="ada")
    registry.promote("gym", 2, who="ada")
    to = registry.before("gym")
    registry.promote("gym", 3, who="bob")

    with pytest.raises(RollbackImpossible, match="another promotion came between"):
        registry.roll_back("gym", to, who="ada")
    assert meant(registry, None) == ("gym", 3)


def test_production_is_what_was_promoted_last(registry: Registry, onnx: Path) -> None:
    """A bare name means its own last promoted version, and its newest before there is one."""
    for name in ("gym", "gym", "clinic", "clinic"):
        add(registry, name, onnx)
    registry.promote("gym", 2, who="ada", why="better")
    registry.promote("gym", 1, who="ada", why="it was not")
    registry.promote("clinic", 1, who="bob")
    add(registry, "clinic", onnx)

    assert meant(registry, None) == ("clinic", 1)
    assert registry.production().model == "clinic"
    assert meant(registry, "gym") == ("gym", 1)
    assert meant(registry, "gym:2") == ("gym", 2)
    assert meant(registry, "clinic") == ("clinic", 1)
    add(registry, "phone", onnx)
    add(registry, "phone", onnx)
    assert meant(registry, "phone") == ("phone", 2)


def test_fewer_bits_are_meant_by_their_name_alone(registry: Registry, onnx: Path) -> None:
    """A bare name goes on meaning float32 until someone promotes another; of each kind what was
    promoted last comes before what is newest."""

    def add_in(bits: str) -> int:
        return registry.add_version("gym", onnx, {"branch": "a", "precision": bits}, {}).version

    assert add_in("int8") == 1
    assert (meant(registry, "gym"), meant(registry, "gym@int8")) == (("gym", 1), ("gym", 1))
    for bits in ("fp32", "int8", "fp32", "int8"):
        add_in(bits)
    assert (meant(registry, "gym"), meant(registry, "gym@int8")) == (("gym", 4), ("gym", 5))
    assert meant(registry, "gym@fp32") == ("gym", 4)
    registry.promote("gym", 3, who="ada")
    registry.promote("gym", 2, who="ada")
    assert (meant(registry, "gym"), meant(registry, "gym@int8")) == (("gym", 2), ("gym", 3))
    assert [entry.default for entry in registry.models()] == [2]


@pytest.mark.parametrize("asked", ["gym@fp16", "gym@", "gym@2", "gym:1@int8", "gym@int8:1"])
def test_bits_that_a_model_lacks_are_told(registry: Registry, onnx: Path, asked: str) -> None:
    """With what there is."""
    add(registry, "gym", onnx)
    registry.add_version("gym", onnx, {"branch": "a", "precision": "int8"}, {})

    with pytest.raises(VersionNotFound, match=r"there are: 1, 2 \(int8\)"):
        registry.resolve(asked)


def test_every_promotion_is_in_the_log(registry: Registry, onnx: Path) -> None:
    """Who, what, when and why; also one that changes nothing."""
    add(registry, "gym", onnx)
    registry.promote("gym", 1, who="ada", why="first")
    registry.promote("gym", 1, who="bob\0", why="again\ud800" + "!" * 2000)

    lines = registry.promotions()
    assert [(p.model, p.version, p.who, p.why) for p in lines] == [
        ("gym", 1, "bob", "again?" + "!" * 994),
        ("gym", 1, "ada", "first"),
    ]
    assert lines[0].at >= lines[1].at
    assert registry.promotions("clinic") == []


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ("clinic", ModelNotFound, "there is no model 'clinic'"),
        ("clinic:1", ModelNotFound, "there is no model 'clinic'"),
        ("gym:2", VersionNotFound, "model 'gym' has no version '2'; there are: 1"),
        ("gym:", VersionNotFound, "model 'gym' has no version ''; there are: 1"),
        ("gym:one", VersionNotFound, "model 'gym' has no version 'one'; there are: 1"),
        ("gym:99999999999999999999", VersionNotFound, "there are: 1"),
        ("gym:²", VersionNotFound, "there are: 1"),
        ("", ModelNotFound, "there is no model ''"),
        ("a\0b", ModelNotFound, "there is no model"),
        ("\ud800", ModelNotFound, "there is no model"),
    ],
)
def test_what_is_not_there_is_named(
    registry: Registry, onnx: Path, asked: str, error: type[Exception], message: str
) -> None:
    """With what there is."""
    add(registry, "gym", onnx)

    with pytest.raises(error, match=message):
        registry.resolve(asked)


def test_before_the_first_promotion_nothing_is_in_production(registry: Registry) -> None:
    """The service then says that it is not ready."""
    with pytest.raises(ModelNotFound, match="no model is in production yet"):
        registry.production()


def test_an_unknown_version_cannot_be_promoted(registry: Registry, onnx: Path) -> None:
    """And leaves no line in the log."""
    add(registry, "gym", onnx)

    with pytest.raises(VersionNotFound):
        registry.promote("gym", 7, who="ada")

    assert registry.promotions() == []


@pytest.mark.parametrize("name", ["", "a:b", "a/b", "../a", "Gym", "-a", "a" * 65])
def test_a_name_that_would_be_misread_is_refused(registry: Registry, onnx: Path, name: str) -> None:
    """`name:version` is how people ask; a slash would be a folder."""
    with pytest.raises(NameInvalid, match="cannot name a model: accepted are"):
        add(registry, name, onnx)


def receipt_of(onnx: Path) -> Receipt:
    """What can be said of a file that holds nothing."""
    return Receipt(
        name="gym",
        branch="a",
        run="run",
        file=FileFacts(sha256=sha256_of(onnx), bytes=onnx.stat().st_size, opset=18, numbers=0),
        cost=CostFacts(crop_px=(64, 64), parameters=0, macs=0),
        gain=NOT_MEASURED,
        parity=NOT_MEASURED,
        accuracy=NOT_MEASURED,
        calibration=NOT_MEASURED,
        latency=NOT_MEASURED,
        data=Data(train=(), valid=()),
        licences=(),
        config=None,
        made=Made(
            at="2026-01-01T00:00:00+00:00", code=None, command=None, python=None, packages=None
        ),
    )


def test_a_version_carries_the_receipt_that_lay_beside_its_file(
    registry: Registry, onnx: Path
) -> None:
    """A gate may read it; a file that came without says so."""
    add(registry, "gym", onnx)
    receipt = receipt_of(onnx)
    write_receipt(beside(onnx), receipt)
    add(registry, "gym", onnx)

    assert registry.receipt("gym", 2) == receipt.model_dump(mode="json")
    with pytest.raises(ReceiptNotFound, match="version 1 of model 'gym' came without"):
        registry.receipt("gym", 1)


def test_the_receipt_of_another_file_is_refused(registry: Registry, onnx: Path) -> None:
    """Its figures would be believed of a student that never had them."""
    write_receipt(beside(onnx), receipt_of(onnx))
    onnx.write_bytes(b"other weights")

    with pytest.raises(ReceiptUnusable, match=r"of another file than student\.onnx"):
        add(registry, "gym", onnx)
    assert registry.models() == []
