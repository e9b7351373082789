"""Check `memory`: what the engine has of it."""

from __future__ import annotations

from collections.abc import Iterator

from rebake.doctor.case import Case
from rebake.doctor.diagnosis import Diagnosis, error, ok, warning

GB = 1_000_000_000
_LEAST = 2 * GB  # below it, rustc and the linker of a release build are killed
_GOOD = 4 * GB
_EACH_CPU = 0.75 * GB  # cargo runs a compiler a CPU
_LEAST_FREE = GB


def check(case: Case) -> Iterator[Diagnosis]:
    """Look at the memory of the engine, and at what is free of it."""
    import psutil

    machine = psutil.virtual_memory()
    total = int(case.info.document.get("MemTotal") or 0)
    yield from judge(
        total,
        int(case.info.document.get("NCPU") or 0),
        host_bytes=machine.total,
        free_bytes=machine.available if case.same_machine else None,
        place=case.virtual_machine,
    )


def judge(
    total: int, cpus: int, *, host_bytes: int, free_bytes: int | None, place: str
) -> Iterator[Diagnosis]:
    """Judge memory. Pure.

    Args:
        total: bytes that the engine has.
        cpus: how many CPUs it has.
        host_bytes: what the machine has.
        free_bytes: what is free on it; None where the engine is elsewhere.
        place: the program that runs the engine in a virtual machine; empty when there is none.
    """
    where = f" in {place}" if place else ""
    words = f"the engine has {total / GB:.1f} GB of memory{where}"
    if place:
        words += f", this machine has {host_bytes / GB:.1f} GB"
    fix = how_to_give(place, "memory")
    if total < _LEAST:
        yield error(
            words, why="compilers and linkers are killed for want of memory (signal 9)", fix=fix
        )
    elif total < _GOOD:
        yield warning(words, why="linking several services at once needs about 4 GB", fix=fix)
    elif cpus and total < cpus * _EACH_CPU:
        yield warning(
            f"{words} for {cpus} CPUs",
            why="cargo runs a compiler on each CPU: some are killed for want of memory (signal 9)",
            fix=f"{fix}; or fewer jobs: [build] jobs in .cargo/config.toml",
        )
    elif free_bytes is not None and free_bytes < _LEAST_FREE:
        yield warning(
            f"{free_bytes / GB:.1f} GB of memory are free",
            why="a build will swap, or its compilers are killed (signal 9)",
            fix="close what needs memory",
        )
    else:
        yield ok(words)


def how_to_give(place: str, what: str) -> str:
    """Say how an engine gets more memory or CPUs. Pure."""
    match place:
        case "Docker Desktop":
            return f"give it more {what}: Docker Desktop, Settings, Resources (or .wslconfig)"
        case "Colima":
            return f"give it more {what}: colima stop, colima start --cpu 4 --memory 8"
        case "OrbStack":
            return f"give it more {what}: OrbStack, Settings, System"
        case _:
            return f"give the machine more {what}"
