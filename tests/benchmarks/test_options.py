"""bin/bench.sh knows its options before it installs anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.bench import FAULTS, SOAK, STARTS
from tests.benchmarks.loads import ONE, THREE
from tests.benchmarks.options import LOADS, read

ROOT = Path(__file__).resolve().parents[2]


def test_each_load_can_be_named() -> None:
    assert [*(load.key for load in ONE + THREE), SOAK, *STARTS, *FAULTS, "many-partitions"] == LOADS
    assert ["both", "soak"] == read(["--only", "both", "--only", "soak"]).only


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """bench.sh in a tree that can install nothing: whatever tries ends with 99."""
    for name in ("bin", "tests/benchmarks"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("bin/bench.sh", "tests/benchmarks/options.py"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
        (tmp_path / name).chmod(0o755)
    (tmp_path / "bin" / "machine.sh").write_text("exit 99\n")
    return tmp_path / "bin" / "bench.sh"


def _run(script: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    done = subprocess.run([script, *arguments], capture_output=True, text=True, env=os.environ | environment)
    return done.returncode, done.stdout, done.stderr


def test_help_installs_nothing(script: Path) -> None:
    code, out, err = _run(script, "--help")
    assert (0, "") == (code, err)
    assert out.startswith("usage: bench.sh [-h] [--quick]")
    assert "idle-consumers" in out


@pytest.mark.parametrize(
    "arguments", [["--quik"], ["--hel"], ["--against", "kafka"], ["--only", "nothing"], ["--times", "few"]]
)
def test_what_is_wrong_is_refused_before(script: Path, arguments: list[str]) -> None:
    code, out, err = _run(script, *arguments)
    assert (2, "") == (code, out)
    assert "bench.sh: error: " in err


def test_what_is_right_is_prepared(script: Path) -> None:
    assert (99, "", "") == _run(script, "--quick", "--against", "none")


def test_without_python_the_machine_is_prepared_first(script: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("bash", "dirname", "readlink"):
        (bare / name).symlink_to(next(path for path in (Path("/bin") / name, Path("/usr/bin") / name) if path.exists()))
    assert (99, "", "") == _run(script, "--quick", PATH=str(bare))
    assert Path(sys.executable).name not in os.listdir(bare)
