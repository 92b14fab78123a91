"""`okdhp calibrate`."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli.options import need_runtime, need_training
from service.cli.sources import FORM, parse_source


def calibrate(
    file: Annotated[Path, typer.Argument(dir_okay=False, exists=True, help="An ONNX file.")],
    data: Annotated[
        list[str],
        typer.Option(metavar="SOURCE", help=f"Labelled people to fit on: {FORM}. Repeatable."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="The file to write.", show_default="FILE itself"),
    ] = None,
) -> None:
    """Make a student's scores probabilities, inside the file: each joint's chance to be right,
    and, where the people's labels tell it, its chance to be seen and not hidden.

    okdhp calibrate old.onnx --data lsp:/photos/lsp:valid

    Its points stay as they are. A run that is finished exports its students so; this is for older
    files, and for people of your own. The receipt beside the file is written again, of what can be
    measured here.
    """
    need_runtime()
    need_training()  # the file's contents are changed by a package of it
    from model.appraisal import appraise
    from model.calibration_file import calibrate_file
    from model.data.mixture import open_source
    from model.evidence import prepared
    from model.predictor import Predictor
    from model.receipt import beside, write_receipt

    card = Predictor(file).card
    sets = [open_source(parse_source(text)) for text in data]
    exams = [prepared(labelled, card.size, card.padding) for labelled in sets]
    target = out or file
    told = calibrate_file(file, exams, target)
    write_receipt(beside(target), appraise(target, exams))
    typer.echo(
        f"wrote {target} and {beside(target).name}: {told['map']} map of {told['joints']:,} "
        f"joints; calibration error {told['ece_before']:.3f} before, {told['ece_after']:.3f} after "
        "on people that it was not fitted on"
    )
    if (visible := told.get("visible")) is not None:
        typer.echo(
            f"visible: {visible['map']} map of {visible['joints']:,} joints, "
            f"{100 * visible['share_visible']:.1f} % seen; calibration error {visible['ece']:.3f}, "
            f"AUROC {visible['auroc']:.3f}, of the same joint {visible['auroc_one_joint']:.3f}, "
            "on people that it was not fitted on"
        )
