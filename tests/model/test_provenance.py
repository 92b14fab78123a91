"""What is told of a command: enough to do it again, nothing of the machine."""

import pytest

from model.provenance import code_version, package_versions, shown_command


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        ("--preset", "--preset"),
        ("training.epochs=3", "training.epochs=3"),
        ("runs/lsp", "runs/lsp"),
        ("../shared/data/lsp", "../shared/data/lsp"),
        ("lsp:/home/ada/photos/lsp:train", "lsp:…/lsp:train"),
        ("--out=/home/ada/runs/a", "--out=…/a"),
        ("~/runs/a", "…/a"),
        (
            "data.train=[{format: lsp, path: /home/ada/lsp}]",
            "data.train=[{format: lsp, path: …/lsp}]",
        ),
        ("/home/ada/", "…/"),
        ("training.init=s3://key:word@host/ada/x.onnx?token=1", "training.init=s3://…/x.onnx"),
    ],
)
def test_of_a_path_only_the_last_name_is_told(argument: str, shown: str) -> None:
    """Folders name people and disks, and a URL may hold a password."""
    assert shown_command(["/home/ada/.venv/bin/okdhp", "train", argument]) == (
        "okdhp",
        "train",
        shown,
    )


def test_a_module_that_was_run_is_named_by_its_package() -> None:
    """`python -m service.cli` has the file's whole path as its name."""
    assert shown_command(["/home/ada/service/cli/__main__.py"]) == ("cli",)


def test_code_and_packages_have_versions() -> None:
    """None is for what is not installed."""
    assert code_version().startswith("0.1.0 (")
    assert package_versions()["numpy"]
