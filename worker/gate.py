"""The gate before production: what an operator demands of a version, and what its receipt shows.

It reads figures, it makes none: they stand in the receipt (`model.receipt`), which `okdhp verify`
computes again. What nobody has measured fulfils no demand.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from model.errors import Fault
from model.precisions import FULL
from model.receipt import Accuracy, Receipt, measured
from worker.store.tables import Version

_UNKNOWN: Final = "unknown"


class GatePolicy(BaseModel):
    """What is demanded; None demands nothing."""

    model_config = ConfigDict(frozen=True)

    moved_share: float = Field(
        0.02, ge=0, le=1, description="of joints that the file may place otherwise than PyTorch"
    )
    metric_change: float = Field(
        1.0, ge=0, description="points of PCK that the file may differ from PyTorch"
    )
    max_latency_ms: float | None = Field(
        None, gt=0, description="median of one crop, by the receipt, on the provider that serves"
    )
    min_accuracy: Mapping[str, float] = Field(
        default_factory=dict, description="by `SET METRIC`, as {'lsp:valid pck@0.2': 60}"
    )
    max_loss: float | None = Field(
        None,
        ge=0,
        description="points of PCK below production, on people that both were measured on",
    )
    licences: tuple[str, ...] | None = Field(
        None, description="terms that every link of the chain must match, as Apache-2.0 or *BSD*"
    )


@dataclass(frozen=True)
class GateCheck:
    """One demand: what it is about, what was found, what is demanded."""

    what: str
    found: str
    demanded: str
    passed: bool


@dataclass(frozen=True)
class Verdict:
    """All that was looked at."""

    checks: tuple[GateCheck, ...]

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The demands that are not met."""
        return tuple(Fault(c.what, c.found, c.demanded) for c in self.checks if not c.passed)

    def to_json(self, *, forced: bool) -> dict[str, Any]:
        """As the log of promotions keeps it. forced: whether a failure was passed over."""
        failed = bool(self.faults)
        return {
            "passed": not failed,
            "forced": forced and failed,
            "checks": [asdict(check) for check in self.checks],
        }


def judge(
    version: Version, production: Version | None, policy: GatePolicy, *, provider: str
) -> Verdict:
    """Holds a version to the policy. provider: what serves it here, as `cpu`.

    production: what answers now; None before the first promotion.
    """
    receipt = _receipt(version)
    return Verdict(
        (
            *_parity(receipt, policy),
            *_fewer_bits(receipt, version, policy),
            *_latency(receipt, policy, provider),
            *_accuracy(receipt, policy),
            *_loss(receipt, production, policy),
            *_licences(receipt, version, policy),
        )
    )


def _receipt(version: Version) -> Receipt | None:
    return None if version.receipt is None else Receipt.model_validate(version.receipt)


def _parity(receipt: Receipt | None, policy: GatePolicy) -> Iterator[GateCheck]:
    """On every set that the file was held to PyTorch on; where on none, nothing is known against it
    (a file that came without its run cannot be held to it)."""
    for parity in () if receipt is None else measured(receipt.parity):
        share = parity.share_moved_half_a_px
        yield GateCheck(
            f"parity.{parity.data}.share_moved_half_a_px",
            f"{share:.4f}",
            f"at most {policy.moved_share:.4f}",
            share <= policy.moved_share,
        )
        for metric, change in parity.metric_change.items():
            points = change * 100 if metric == "AP" else change
            yield GateCheck(
                f"parity.{parity.data}.{metric}",
                f"{points:+.3f} points",
                f"within {policy.metric_change:g} points",
                abs(points) <= policy.metric_change,
            )


def _fewer_bits(
    receipt: Receipt | None, version: Version, policy: GatePolicy
) -> Iterator[GateCheck]:
    """What a file in fewer bits loses to its float32 original, whose own parity was held before.

    Its joints lie elsewhere by nature; what counts is whether fewer of them are found."""
    if version.variant == FULL:
        return
    demanded = f"at most {policy.metric_change:g} points below fp32"
    against = None if receipt is None else receipt.against_fp32
    if against is None or not against.changes:
        yield GateCheck(f"{version.variant}.loss", "not measured", demanded, False)
        return
    for change in against.changes:
        yield GateCheck(
            f"{version.variant}.{change.data}.{change.metric}",
            f"{change.points:+.3f} points",
            demanded,
            -change.points <= policy.metric_change,
        )


def _latency(receipt: Receipt | None, policy: GatePolicy, provider: str) -> Iterator[GateCheck]:
    if policy.max_latency_ms is None:
        return
    claims = () if receipt is None else measured(receipt.latency)
    one = [claim for claim in claims if claim.provider == provider and claim.batch == 1]
    slowest = max((claim.median_ms for claim in one), default=None)
    yield GateCheck(
        f"latency.{provider}",
        "not measured" if slowest is None else f"{slowest:g} ms on {one[0].device}",
        f"at most {policy.max_latency_ms:g} ms",
        slowest is not None and slowest <= policy.max_latency_ms,
    )


def _accuracy(receipt: Receipt | None, policy: GatePolicy) -> Iterator[GateCheck]:
    claims = () if receipt is None else measured(receipt.accuracy)
    for asked, least in policy.min_accuracy.items():
        data, _, metric = asked.rpartition(" ")
        values = [
            claim.metrics[metric].value
            for claim in claims
            if claim.data == data and metric in claim.metrics
        ]
        yield GateCheck(
            f"accuracy.{data}.{metric}",
            f"{min(values):g}" if values else "not measured",
            f"at least {least:g}",
            bool(values) and min(values) >= least,
        )


def _loss(
    receipt: Receipt | None, production: Version | None, policy: GatePolicy
) -> Iterator[GateCheck]:
    """Sets with the same name may hold other people: they are known by their fingerprint."""
    if policy.max_loss is None or production is None:
        return
    now = _receipt(production)
    theirs = {_people(a): a for a in measured(now.accuracy)} if now is not None else {}
    held = 0
    for mine in () if receipt is None else measured(receipt.accuracy):
        other = theirs.get(_people(mine))
        for metric, figure in mine.metrics.items() if other is not None else ():
            assert other is not None
            if metric == "AP" or metric not in other.metrics:
                continue
            held += 1
            before = other.metrics[metric].value
            yield GateCheck(
                f"loss.{mine.data}.{metric}",
                f"{figure.value:g}, {before - figure.value:+.2f} points below production",
                f"at most {policy.max_loss:g} points below {before:g}",
                before - figure.value <= policy.max_loss,
            )
    if not held:
        yield GateCheck(
            "loss",
            "no set on which both it and production were measured",
            f"at most {policy.max_loss:g} points below production",
            False,
        )


def _people(accuracy: Accuracy) -> tuple[str, bool]:
    return accuracy.fingerprint, accuracy.flip_test


def _licences(receipt: Receipt | None, version: Version, policy: GatePolicy) -> Iterator[GateCheck]:
    if policy.licences is None:
        return
    if receipt is None:
        owner = str(version.card.get("licence", _UNKNOWN))
        chain = {"data": f"{_UNKNOWN}: there is no receipt", "this student": owner}
    else:
        chain = {link.of: link.terms for link in receipt.licences}
    allowed = [pattern.casefold() for pattern in policy.licences]
    for of, terms in chain.items():
        yield GateCheck(
            f"licence.{of}",
            terms,
            ", ".join(policy.licences),
            any(fnmatchcase(terms.casefold(), pattern) for pattern in allowed),
        )
