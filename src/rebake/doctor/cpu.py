"""Check `cpu`: how many of the machine's CPUs the engine may use."""

from __future__ import annotations

from collections.abc import Iterator

from rebake.doctor.case import Case
from rebake.doctor.diagnosis import Diagnosis, ok, warning
from rebake.doctor.memory import how_to_give


def check(case: Case) -> Iterator[Diagnosis]:
    """Compare the engine's CPUs with the machine's."""
    import psutil

    engine = int(case.info.document.get("NCPU") or 0)
    place = case.virtual_machine
    here = bool(place) or case.same_machine
    yield from judge(engine, (psutil.cpu_count() or 0) if here else 0, place=place)


def judge(engine: int, host: int, *, place: str) -> Iterator[Diagnosis]:
    """Judge the number of CPUs; `host` is 0 where the engine is on another machine. Pure."""
    words = f"the engine has {engine} of {host} CPUs" if host else f"the engine has {engine} CPUs"
    if host and engine < host / 2:
        yield warning(
            words,
            why="cargo compiles crates side by side, one on each CPU: cold builds take longer",
            fix=how_to_give(place, "CPUs"),
        )
    elif engine == 1:
        yield warning(words, why="nothing is compiled side by side", fix=how_to_give(place, "CPUs"))
    else:
        yield ok(words)
