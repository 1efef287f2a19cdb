"""The properties files that come with the packages, for who has installed them and has no config/ beside bin/."""

import os


def locate(path: str, beside: str, directory: str = "") -> str:
    """The path; but a bare file name that is not in the working directory names the file beside that module. The
    working directory is ours, or the one that is given."""
    here = os.path.join(directory, path)
    own = _own(path, beside)
    if os.path.basename(path) != path or os.path.exists(here) or not os.path.isfile(own):
        return here
    return own


def packaged_hint(path: str, beside: str) -> str:
    """What is said behind "there is no such file" where the shipped one may be meant."""
    name = os.path.basename(path)
    return f" ({name}, without a directory, is the one that is shipped)" if os.path.isfile(_own(name, beside)) else ""


def _own(name: str, beside: str) -> str:
    return os.path.join(os.path.dirname(os.path.abspath(beside)), name)
