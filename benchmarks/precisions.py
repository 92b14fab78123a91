"""The bundled student in float32, fp16 and int8: speed side by side, and what it costs in PCK.

    python benchmarks/precisions.py ../shared/data

The table of docs/precisions.md. Ranges of int8 are taken from training people, PCK from others.
"""

import sys
import tempfile
from pathlib import Path

from model.config import SourceConfig
from model.data.mixture import open_source
from model.evidence import Exam, prepared, sat
from model.latency import interleaved_ms
from model.precisions import RANGES_PEOPLE
from model.predictor import BUNDLED, Card, Predictor
from model.quantise import quantised

SETS = (("lsp", "lsp"), ("mpii", "mpii"), ("lsp", "lspet"))
LONGEST_S = 10.0


def main() -> None:
    data, card = Path(sys.argv[1]), Predictor(BUNDLED).card
    ranges = _exam(card, "lsp", data / "lsp", "train", RANGES_PEOPLE)
    exams = [_exam(card, form, data / name, "valid") for form, name in SETS]
    with tempfile.TemporaryDirectory() as folder:
        files = {"fp32": BUNDLED}
        for precision in ("fp16", "int8"):
            files[precision] = Path(folder) / f"{precision}.onnx"
            quantised(BUNDLED, precision, ranges.crops, files[precision])
        for name, file in files.items():
            student = Predictor(file)
            answered = [
                sat(student, exam, flip_test=False).accuracy(chosen_on=False) for exam in exams
            ]
            scores = ", ".join(f"{of.data} {of.metrics['pck@0.2'].value:.2f}" for of in answered)
            sys.stdout.write(f"{name}: {file.stat().st_size:,} bytes; PCK@0.2 {scores}\n")
        for threads in (1, 2):
            students = [Predictor(file, threads=threads) for file in files.values()]
            for batch in (1, 8):
                ms = interleaved_ms(students, batch=batch, longest_s=LONGEST_S)
                told = ", ".join(
                    f"{name} {of:.2f} ms ({ms[0] / of:.2f} x)"
                    for name, of in zip(files, ms, strict=True)
                )
                sys.stdout.write(f"{threads} threads, batch {batch}: {told}\n")


def _exam(card: Card, form: str, path: Path, split: str, people: int | None = None) -> Exam:
    source = SourceConfig.model_validate(
        {"format": form, "path": path, "split": split, "people": people}
    )
    return prepared(open_source(source), card.size, card.padding)


if __name__ == "__main__":
    main()
