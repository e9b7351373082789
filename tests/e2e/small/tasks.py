"""The Invoke tasks of this project."""

from rebake.tasks import namespace

__all__ = ["namespace"]
