#!/usr/bin/env python3
"""From a bare checkout to a running task, in one command.

    python3 scripts/bootstrap.py dev            any Invoke task, with its flags
    python3 scripts/bootstrap.py test           all checks and tests (nox -s lint test e2e)
    python3 scripts/bootstrap.py test -- -k x   what follows `--` goes to pytest
    python3 scripts/bootstrap.py lint           one Nox session (lint, e2e, scan, template, docs)
    python3 scripts/bootstrap.py nox -s test    Nox itself, with its own words
    python3 scripts/bootstrap.py                the list of tasks

Makes `.venv` with the toolkit in it when it is not there or out of date, then becomes the task.
Needs Python 3.11 and nothing else; uses uv when it is on PATH. It talks on stderr only: stdout
belongs to the task.
"""

# ruff: noqa: PTH103, PTH105, PTH108, PTH112, PTH113, PTH114, PTH116, PTH118, PTH120, PTH123, PTH208
# Standard library only, and nothing heavy before it is needed (pathlib alone doubles the start):
# each call passes through here.
# Python 3.8 must be able to read this file, to be told that it is too old.
from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import NoReturn

OLDEST = (3, 11)
SESSIONS = ("lint", "scan", "e2e", "template", "docs")  # `benchmark` is both: Invoke wins
ALL_TESTS = ("lint", "test", "e2e")
WINDOWS = sys.platform == "win32"
STAMP = "rebake-stamp.txt"
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
GRACE_S = 5.0
TAIL_LINES = 15
# They would lead the toolkit, or the installer, to another environment than ours.
FOREIGN = ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
FOREIGN_TO_INSTALLERS = (
    *("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON", "PIP_DRY_RUN"),
    *("UV_SYSTEM_PYTHON", "UV_PYTHON", "UV_TARGET", "UV_PREFIX", "UV_PROJECT_ENVIRONMENT"),
)


class SetupError(Exception):
    """The setup can't go on; the words are for a person."""


def main(argv: Sequence[str]) -> int:
    """Make the environment ready and become the task that `argv` names."""
    if sys.version_info < OLDEST:
        say(too_old())
        return 1
    if argv[:1] in (["-h"], ["--help"]):
        say(__doc__ or "", prefix="")
        return 0
    root = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    venv = os.path.join(root, ".venv")
    try:
        with interruptible():
            if not is_ready(root, venv):
                unknown = why_unknown(argv, root)
                if unknown:
                    say(unknown)
                    return EXIT_USAGE
                set_up(root, venv)
        if not argv:
            say("no task given; these are the tasks. The first to try: scripts/bootstrap.py dev")
        become([python_of(venv), "-P", "-m", *passed_on(argv)], root)
    except SetupError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted; the next call starts the setup afresh")
        return EXIT_INTERRUPTED


def passed_on(argv: Sequence[str]) -> list[str]:
    """Return the module of the toolkit's environment that is to run, and its arguments."""
    if not argv:
        return ["invoke", "--list"]
    name = argv[0].split("(")[0]
    if name == "test":
        return ["nox", "-s", *ALL_TESTS, *argv[1:]]
    if name in SESSIONS:
        return ["nox", "-s", *argv]
    if name == "nox":
        return list(argv)
    return ["invoke", *argv]


def why_unknown(argv: Sequence[str], root: str) -> str:
    """Return what is wrong with the task's name, before minutes go into a setup; empty when fine.

    Afterwards Invoke tells by itself. The names are read from the toolkit's sources, where the
    project carries them; a name that stands in its tasks.py or noxfile.py is left to those.
    """
    import difflib
    import re

    name = argv[0].split("(")[0] if argv else "-"
    known = {"nox", "test", *SESSIONS}
    folder = os.path.join(root, "src", "rebake", "tasks")
    with contextlib.suppress(OSError):
        for file in os.listdir(folder):
            if file.endswith(".py"):
                known.update(re.findall(r'@task\(\s*"([^"]+)"', read(os.path.join(folder, file))))
    own = "".join(read(os.path.join(root, file)) for file in ("tasks.py", "noxfile.py"))
    if len(known) == len(SESSIONS) + 2 or name.startswith("-") or name in known:
        return ""
    if name.replace("-", "_") in re.split(r"\W+", own):
        return ""
    near = difflib.get_close_matches(name, sorted(known), n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(known))}"
    return f"no task named {name!r}\n  next: {hint}"


