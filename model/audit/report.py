"""What an audit leaves for people and programs: a ranked table, counts, and weights of labels."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from model.audit import verdict as rules
from model.audit.evidence import ANYWHERE
from model.audit.findings import Findings
from model.audit.verdict import FINE, HARD, KINDS, SUSPECT
from model.data.label_weights import LabelWeights
from model.files import replaced

COLUMNS: Final = (
    "rank",
    "set",
    "person",
    "image",
    "joint",
    "kind",
    "class",
    "score",
    "against",
    "known",
    "label_x",
    "label_y",
    "consensus_x",
    "consensus_y",
    "distance",
    "spread",
)


def ranked(found: Sequence[Findings]) -> list[tuple[int, int, int]]:
    """(set, person, joint) of every label, the likeliest to be wrong first."""
    scores, places = [], []
    for s, findings in enumerate(found):
        at = np.argwhere(findings.labelled)
        scores.append(findings.verdict.score[findings.labelled])
        places.append(np.concatenate([np.full((len(at), 1), s), at], 1))
    order = np.argsort(-np.concatenate(scores), kind="stable")
    return [(int(s), int(p), int(k)) for s, p, k in np.concatenate(places)[order]]


def write_table(found: Sequence[Findings], path: Path) -> None:
    """A line for every label that is not fine, the likeliest to be wrong first.

    person: its place in the set, from 0. Coordinates are image pixels, distance and spread body
    sizes. known: whether the runs had learnt from the person.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    lines = ((f, p, k) for f, p, k in ranked(found) if found[f].verdict.class_[p, k] != FINE)
    for rank, (s, p, k) in enumerate(lines, 1):
        findings = found[s]
        verdict, person = findings.verdict, findings.people[p]
        writer.writerow(
            [
                rank,
                findings.origin.name,
                findings.first + p,
                person.photograph.name,
                findings.skeleton.joints[k],
                verdict.kind[p, k],
                verdict.class_[p, k],
                f"{verdict.score[p, k]:.4f}",
                f"{verdict.against[p, k]:.2f}",
                "yes" if findings.known[p] else "no",
                *(f"{v:.1f}" for v in person.joints_img[k, :2]),
                *(f"{v:.1f}" for v in verdict.consensus_img[p, k]),
                f"{verdict.distance[p, k]:.3f}",
                f"{verdict.spread[p, k]:.3f}",
            ]
        )
    with replaced(path) as file:
        file.write(text.getvalue().encode())


def write_weights(found: Sequence[Findings], path: Path) -> None:
    """What `data.weights` of a training takes."""
    weights = {findings.origin.fingerprint: findings.weights for findings in found}
    LabelWeights(found[0].skeleton.joints, weights).write(path)


def summary(found: Sequence[Findings], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Counts of a whole audit and of its sets, with what they rest on. JSON-able."""
    return {
        "skeleton": found[0].skeleton.name,
        **_counts(found),
        "sets": [
            {
                "name": f.origin.name,
                "fingerprint": f.origin.fingerprint,
                "people": f.origin.people,
                "known_people": int(f.known.sum()),
                **_counts([f]),
            }
            for f in found
        ],
        "settings": {
            **settings,
            "label_prior": rules.LABEL_PRIOR,
            "person_prior": rules.PERSON_PRIOR,
            "suspected_from_score": rules.SUSPECTED,
            "hard_from_spread": rules.DISAGREED,
            "density_anywhere": ANYWHERE,
        },
    }


def _counts(found: Sequence[Findings]) -> dict[str, Any]:
    """Labels by class; the suspect ones by kind and by joint."""
    class_ = np.concatenate([f.verdict.class_ for f in found])
    kind = np.concatenate([f.verdict.kind for f in found])
    suspect = class_ == SUSPECT
    joints = found[0].skeleton.joints
    return {
        "labels": int(sum(f.labelled.sum() for f in found)),
        "suspect": int(suspect.sum()),
        "hard": int((class_ == HARD).sum()),
        "suspect_by_kind": {name: int((suspect & (kind == name)).sum()) for name in KINDS},
        "suspect_by_joint": dict(zip(joints, suspect.sum(0).tolist(), strict=True)),
        "wrong_labels_expected": round(float(sum(f.verdict.score.sum() for f in found)), 1),
    }
