"""Files that are whole or not there, also when their writer is killed."""

import subprocess
import sys
from pathlib import Path

from model.files import replaced

WRITER = """
import sys
from pathlib import Path
from model.files import replaced
with replaced(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    sys.stdin.read()
"""


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    """Of the same file alone, and nothing of a writer that still works: a checkpoint that is killed
    again and again must not fill the disk."""
    path, neighbour = tmp_path / "last[1].pt", tmp_path / ".last.pt.4194304.1.part"
    path.write_bytes(b"old")
    neighbour.touch()
    command = [sys.executable, "-c", WRITER, str(path)]
    killed, working = (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)
    )
    for writer in (killed, working):
        assert writer.stdout is not None and writer.stdout.readline() == b"writing\n"
    killed.kill()
    killed.communicate()
    assert len(list(tmp_path.glob("*.part"))) == 3

    with replaced(path) as file:
        file.write(b"new")

    left = [part.name for part in tmp_path.glob("*.part") if part != neighbour]
    assert [name.split(".")[-3] for name in left] == [str(working.pid)]
    working.communicate()
    assert path.read_bytes() == b"half"  # it ended last
    assert list(tmp_path.glob("*.part")) == [neighbour]
