"""What a dry run says on stderr, while stdout stays a configuration."""

from pathlib import Path

import yaml


def test_missing_data_is_told_and_all_else_is_planned(command, tmp_path: Path):
    """The data may lie on the machine where it will be trained."""
    done = command(
        *("train", "--preset", "tiny", "--dry-run", "--valid", "synthetic:30"),
        f"data.train=[{{format: lsp, path: {tmp_path}/lsp, split: train}}]",
    )

    assert done.exit_code == 0
    assert yaml.safe_load(done.stdout)["data"]["train"][0]["path"] == f"{tmp_path}/lsp"
    assert "branch0, deployed" in done.stderr
    assert "? people to learn from, 30 to judge on; steps: not known" in done.stderr
    assert "note: data.train: lsp/joints.mat" in done.stderr


def test_a_skeleton_that_only_the_data_knows_cannot_be_planned(command, tmp_path: Path):
    """How many joints there are decides what the network costs."""
    done = command(
        *("train", "--preset", "tiny", "--dry-run", "data.skeleton=source"),
        f"data.train=[{{format: coco, path: {tmp_path}/coco, split: train}}]",
    )

    assert done.exit_code == 0
    assert yaml.safe_load(done.stdout)["data"]["skeleton"] == "source"
    assert "the skeleton is the data's, which cannot be read" in done.stderr
