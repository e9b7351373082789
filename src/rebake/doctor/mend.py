"""What `--fix` may do: only what loses nothing and can be undone. Words are pure, `apply` acts."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from msgspec import Struct

from rebake.errors import FileRefused


class LineEnds(Struct, frozen=True):
    """Write a script again with LF line ends; everything else in it stays as it is."""

    file: Path

    @property
    def words(self) -> str:
        """What is done."""
        return f"write {self.file} with LF line ends"

    def apply(self) -> None:
        """Do it.

        Raises:
            FileRefused: the file can't be written.
        """
        _rewrite(self.file, self.file.read_bytes().replace(b"\r\n", b"\n"))


class Ignore(Struct, frozen=True):
    """Add lines to the end of an ignore file, which is made where there is none."""

    file: Path
    lines: tuple[str, ...]

    @property
    def words(self) -> str:
        """What is done."""
        return f"add {', '.join(self.lines)} to {self.file}"

    def apply(self) -> None:
        """Do it.

        Raises:
            FileRefused: the file can't be written.
        """
        before = self.file.read_bytes() if self.file.exists() else b""
        if before and not before.endswith(b"\n"):
            before += b"\n"
        _rewrite(self.file, before + "".join(f"{line}\n" for line in self.lines).encode())


class Owner(Struct, frozen=True):
    """Give a file, or a folder with all that is in it, to the user whose project it is."""

    path: Path
    user: int
    group: int

    @property
    def words(self) -> str:
        """What is done."""
        return f"give {self.path} to user {self.user}"

    def apply(self) -> None:
        """Do it; links are given away themselves, not what they point to.

        Raises:
            FileRefused: the system does not allow it.
        """
        if sys.platform == "win32":
            return
        try:
            os.chown(self.path, self.user, self.group, follow_symlinks=False)
            for folder, folders, files in os.walk(self.path):
                for name in (*folders, *files):
                    place = Path(folder, name)
                    os.chown(place, self.user, self.group, follow_symlinks=False)
        except OSError as error:
            raise FileRefused(str(self.path), error.strerror or str(error)) from error


Mend = LineEnds | Ignore | Owner


def _rewrite(file: Path, content: bytes) -> None:
    """Replace a file whole or not at all; its rights stay."""
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        if file.exists():
            part.chmod(stat.S_IMODE(file.stat().st_mode))
        part.replace(file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise FileRefused(str(file), error.strerror or str(error)) from error
