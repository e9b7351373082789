"""docker/tools/step pack: the gate, and what an image gets out of the cache mount."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rebake.build.usage import parse_binaries
from step_program import TOOLS, command

if sys.platform != "linux":
    pytest.skip("runs in the builder", allow_module_level=True)

ID = "00112233445566aa"
WHOLE = "ffeeddccbbaa9988"


class Mount:
    """A cache mount with binaries that cargo has made."""

    def __init__(self, folder: Path) -> None:
        self.target, self.out = folder / "target", folder / "out"
        self.sources = folder / "sources"
        self.ids = folder / "ids"
        (self.target / "release").mkdir(parents=True)
        self.sources.mkdir()
        (self.sources / "a b").mkdir()
        (self.sources / "a b" / "lib.rs").write_text("x")
        (self.sources / "link").symlink_to("nowhere")
        self.bin, self.owners = folder / "bin", folder / "owners"
        self.bin.mkdir()
        # Only root, as who runs a build step is, may give a folder to somebody else.
        (self.bin / "chown").write_text(f'#!/bin/sh\necho "$@" >>"{self.owners}"\n')
        (self.bin / "chown").chmod(0o755)

    def binary(self, name: str, says: str, code: int = 0) -> Path:
        place = self.target / "release" / name
        place.write_text(f"#!/bin/sh\n[ \"$1\" = --version ] && echo '{says}'\nexit {code}\n")
        place.chmod(0o755)
        return place

    def pack(
        self, *names: str, copied: bool = True, **env: str
    ) -> subprocess.CompletedProcess[str]:
        lines = [f"{name} REBAKE_BUILD_ID_{name.upper()} {ID}\n" for name in names]
        self.ids.write_text("".join(lines))
        return subprocess.run(
            [*command("pack"), self.out, "release", self.ids, "/context" if copied else ""],
            cwd=self.sources,
            env={
                **os.environ,
                "CARGO_TARGET_DIR": str(self.target),
                "REBAKE_BUILD_ID": WHOLE,
                "PATH": f"{self.bin}:{os.environ['PATH']}",
                **env,
            },
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def mount(tmp_path: Path) -> Mount:
    return Mount(tmp_path)


def test_binaries_of_these_sources_are_packed_and_the_sources_go(mount: Mount) -> None:
    mount.binary("api", f"api 0.1.0 {ID}")
    mount.binary("web", f"web 0.1.0 {WHOLE}")
    done = mount.pack("api", "web")
    assert (done.returncode, done.stderr.replace("\tnot a dynamic executable\n", "")) == (0, "")
    for name in ("api", "web"):
        packed = mount.out / "bin" / name
        assert packed.read_text() == (mount.target / "release" / name).read_text()
        assert os.access(packed, os.X_OK)
    assert list(mount.sources.iterdir()) == []
    root = mount.out / "root"
    assert (root / "etc/passwd").read_text() == "app:x:65532:65532::/:/nonexistent\n"
    assert (root / "etc/group").read_text() == "app:x:65532:\n"
    assert mount.owners.read_text() == f"65532:65532 {root / 'data'}\n"
    assert (root / "data").is_dir()


def test_it_tells_which_binaries_they_are_to_the_linking(mount: Mount) -> None:
    found = mount.binary("api", ID).stat()
    told = parse_binaries(mount.pack("api").stdout.strip())
    seconds, nanos = divmod(found.st_mtime_ns, 1_000_000_000)
    assert told == {"api": f"{found.st_ino}:{found.st_size}:{seconds}.{nanos:09}"}


def test_sources_that_were_not_copied_stay(mount: Mount) -> None:
    mount.binary("api", ID)
    assert mount.pack("api", copied=False).returncode == 0
    assert (mount.sources / "a b" / "lib.rs").read_text() == "x"


def test_a_binary_of_other_sources_is_refused(mount: Mount) -> None:
    mount.binary("api", ID)
    mount.binary("web", "web 0.1.0 0123456789abcdef")
    done = mount.pack("api", "web")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f'error: web --version says "web 0.1.0 0123456789abcdef", but the sources are {ID}: it was'
        ' not built from them, or its main does not tell option_env!("REBAKE_BUILD_ID_WEB")'
    )


def test_a_binary_that_can_not_be_asked_is_refused(mount: Mount) -> None:
    mount.binary("api", ID, code=3)
    done = mount.pack("api")
    assert done.returncode == 1
    assert "error: api --version: exit status: 3" in done.stderr


def test_binaries_that_tell_nothing_are_not_started(mount: Mount) -> None:
    mount.binary("api", "", code=3)
    assert mount.pack("api", BINARIES_TELL="no").returncode == 0


def test_a_binary_that_is_not_there_is_an_error(mount: Mount) -> None:
    done = mount.pack("api")
    assert done.returncode == 1
    assert "release/api: No such file" in done.stderr


def test_shared_libraries_lie_where_the_loader_looks(mount: Mount) -> None:
    shutil.copy("/bin/true", mount.target / "release" / "api")
    assert mount.pack("api", BINARIES_TELL="no").returncode == 0
    listed = subprocess.run(["ldd", "/bin/true"], capture_output=True, text=True, check=True)
    libraries = re.findall(r"(?:^|\s)(/\S+)", listed.stdout)
    assert libraries
    for library in libraries:
        packed = mount.out / "root" / library.lstrip("/")
        assert packed.read_bytes() == Path(library).read_bytes()
        assert not packed.is_symlink()


@pytest.mark.parametrize("crate", ["sha256", "main"])
def test_the_programs_own_tests(crate: str, tmp_path: Path) -> None:
    library = tmp_path / "libsha256.rlib"
    rustc = ["rustc", "--edition", "2021"]
    source = TOOLS / "step" / "sha256.rs"
    subprocess.run(
        [*rustc, "-O", "--crate-type", "rlib", "--crate-name", "sha256", "-o", library, source],
        check=True,
    )
    program = tmp_path / "tests"
    subprocess.run(
        [
            *(*rustc, "--test", "--extern", f"sha256={library}"),
            *("-o", program, TOOLS / "step" / f"{crate}.rs"),
        ],
        check=True,
    )
    done = subprocess.run([program, "-q"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert re.search(r"test result: ok\. [1-9]", done.stdout)
