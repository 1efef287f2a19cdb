"""What `pip install` brings, in an environment without this repository: the commands, and the files they need."""

from __future__ import annotations

import re
import shutil
import site
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path

import pytest

from tests.servers import Broker, EmbeddedZooKeeper, overriding
from tests.terminal import Terminal

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
SOURCES = (
    "LICENSE",
    "README.md",
    "bin",
    "config",
    "docs",
    "kafkalike",
    "pyproject.toml",
    "setup.cfg",
    "zk",
)
BUILD = "from setuptools import build_meta; import sys; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"


def _built(what: str, tree: Path, into: Path) -> Path:
    """As pip builds it, with the setuptools that is here."""
    done = subprocess.run([sys.executable, "-c", BUILD, what, into], cwd=tree, capture_output=True, text=True)
    assert 0 == done.returncode, done.stderr
    return into / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources, without what else lies about here."""
    tree = tmp_path_factory.mktemp("tree")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tree)
    return tree


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _built("build_wheel", tree, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as file:
        name = next(name for name in file.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_string(file.read(name).decode())


@pytest.fixture(scope="module")
def bin(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where an environment with the wheel has its commands; the packages it depends on are those of this one."""
    home = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    python = home / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", wheel], check=True)
    packages = next(home.glob("lib/python*/site-packages"))
    (packages / "dependencies.pth").write_text("".join(f"{path}\n" for path in site.getsitepackages()))
    return home / "bin"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory that has nothing; nor does PYTHONPATH lead here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return tmp_path


def _run(bin: Path, command: str, *arguments: object) -> str:
    done = subprocess.run([bin / command, *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


class InstalledZooKeeper(EmbeddedZooKeeper):
    """The one of the environment, with the properties it ships."""

    bin: Path

    def command(self) -> list[str]:
        settings = {"clientPort": self.port, "dataDir": self.directory / "data"}
        return [str(self.bin / "zookeeper-server-start"), "zookeeper.properties", *overriding(settings)]


class InstalledBroker(Broker):
    """Likewise."""

    bin: Path

    def command(self) -> list[str]:
        return [str(self.bin / "kafka-server-start"), "server.properties", *overriding(self.overrides)]


def test_servers_and_commands_of_an_environment(bin: Path, elsewhere: Path) -> None:
    InstalledZooKeeper.bin = InstalledBroker.bin = bin
    with (
        InstalledZooKeeper(elsewhere / "zookeeper") as zookeeper,
        InstalledBroker(elsewhere / "broker", zookeeper.connect) as broker,
    ):
        server = ["--bootstrap-server", broker.bootstrap]
        assert "Created topic first.\n" == _run(bin, "kafka-topics", *server, "--create", "--topic", "first")
        assert "Topic: first" in _run(bin, "kafka-topics", *server, "--describe", "--topic", "first")
        assert "[first]" in _run(bin, "zookeeper-shell", zookeeper.connect, "ls", "/brokers/topics")
        assert _run(bin, "kafka-server-stop", "--node-id", "0").startswith("Stopping broker 0 (process ")
        assert 0 == broker.wait()
        assert str(zookeeper.directory) in _run(bin, "zookeeper-server-stop")
        assert 0 == zookeeper.wait()


def test_the_walk_has_a_command(bin: Path, elsewhere: Path) -> None:
    with Terminal([bin / "kafkalike-walkthrough", "--step", "11"]) as terminal:
        assert 0 == terminal.join(), terminal.text
        assert "\n1 of 1 steps hold, in " in terminal.text


def test_usage_names_what_was_typed(bin: Path, elsewhere: Path) -> None:
    assert _run(bin, "kafka-topics", "--help").startswith("Usage: kafka-topics [OPTIONS]\n")
    assert _run(bin, "kafka-server-start", "--help").startswith("Usage: kafka-server-start [OPTIONS] server.properties")
    assert _run(bin, "zookeeper-shell", "--help").startswith("USAGE: zookeeper-shell zookeeper_host:port")
    assert _run(bin, "zookeeper-server-stop", "--help").startswith("USAGE: zookeeper-server-stop [zookeeper.properties")
    assert _run(bin, "zookeeper-server-start", "--help").startswith("USAGE: zookeeper-server-start [-daemon] zoo")
    assert _run(bin, "kafkalike-walkthrough", "--help").startswith("Usage: kafkalike-walkthrough [OPTIONS]\n")
    assert _run(ROOT / "bin", "kafka-topics.sh", "--help").startswith("Usage: kafka-topics.sh [OPTIONS]\n")


def test_each_entry_point_has_a_script_and_the_reverse(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        name = next(name for name in file.namelist() if name.endswith("entry_points.txt"))
        points = set(re.findall(r"^([\w-]+) = ", file.read(name).decode(), re.MULTILINE))
    scripts = {path.stem for path in ROOT.glob("bin/*.sh")}
    own = {"quickstart", "machine", "test", "bench", "kafka-run-class", "walkthrough"}
    assert points - {"kafkalike-walkthrough"} == scripts - own


def test_the_properties_are_those_of_config(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        for shipped in ("kafkalike/cli/server.properties", "zk/server/zookeeper.properties"):
            assert (ROOT / "config" / Path(shipped).name).read_bytes() == file.read(shipped)


def test_links_lead_to_the_repository_from_anywhere(metadata: Message) -> None:
    urls = dict(line.split(", ") for line in metadata.get_all("Project-URL", []))
    assert {"Homepage", "Source", "Issues"} == set(urls)
    text = metadata.get_payload()
    assert isinstance(text, str)
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    assert targets
    for target in targets:
        assert target.startswith(f"{urls['Source']}/blob/main/"), target
        assert (ROOT / target.removeprefix(f"{urls['Source']}/blob/main/")).exists(), target


@pytest.mark.parametrize(
    "page", sorted(p.relative_to(ROOT) for p in [ROOT / "README.md", *ROOT.glob("docs/*.md")]), ids=str
)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text())
    for target in [target.partition("#")[0] for target in targets if not target.startswith(("https://", "#"))]:
        assert (ROOT / page).parent.joinpath(target).exists(), target


def test_the_source_distribution_makes_the_same_wheel(tree: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(_built("build_sdist", tree, tmp_path)) as file:
        # Debian 12's Python has no filters, and needs none.
        file.extractall(tmp_path, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    unpacked = next(path for path in tmp_path.iterdir() if path.is_dir())
    again = _built("build_wheel", unpacked, tmp_path)
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as two:
        files = {info.filename: info.CRC for info in one.infolist()}
        assert files == {info.filename: info.CRC for info in two.infolist()}
