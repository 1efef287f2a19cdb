"""What is installed first: a Ctrl-C at any step leaves nothing that the next run stumbles over."""

from __future__ import annotations

import os
import shutil
import signal
import stat
from pathlib import Path

import pytest

from tests.servers import wait_until
from tests.terminal import Terminal, assert_gone

ROOT = Path(__file__).resolve().parents[2]

# Stands in for Python where it makes an environment and installs: quick, or, while there is a file "slow", as long as
# it is let; then it has a child that goes on writing into .venv and takes no notice of SIGINT and SIGTERM.
PYTHON = """\
#!/bin/bash
case "$*" in
  *"-m venv"*) step=venv at=${{@: -1}} ;;
  *"-m pip install"*) step=pip at={root}/.venv ;;
  *"-m pip --version"*) [ -e {root}/.venv/pip ]; exit ;;
  *) exit 0 ;;
esac
if [ -e "{root}/slow-$step" ]; then
  (trap '' INT TERM; while :; do echo more >>"$at/written"; echo "$BASHPID" >"{root}/child"; sleep 0.1; done) &
  wait
  exit 1
fi
echo "$step" >>"{root}/done"
[ ! -e "$at/written" ] || exit 1
mkdir -p "$at/bin"
cp "$0" "$at/bin/python"
touch "$at/pip"
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with the scripts alone, where the walk only says that it was called."""
    root = tmp_path / "clone"
    (root / "bin").mkdir(parents=True)
    for name in ("quickstart.sh", "machine.sh"):
        shutil.copy(ROOT / "bin" / name, root / "bin")
    for name in ("kafkalike", "zk", "path"):
        (root / name).mkdir()
    (root / "requirements.txt").touch()
    _script(root / "bin" / "walkthrough.sh", '#!/bin/sh\necho "walks with $*"\n')
    _script(root / "path" / "python3", PYTHON.format(root=root))
    return root


def _script(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def _quickstart(clone: Path, *arguments: str) -> Terminal:
    path = f"{clone / 'path'}:{os.environ['PATH']}"
    return Terminal([clone / "bin" / "quickstart.sh", *arguments], env=os.environ | {"PATH": path})


@pytest.mark.parametrize("step", ["venv", "pip"])
def test_ctrl_c_in_an_installation_ends_it_and_the_next_run_begins_anew(clone: Path, step: str) -> None:
    (clone / f"slow-{step}").touch()
    child = clone / "child"
    with _quickstart(clone) as terminal:
        terminal.expect("Making the virtual environment" if step == "venv" else "Installing the Python packages")
        pid = int(wait_until(lambda: child.exists() and child.read_text().strip()))
        started = terminal.started()
        assert pid in started
        seconds = terminal.interrupt()
        assert -signal.SIGINT == terminal.code
        assert_gone(started)
    assert seconds < 2, "one for those who end by themselves, then SIGKILL"
    assert "failed" not in terminal.text

    (clone / f"slow-{step}").unlink()
    (clone / "done").unlink(missing_ok=True)
    with _quickstart(clone) as terminal:
        assert 0 == terminal.join(), terminal.text
        assert "walks with --brokers 3 --usual-ports\n" in terminal.text
    assert ["venv", "pip"] == (clone / "done").read_text().split()
    assert not (clone / ".venv" / ".unfinished").exists()


def test_sigterm_to_the_script_alone_ends_the_step_too(clone: Path) -> None:
    (clone / "slow-pip").touch()
    with _quickstart(clone) as terminal:
        wait_until((clone / "child").exists)
        started = terminal.started()
        os.kill(terminal.pid, signal.SIGTERM)
        assert -signal.SIGTERM == terminal.join()
        assert_gone(started)


def test_what_is_installed_is_not_installed_again(clone: Path) -> None:
    for _ in range(2):
        with _quickstart(clone) as terminal:
            assert 0 == terminal.join(), terminal.text
    assert "walks with --brokers 3 --usual-ports\n" == terminal.text
    assert ["venv", "pip"] == (clone / "done").read_text().split()


def test_two_runs_do_not_install_at_the_same_time(clone: Path) -> None:
    (clone / "slow-pip").touch()
    with _quickstart(clone) as first:
        wait_until((clone / "child").exists)
        with _quickstart(clone) as second:
            second.expect("Another run is installing here; waiting for it.")
            (clone / "slow-pip").unlink()
            first.interrupt()
            assert 0 == second.join(), second.text
            assert "walks with" in second.text


def test_a_package_installation_of_debian_is_not_broken_off(clone: Path) -> None:
    """dpkg that is killed half way would stop the next run."""
    _script(clone / "path" / "python3", "#!/bin/sh\nexit 1\n")  # there is no Python yet
    _script(clone / "path" / "dpkg-query", "#!/bin/sh\nexit 1\n")
    _script(
        clone / "path" / "apt-get",
        f"""#!/bin/sh
[ "$1" != update ] || exit 0
trap '' INT TERM
echo $$ >{clone}/child
until [ -e {clone}/enough ]; do sleep 0.1; done
echo unpacked >{clone}/unpacked
""",
    )
    if os.geteuid():
        _script(clone / "path" / "sudo", '#!/bin/sh\n[ "$1" = -v ] || exec "$@"\n')
    with _quickstart(clone) as terminal:
        wait_until(lambda: (clone / "child").exists() and (clone / "child").read_text())
        pid = int((clone / "child").read_text())
        terminal.interrupt()
        assert -signal.SIGINT == terminal.code
        assert "apt goes on in the background with what it has begun to unpack" in terminal.text
        (clone / "enough").touch()
        wait_until((clone / "unpacked").exists)
        assert_gone([pid])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--stpe", "3"], "--stpe is not an option of quickstart.sh\n"),
        (["--keep", "more"], "more is not an option of quickstart.sh\n"),
        (["--step"], "Option step requires an argument\n"),
        (["--step", "15"], "there is no step 15: they are 1 to 14\n"),
        (["--step=W0"], "there is no step W0: they are 1 to 14\n"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_installed(clone: Path, arguments: list[str], text: str) -> None:
    with _quickstart(clone, *arguments) as terminal:
        assert 1 == terminal.join()
    assert f"{text}quickstart.sh --help shows the options.\n" == terminal.text
    assert not (clone / ".venv").exists()


def test_help_starts_nothing(clone: Path) -> None:
    with _quickstart(clone, "--help") as terminal:
        assert 0 == terminal.join()
    assert terminal.text.startswith("USAGE: quickstart.sh [--keep] [--step N] [--pause] [--json]\n")
    assert max(map(len, terminal.text.splitlines())) <= 80
    assert not (clone / ".venv").exists()


def test_the_options_reach_the_walk(clone: Path) -> None:
    with _quickstart(clone, "--json", "--step", "w7", "--keep", "--pause") as terminal:
        assert 0 == terminal.join(), terminal.text
    assert terminal.text.endswith("walks with --brokers 3 --usual-ports --json --step=w7 --keep --pause\n")
