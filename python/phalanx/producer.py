"""What schedulers log with: the `log` of pytest_xdist_make_scheduler."""

from __future__ import annotations

import sys

import pytest


class Producer:
    """Called, it writes one line to stderr if the run has --debug. An attribute of it is a producer of its
    own: `log.loadsched("text")`."""

    def __init__(
        self, name: str, config: pytest.Config | None = None, enabled: bool | None = None
    ) -> None:
        self.name = name
        if enabled is None:
            enabled = config is not None and bool(getattr(config.option, "debug", False))
        self.enabled = enabled

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, enabled={self.enabled})"

    def __call__(self, *args: object, **kwargs: object) -> None:
        if self.enabled:
            words = [*map(str, args), *(f"{name}={value!r}" for name, value in kwargs.items())]
            print(f"[{self.name}]", *words, file=sys.stderr)

    def __getattr__(self, name: str) -> Producer:
        if name.startswith("__"):
            raise AttributeError(name)  # copy and pickle ask for methods by name
        return type(self)(f"{self.name}-{name}", enabled=self.enabled)
