"""Java's properties files."""

from __future__ import annotations


def read_properties(text: str) -> dict[str, str]:
    """Keys and values of a Java properties file; later lines win. Escapes other than line ends are left alone."""
    properties: dict[str, str] = {}
    lines = iter(text.splitlines())
    for line in lines:
        line = line.strip()
        if not line or line[0] in "#!":
            continue
        while line.endswith("\\"):
            line = line[:-1] + next(lines, "").strip()
        cut = min((at for at in (line.find("="), line.find(":")) if at >= 0), default=-1)
        if cut < 0:
            properties[line] = ""
        else:
            properties[line[:cut].strip()] = line[cut + 1 :].strip()
    return properties
