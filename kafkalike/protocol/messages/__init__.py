"""One module per API, named as the API; the directory is the registry.

Each module declares API_KEY, NAME, VERSIONS (what Kafka 3.9 serves with ZooKeeper), FLEXIBLE (the first version with
compact forms and tagged fields), the structs, and last Request and Response.
"""

import sys
from importlib import import_module
from types import ModuleType

_by_key: dict[int, ModuleType] = {}


def names() -> list[str]:
    """Every API in the directory, by module name."""
    # Only a broker needs the whole list, so commands do not pay for this import.
    from pkgutil import iter_modules

    return sorted(module.name for module in iter_modules(__path__))


def by_name(name: str) -> ModuleType:
    """`by_name("create_topics")`; ModuleNotFoundError if there is no such API."""
    return import_module(f"{__name__}.{name}")


def of(message: object) -> ModuleType:
    """The module of a Request or Response object."""
    return sys.modules[type(message).__module__]


def by_key(api_key: int) -> ModuleType:
    """The module of an API key; KeyError if there is none.

    Modules that are imported already are looked at first: a command that uses three APIs never loads the others.
    """
    if api_key not in _by_key:
        for name, module in list(sys.modules.items()):
            if name.startswith(f"{__name__}."):
                _by_key[module.API_KEY] = module
    if api_key not in _by_key:
        for name in names():
            module = by_name(name)
            _by_key[module.API_KEY] = module
    return _by_key[api_key]
