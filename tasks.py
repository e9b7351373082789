"""The Invoke tasks of this project: `invoke --list`. All of them live in the toolkit."""

from rebake.tasks import namespace

__all__ = ["namespace"]
