"""The properties files that come with the packages, for who has installed them and has no config/ beside bin/."""

import os


def shipped(path: str, beside: str) -> str:
    """The path; but a bare file name that is not in the working directory names the file beside that module."""
    own = os.path.join(os.path.dirname(os.path.abspath(beside)), path)
    if os.path.basename(path) != path or os.path.exists(path) or not os.path.isfile(own):
        return path
    return own