def read(path: str) -> str:
    """Return a file's text; empty when it is not there."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def become(command: Sequence[str], root: str) -> NoReturn:
    """Turn into `command`, so that its signals and its exit code are its own."""
    env = clean_environment(os.environ)
    os.chdir(root)
    if WINDOWS:  # there, exec would return to the shell before the task has ended
        import subprocess

        with subprocess.Popen(command, env=env) as child:
            while True:
                with contextlib.suppress(KeyboardInterrupt):  # the child had it too
                    raise SystemExit(child.wait())
    os.execve(command[0], list(command), env)  # noqa: S606


def clean_environment(
    environ: Mapping[str, str], without: Sequence[str] = FOREIGN
) -> dict[str, str]:
    """Return `environ` without what belongs to another Python environment."""
    env = {name: value for name, value in environ.items() if name not in without}
    if "NO_COLOR" in env:  # nox refuses to start when both are there
        env.pop("FORCE_COLOR", None)
    return env


# --- is it ready? ---------------------------------------------------------------------------


def is_ready(root: str, venv: str) -> bool:
    """Tell whether `.venv` is whole, in its place and made for this `pyproject.toml`."""
    recorded = read_stamp(venv)
    if not recorded or recorded["root"] != root or recorded["project"] != digest_of(root):
        return False
    if recorded["toolkit"] != toolkit_of(root):
        return False
    return is_whole(venv, recorded)


def is_whole(venv: str, recorded: Mapping[str, str]) -> bool:
    """Tell whether nothing that was installed is missing, and Python is still the same one."""
    if recorded["python"] != identity(python_of(venv)):
        return False
    try:
        present = set(os.listdir(recorded["packages_in"]))
    except OSError:
        return False
    return present.issuperset(recorded["packages"].split("\t"))


def read_stamp(venv: str) -> dict[str, str]:
    """Return what the last finished setup left; empty when there is none that can be read."""
    keys = ("root", "python", "project", "requirements", "toolkit", "packages_in", "packages")
    try:
        with open(os.path.join(venv, STAMP), encoding="utf-8") as file:
            stamp = dict(line.rstrip("\n").partition("=")[::2] for line in file)
    except (OSError, ValueError):
        return {}
    return stamp if all(key in stamp for key in keys) else {}


def write_stamp(root: str, venv: str) -> None:
    """Record a finished setup: the last thing that it does."""
    packages_in = capture(
        [python_of(venv), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], root
    )[-1]
    packages = sorted(name for name in os.listdir(packages_in) if name != "__pycache__")
    stamp = {
        "root": root,
        "python": identity(python_of(venv)),
        "project": digest_of(root),
        "requirements": requirements_of(root),
        "toolkit": toolkit_of(root),
        "packages_in": packages_in,
        "packages": "\t".join(packages),
    }
    path = os.path.join(venv, STAMP)
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.writelines(f"{key}={value}\n" for key, value in stamp.items())
    os.replace(path + ".new", path)


def digest_of(root: str) -> str:
    """Return the digest of the files that say what gets installed."""
    try:
        with open(os.path.join(root, "pyproject.toml"), "rb") as file:
            return hashlib.sha256(file.read() + read(tools_of(root)).encode()).hexdigest()
    except OSError as error:
        message = f"{error.filename}: {error.strerror}; this script belongs into a rebake project"
        raise SetupError(message) from None


def toolkit_of(root: str) -> str:
    """Return the digest of the toolkit's wheels that the project carries; empty without."""
    digest = hashlib.sha256()
    found = wheels_in(root)
    for path in found:
        with contextlib.suppress(OSError), open(path, "rb") as file:
            digest.update(path.encode() + file.read())
    return digest.hexdigest() if found else ""


