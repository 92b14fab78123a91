"""What an operator demands of a version before it answers everybody."""

from typing import Any

import pytest

from model.receipt import (
    Accuracy,
    AgainstFp32,
    Change,
    CostFacts,
    Data,
    Figure,
    FileFacts,
    Latency,
    Licence,
    Made,
    Parity,
    Receipt,
)
from worker.gate import GatePolicy, judge
from worker.store import Version


def version(variant: str = "fp32", **claims: Any) -> Version:
    """A version whose receipt claims this."""
    known: dict[str, Any] = {
        "parity": (parity(),),
        "accuracy": (accuracy(60.0),),
        "latency": (latency(3.0, "cpu"), latency(1.0, "cuda")),
        "licences": (Licence(of="code", terms="Apache-2.0"),),
    }
    receipt = Receipt(
        name="gym",
        branch="a",
        run="run",
        file=FileFacts(sha256="0" * 64, bytes=7, opset=18, numbers=0),
        cost=CostFacts(crop_px=(64, 64), parameters=0, macs=0),
        gain="not measured",
        calibration="not measured",
        data=Data(train=(), valid=()),
        config=None,
        made=Made(at="2026", code=None, command=None, python=None, packages=None),
        **(known | claims),
    )
    tree = receipt.model_dump(mode="json")
    return Version(model="gym", version=2, card={}, variant=variant, receipt=tree)


def parity(moved: float = 0.0, change: float = 0.0) -> Parity:
    return Parity(
        data="lsp:valid",
        people=9,
        largest_px=1.0,
        share_moved_half_a_px=moved,
        largest_score_change=0.0,
        metric_change={"pck@0.2": change},
    )


def accuracy(pck: float, people: str = "same") -> Accuracy:
    return Accuracy(
        data="lsp:valid",
        people=9,
        fingerprint=people,
        flip_test=False,
        chosen_on=False,
        answered_by="ONNX Runtime, cpu",
        metrics={"pck@0.2": Figure(value=pck)},
    )


def latency(ms: float, provider: str) -> Latency:
    return Latency(device="here", provider=provider, threads=1, batch=1, median_ms=ms)


def refused(of: Version, production: Version | None = None, **demands: Any) -> list[str]:
    """The demands that it does not meet."""
    verdict = judge(of, production, GatePolicy(**demands), provider="cpu")
    return [fault.where for fault in verdict.faults]


WITHOUT = Version(
    model="gym", version=1, card={"licence": "Apache-2.0"}, variant="fp32", receipt=None
)


def test_without_a_policy_only_a_file_that_differs_from_its_network_is_refused() -> None:
    """A student that came without evidence may still be promoted by who knows it."""
    assert refused(WITHOUT) == []
    assert refused(version(parity="not measured", accuracy="not measured")) == []
    assert refused(version(parity=(parity(moved=0.5),))) == [
        "parity.lsp:valid.share_moved_half_a_px"
    ]
    assert refused(version(parity=(parity(change=-1.5),))) == ["parity.lsp:valid.pck@0.2"]


def test_the_limits_themselves_are_met() -> None:
    """At most means at most, at least means at least."""
    policy = {"max_latency_ms": 3.0, "min_accuracy": {"lsp:valid pck@0.2": 60.0}}

    assert refused(version(), **policy) == []
    assert refused(version(latency=(latency(3.01, "cpu"),)), **policy) == ["latency.cpu"]
    assert refused(version(accuracy=(accuracy(59.99),)), **policy) == ["accuracy.lsp:valid.pck@0.2"]


@pytest.mark.parametrize(
    ("demands", "where"),
    [
        ({"max_latency_ms": 9.0}, "latency.cpu"),
        ({"min_accuracy": {"lsp:valid pck@0.2": 1.0}}, "accuracy.lsp:valid.pck@0.2"),
        ({"max_loss": 99.0}, "loss"),
        ({"licences": ("Apache-2.0",)}, "licence.data"),
    ],
)
def test_what_nobody_measured_meets_no_demand(demands: dict[str, Any], where: str) -> None:
    """Else leaving the receipt away would be the way round the gate."""
    assert refused(WITHOUT, version(), **demands) == [where]


def test_a_version_may_not_be_worse_than_production_by_more_than_asked() -> None:
    """Held on the same people alone: a set's name says too little."""
    now = version(accuracy=(accuracy(62.0),))

    assert refused(version(), now, max_loss=2.0) == []
    assert refused(version(), now, max_loss=1.9) == ["loss.lsp:valid.pck@0.2"]
    assert refused(version(), version(accuracy=(accuracy(62.0, "others"),)), max_loss=99) == [
        "loss"
    ]
    assert refused(version(), None, max_loss=0.0) == []


def test_every_link_of_the_licence_chain_must_be_allowed() -> None:
    """One photograph set for research only makes the weights so."""
    chain = (
        Licence(of="code", terms="apache-2.0"),
        Licence(of="data lsp:train", terms="photographs for research; labels BSD"),
    )

    assert refused(version(licences=chain), licences=("Apache-2.0",)) == ["licence.data lsp:train"]
    assert refused(version(licences=chain), licences=("Apache-2.0", "*research*")) == []


def test_the_log_tells_what_was_forced() -> None:
    """`forced` where there was nothing to pass over would accuse wrongly."""
    bad = judge(version(), None, GatePolicy(max_latency_ms=1.0), provider="cpu")
    good = judge(version(), None, GatePolicy(), provider="cpu")

    assert bad.to_json(forced=True)["forced"]
    assert not bad.to_json(forced=True)["passed"]
    assert not good.to_json(forced=True)["forced"]
    found = {check["what"]: check["found"] for check in bad.to_json(forced=True)["checks"]}
    assert found["latency.cpu"] == "3 ms on here"


def against_fp32(points: float) -> AgainstFp32:
    """What int8 costs on a set."""
    change = Change(
        data="lsp:valid",
        people=9,
        fingerprint="same",
        metric="pck@0.2",
        points=points,
        interval_95=(points - 1, points + 1),
    )
    return AgainstFp32(precision="int8", sha256="1" * 64, ranges=None, changes=(change,), speed=())


def test_fewer_bits_may_cost_as_much_as_an_export_may() -> None:
    """Told with its numbers; a gain is none."""
    held: dict[str, Any] = {"parity": "not measured", "variant": "int8"}

    assert refused(version(**held, against_fp32=against_fp32(-1.4))) == ["int8.lsp:valid.pck@0.2"]
    assert refused(version(**held, against_fp32=against_fp32(-0.9))) == []
    assert refused(version(**held, against_fp32=against_fp32(2.0))) == []
    demanded = {"metric_change": 1.5}
    assert refused(version(**held, against_fp32=against_fp32(-1.4)), **demanded) == []


def test_fewer_bits_that_nobody_measured_are_refused() -> None:
    """With a receipt that tells nothing of it, and without one."""
    bare = Version(model="gym", version=1, card={}, variant="fp16", receipt=None)

    assert refused(version(variant="int8")) == ["int8.loss"]
    assert refused(bare) == ["fp16.loss"]
