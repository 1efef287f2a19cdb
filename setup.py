"""What setup.cfg cannot say: README's links, which are relative in the repository, lead to it from anywhere else."""

import re
from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).parent


def long_description() -> str:
    """README with absolute links. Pictures are shown, everything else is looked at."""
    settings = ConfigParser()
    settings.read(HERE / "setup.cfg", encoding="utf-8")
    urls = dict(line.split(" = ") for line in settings["metadata"]["project_urls"].strip().splitlines())
    url = urls["Source"]

    def absolute(link: re.Match[str]) -> str:
        picture, text, target = link.groups()
        return f"{picture}[{text}]({url}/{'raw' if picture else 'blob'}/main/{target})"

    # ![text](target) and [text](target), but no target with a scheme, and none within README.
    readme = (HERE / "README.md").read_text(encoding="utf-8")
    return re.sub(r"(!?)\[((?:!\[[^]]*\]\([^)]*\)|[^]])*)\]\((?![a-z]+:|#|/)(?:\./)?([^)\s]+)\)", absolute, readme)


setup(long_description=long_description(), long_description_content_type="text/markdown")