def wheels_in(root: str) -> list[str]:
    """Return the wheels of the toolkit that the project carries."""
    found = []
    for folder in ("vendor", "wheels"):
        with contextlib.suppress(OSError):
            names = sorted(os.listdir(os.path.join(root, folder)))
            wheels = [n for n in names if n.startswith("rebake-") and n.endswith(".whl")]
            found += [os.path.join(root, folder, name) for name in wheels]
    return found


def requirements_of(root: str) -> str:
    """Return the digest of those parts of the files that decide what gets installed.

    Other edits (a lint rule, say) then need no installation, and so no network.
    """
    import json
    import tomllib

    path = os.path.join(root, "pyproject.toml")
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except tomllib.TOMLDecodeError as error:
        raise SetupError(f"{path}: {error}") from None
    parts = [document.get(key) for key in ("build-system", "project", "dependency-groups")]
    parts += [document.get("tool", {}).get("hatch"), read(tools_of(root))]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def identity(python: str) -> str:
    """Return what changes when the interpreter behind `.venv` is replaced; empty when it is gone.

    A Python that is upgraded in place, or removed, breaks the environments that were made with it.
    """
    try:
        target = os.path.realpath(python)
        status = os.stat(target)
    except OSError:
        return ""
    return f"{target} {status.st_size} {status.st_mtime_ns}"


def python_of(venv: str) -> str:
    """Return the path of the interpreter in `venv`."""
    return os.path.join(venv, *(("Scripts", "python.exe") if WINDOWS else ("bin", "python")))


# --- making it ready ------------------------------------------------------------------------


def set_up(root: str, venv: str) -> None:
    """Bring `.venv` up to date; one process at a time."""
    with only_one(root) as lock:
        if is_ready(root, venv):  # another bootstrap was faster
            return
        lock.unfinished = reason = why_remake(root, venv, unfinished=lock.unfinished)
        recorded = {} if reason else read_stamp(venv)
        if recorded.get("requirements") == requirements_of(root) and is_whole(venv, recorded):
            write_stamp(root, venv)
            return
        if reason:
            lock.note("unfinished")
            make(root, venv, reason, lock)
        else:
            lock.note("unfinished")
            try:
                install(root, venv, "updating the toolkit", lock)
            except SetupError:  # pip and uv change nothing before all is downloaded
                lock.note("")
                raise
        compile_all(root, venv)
        write_stamp(root, venv)
        lock.note("")


def why_remake(root: str, venv: str, *, unfinished: str) -> str:
    """Return why `.venv` has to be made from nothing; empty when it can be kept."""
    recorded = read_stamp(venv)
    if not os.path.isdir(venv):
        return "there is none"
    if unfinished:
        return "an earlier setup was cut off"
    if recorded["root"] != root if recorded else not names_itself(venv):
        return "the folder was moved or copied"
    if recorded and not is_whole(venv, recorded):
        return "parts of it are missing, or its Python was replaced"
    if recorded and recorded["toolkit"] != toolkit_of(root):
        # Installers keep what has the same version, though its content is another.
        return "the toolkit is another one"
    return "" if works(root, venv) else "it does not work"


def works(root: str, venv: str) -> bool:
    """Tell whether the environment's Python runs, is new enough, and can be installed into."""
    probe = "import sys; print(sys.version_info >= (3, 11) and sys.prefix != sys.base_prefix)"
    try:
        return capture([python_of(venv), "-c", probe], root)[-1:] == ["True"] and bool(
            installer(venv)
        )
    except SetupError:
        return False


