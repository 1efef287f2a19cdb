"""The commands that `pip install` brings, found where they are: a file of kafkalike/cli/ that has `main` is one.

Everything else stands in setup.cfg.
"""

from pathlib import Path

from setuptools import setup

HERE = Path(__file__).resolve().parent

# Those whose script is not named after their module.
OTHERS = {
    "kafkalike-walkthrough": "kafkalike.cli.walkthrough.__main__",
    "zookeeper-server-start": "zk.server.main",
    "zookeeper-server-stop": "zk.server.stop",
    "zookeeper-shell": "zk.shell",
}


def commands() -> dict[str, str]:
    """kafka-x-y is kafkalike/cli/x_y.py."""
    files = [file for file in sorted(HERE.glob("kafkalike/cli/*.py")) if "\ndef main(" in file.read_text()]
    return {f"kafka-{file.stem.replace('_', '-')}": f"kafkalike.cli.{file.stem}" for file in files} | OTHERS


if __name__ == "__main__":
    setup(entry_points={"console_scripts": [f"{name} = {module}:main" for name, module in commands().items()]})