def names_itself(venv: str) -> bool:
    """Tell whether an environment that someone else made was made in this place."""
    script = os.path.join(os.path.dirname(python_of(venv)), "activate")
    try:
        with open(script, encoding="utf-8", errors="replace") as file:
            return venv in file.read()
    except OSError:
        return False


def make(root: str, venv: str, reason: str, lock: Lock) -> None:
    """Make `.venv` from nothing, by the first way that works on this machine."""
    ways = list(ways_to_make(venv))
    if not ways:
        raise SetupError(no_way_to_make())
    failures = []
    for name, command in ways:
        remove(venv)
        try:
            step(f"making .venv with {name} ({reason})", command, root, lock)
            install(root, venv, "installing the toolkit", lock)
        except SetupError as error:
            failures.append(str(error))
            continue
        return
    raise SetupError("\n".join(dict.fromkeys(failures)))


def ways_to_make(venv: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the ways to make an environment that can work here, the fastest first."""
    import importlib.util
    import shutil

    def has(module: str) -> bool:
        return importlib.util.find_spec(module) is not None

    uv = shutil.which("uv")
    if uv:
        yield "uv", [uv, "venv", "--quiet", "--python", sys.executable, venv]
    if has("venv") and has("ensurepip"):
        yield "venv", [sys.executable, "-m", "venv", venv]
    elif has("virtualenv"):
        yield "virtualenv", [sys.executable, "-m", "virtualenv", "--quiet", venv]
    elif shutil.which("virtualenv"):
        program = shutil.which("virtualenv") or ""
        yield "virtualenv", [program, "--quiet", "--python", sys.executable, venv]
    elif has("venv") and has("pip"):
        yield "venv and this Python's pip", [sys.executable, "-m", "venv", "--without-pip", venv]


def install(root: str, venv: str, title: str, lock: Lock) -> None:
    """Install the toolkit, editable, with what its development needs."""
    carry_toolkit(root, venv, lock)
    if os.path.isfile(tools := tools_of(root)):
        pinned = ["--no-deps", "--require-hashes", "-r", tools]
        step("installing the checkers", installer(venv) + pinned, root, lock)
    step(title, installer(venv) + what_to_install(root), root, lock)


def carry_toolkit(root: str, venv: str, lock: Lock) -> None:
    """Make the toolkit's wheel where a project that should carry one does not.

    `rebake new` puts it there; plain `copier copy` can't.
    """
    import re
    import shutil

    answers = read(os.path.join(root, ".copier-answers.yml"))
    if "/vendor/rebake-" not in read(os.path.join(root, "pyproject.toml")) or wheels_in(root):
        return
    kept = dict(re.findall(r"(?m)^(_src_path|_commit): +['\"]?(.*?)['\"]?$", answers))
    source = kept.get("_src_path", "")
    folder = os.path.join(root, source)
    if os.path.isdir(os.path.join(folder, "src", "rebake")):
        source = folder
    elif re.match(r"[a-z+]+://", source):
        source = f"git+{source}@{kept['_commit']}" if "_commit" in kept else f"git+{source}"
    else:
        raise SetupError(
            f"vendor/ has no wheel of rebake, and the template ({source or 'none'}) is not there\n"
            "  next: git checkout vendor, or pip wheel --no-deps --wheel-dir vendor TEMPLATE"
        )
    into = os.path.join(root, "vendor")
    uv = shutil.which("uv")
    if uv and source == folder:
        command = [uv, "build", "--quiet", "--wheel", "--out-dir", into, source]
    else:
        command = [
            *(word for word in installer(venv) if word not in {"install", "-q"}),
            *("wheel", "-q", "--no-deps", "--wheel-dir", into, source),
        ]
    ignored = os.path.join(into, ".gitignore")
    ours = not os.path.lexists(ignored)
    step(f"making the toolkit's wheel from {source}", command, root, lock)
    if ours:  # uv's; the wheel is to be committed
        with contextlib.suppress(FileNotFoundError):
            os.unlink(ignored)


def compile_all(root: str, venv: str) -> None:
    """Compile what was installed, where Python was told not to keep what it compiles by itself.

    Container images often set that variable. Each task would then compile the toolkit anew, which
    takes longer than a build with nothing to do.
    """
    if not os.environ.get("PYTHONDONTWRITEBYTECODE"):
        return
    folders = [os.path.join(root, "src", "rebake"), os.path.join(venv, "lib")]
    there = [folder for folder in folders if os.path.isdir(folder)]
    with contextlib.suppress(SetupError):  # some packages carry files that can't be compiled
        capture([python_of(venv), "-m", "compileall", "-q", "-j0", *there], root)


def installer(venv: str) -> list[str]:
    """Return the command that installs into `venv`; empty when there is none."""
    import importlib.util
    import shutil

    python = python_of(venv)
    options = ["install", "-q", "--disable-pip-version-check", "--no-input"]
    uv = shutil.which("uv")
    if any(name.startswith("pip") for name in os.listdir(os.path.dirname(python))):
        return [python, "-m", "pip", *options]
    if uv:
        return [uv, "pip", "install", "--quiet", "--python", python]
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "--python", python, *options]
    return []


def what_to_install(root: str) -> list[str]:
    """Return the arguments that name the toolkit; wheels that the project carries count too."""
    folders = sorted({os.path.dirname(path) for path in wheels_in(root)})
    found = [word for folder in folders for word in ("--find-links", folder)]
    return [*found, "-e", ".[dev]"]


def tools_of(root: str) -> str:
    """Return the file with the checksums of the checkers that are no Python."""
    return os.path.join(root, "scripts", "tools.txt")


def remove(venv: str) -> None:
    """Remove `.venv`, the stamp first; a link only as a link."""
    import shutil

    try:
        if os.path.islink(venv) or os.path.isfile(venv):
            os.unlink(venv)
        elif os.path.isdir(venv):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(venv, STAMP))
            shutil.rmtree(venv)
    except OSError as error:
        message = f"{error.filename}: {error.strerror}; is a task of this project still running?"
        raise SetupError(message) from None


def too_old() -> str:
    """Return the words for a Python that is too old, with a newer one where there is one."""
    import shutil

    here = ".".join(map(str, sys.version_info[:3]))
    message = f"Python 3.11 or newer is needed; this is {here} ({sys.executable})"
    for minor in range(15, 10, -1):
        newer = shutil.which(f"python3.{minor}")
        if newer:
            return f"{message}\n  next: {newer} {' '.join(sys.argv)}"
    return f"{message}\n  next: install one (https://www.python.org/downloads/)"


def no_way_to_make() -> str:
    """Return the words for a Python that can't make environments, with the command that helps."""
    import shutil

    message = f"this Python ({sys.executable}) can't make virtual environments: it lacks ensurepip"
    package = f"python3.{sys.version_info[1]}-venv"
    if not shutil.which("apt-get"):
        return f"{message}\n  next: install uv (https://docs.astral.sh/uv/) or your system's venv"
    sudo = "" if not WINDOWS and os.geteuid() == 0 else "sudo "
    return f"{message}\n  next: {sudo}apt-get install -y {package}"


# --- programs, one process at a time, words -------------------------------------------------


class Lock:
    """The held lock: what an earlier holder left undone, and a note of who holds it now."""

    def __init__(self, file: int, unfinished: str) -> None:
        self.file = file
        self.unfinished = unfinished

    def note(self, state: str) -> None:
        """Write down how far we are; it outlives us when we are killed."""
        text = f"{os.getpid()} {state}\n".encode()
        os.lseek(self.file, 0, os.SEEK_SET)
        os.write(self.file, text)
        os.ftruncate(self.file, len(text))


@contextlib.contextmanager
def only_one(root: str) -> Iterator[Lock]:
    """Hold the lock of this folder's setup; it is the system's, so it dies with its holder.

    An installer inherits it: one that outlives us (we were killed) keeps others waiting.
    """
    folder = os.path.join(root, ".rebake")
    path = os.path.join(folder, "bootstrap.lock")
    try:
        os.makedirs(folder, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise SetupError(f"{error.filename}: {error.strerror}") from None
    try:
        told = False
        while not try_lock(file):
            if not told:
                say("another bootstrap of this folder is at work; waiting for it")
                told = True
            time.sleep(0.1)
        left = os.read(file, 200).decode("ascii", "replace")
        lock = Lock(file, unfinished="unfinished" if "unfinished" in left else "")
        yield lock
    finally:
        os.close(file)


def try_lock(file: int) -> bool:
    """Try to take the lock; tell whether it is ours now."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(file, 1 << 20, os.SEEK_SET)  # beyond the note, which stays readable
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
            os.lseek(file, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def step(title: str, command: Sequence[str], root: str, lock: Lock) -> None:
    """Run one step of the setup; one line on stderr tells what it is and how long it took."""
    started = time.monotonic()
    sys.stderr.write(f"bootstrap: {title} ... ")
    sys.stderr.flush()
    try:
        capture(command, root, keep_open=lock.file)
    except (SetupError, KeyboardInterrupt):
        sys.stderr.write("failed\n")
        raise
    sys.stderr.write(f"{time.monotonic() - started:.1f} s\n")


def capture(command: Sequence[str], root: str, keep_open: int | None = None) -> list[str]:
    """Run a program and return its lines; raise with the last ones when it fails."""
    import subprocess

    try:
        child = subprocess.Popen(
            command,
            cwd=root,
            env=clean_environment(os.environ, (*FOREIGN, *FOREIGN_TO_INSTALLERS)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # A group of its own: Ctrl-C comes to us alone, and we stop all of it.
            start_new_session=not WINDOWS,
            pass_fds=() if WINDOWS or keep_open is None else (keep_open,),
        )
    except OSError as error:
        raise SetupError(f"{command[0]}: {error.strerror}") from None
    try:
        output = child.communicate()[0].decode("utf-8", "replace")
    except BaseException:
        stop(child)
        raise
    lines = output.splitlines()
    if child.returncode:
        raise SetupError(f"{' '.join(command)} ended with {child.returncode}{evidence(lines)}")
    return lines


def evidence(lines: Sequence[str]) -> str:
    """Return the last lines of a failed installer, and what to do when it was the network."""
    signs = ("No matching distribution", "Connection", "connection", "resolve", "timed out", "dns")
    seen = [line for line in lines if any(sign in line for sign in signs)]
    shown = list(lines[-TAIL_LINES:])
    if seen and seen[-1] not in shown:
        shown = [seen[-1], "...", *shown]
    text = "".join(f"\n  | {line.rstrip()[:300]}" for line in shown)
    if seen:
        text += "\n  next: is the network there (proxy, PIP_INDEX_URL)? Then run it again"
    return text


def stop(child: subprocess.Popen[bytes]) -> None:
    """Stop a child and its group: ask, wait, then force."""
    for by_force in (False, True):
        with contextlib.suppress(OSError):
            if sys.platform == "win32":
                child.kill() if by_force else child.terminate()
            else:
                os.killpg(child.pid, signal.SIGKILL if by_force else signal.SIGTERM)
        try:
            child.wait(GRACE_S)
        except Exception:  # noqa: BLE001, S112 - only its time limit; not worth an import above
            continue
        return


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGINT and SIGTERM stop the setup, also where a shell had them ignored."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            keep: Callable[..., object] | int | None = handler
            if handler is signal.SIG_IGN:  # `kill -INT` must reach the task as well
                keep = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, keep)


def say(text: str, prefix: str = "bootstrap: ") -> None:
    """Tell a person something."""
    sys.stderr.write(f"{prefix}{text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
