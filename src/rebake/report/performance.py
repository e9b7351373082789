"""Makes the page `docs/explanation/performance.md` of a benchmark's full result. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rebake.report import format as fmt
from rebake.report.measured import FLOOR, OURS, Benchmark, Group, Measurement, seconds, times

SCENARIO_WORDS = {
    "cold": "nothing is there but the base images",
    "no-change": "nothing was changed",
    "code-change": "a line in one service",
    "shared-crate": "a line in the crate that all services use",
    "dependency-bump": "one more dependency",
    "ui-change": "a text of the UI",
    "dockerfile-change": "a line in the image's last stage",
    "cache-lost": "the cache mounts are gone, the layers are not",
    "fresh-ci": "a new engine, beside a registry that holds the cache",
}
SUBJECT_WORDS = {
    "floor": "cargo or bun straight on the machine, with the same toolchain, profile and linker; "
    "it makes no image",
    "rebake": "this repository's Dockerfiles, built with `invoke build`",
    "cache-mount": "the recipe of Docker's Rust guide: `target` in a cache mount",
    "cargo-chef": "the recipe of cargo-chef's README: dependencies in a layer of their own",
    "dummy-main": "dependencies in a layer of their own, compiled with an empty `main`",
    "naive": "`COPY . .` and `cargo build`",
}


def markdown(benchmark: Benchmark, picture: str) -> str:
    """Return the page.

    Args:
        benchmark: the result.
        picture: the chart's address, as seen from the page.
    """
    parts = [
        "<!-- Made from a benchmark's result by scripts/make_performance.py: run that again. -->",
        "# Performance",
        "How long builds take with rebake, with the recipes that people use today, and with the "
        "compilers straight on the machine. All of it comes from one run of the benchmark on one "
        "machine, and this page was made from its result, not by hand.",
        f"![Seconds for each scenario and recipe, with the floor marked]({picture})",
        _what(benchmark),
        *_left_out(benchmark),
        "## Seconds",
        "Medians; the whole command's time. *Wrong*: what was built did not hold the edit."
        + (
            f" {_services(benchmark.usual_size)}, where no other number is named."
            if benchmark.usual_size
            else ""
        ),
        _medians(benchmark),
        "\n".join(f"- {cell(line)}" for line in benchmark.reference_lines),
        "## How near to the floor, how far from the others",
        "*To the floor*: how many times the floor's median rebake needs. *Best other recipe*: the "
        "fastest one whose image was right, and how many times as long as rebake it needs.",
        _ratios(benchmark),
    ]
    if benchmark.limits:
        parts += [
            "## Limits",
            _kept(benchmark),
            table(
                ("limit", "allowed", "measured", "result"),
                [
                    (
                        limit.name,
                        limit.allowed_words,
                        limit.measured_words,
                        f"**{limit.result_word}**" if limit.ok is False else limit.result_word,
                    )
                    for limit in benchmark.limits
                ],
            ),
        ]
    parts += ["## Every measurement", _details(benchmark)]
    if benchmark.unmeasured:
        parts += ["Not measured:", "\n".join(f"- {cell(x)}" for x in benchmark.unmeasured)]
    if benchmark.notes:
        parts += ["How it was done:", "\n".join(f"- {cell(x)}" for x in benchmark.notes)]
    if benchmark.machine:
        parts += ["## The machine", table(("what", "value"), benchmark.machine)]
    parts += [
        "## Repeat it",
        "On a machine that has nothing else to do:",
        "```sh\ninvoke benchmark --json > benchmark.json\n"
        "python scripts/make_performance.py benchmark.json\n```",
        "The first command takes long: it builds everything cold, several times. The second one "
        "writes this page and its picture.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Make a table; a text can't leave its cell."""
    lines = [[cell(text) for text in header], ["---"] * len(header)]
    lines += [[cell(text) for text in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text: str) -> str:
    """Make a text fit for a line of Markdown: no markup of its own but emphasis and code."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return text.replace("|", "\\|").replace("[", "\\[")


def _kept(benchmark: Benchmark) -> str:
    total, missed = len(benchmark.limits), len(benchmark.missed)
    unknown = sum(limit.ok is None for limit in benchmark.limits)
    words = [f"{total - missed - unknown} of {total} kept"]
    words += [f"{missed} missed"] if missed else []
    words += [f"{unknown} not measured"] if unknown else []
    return ", ".join(words) + "."


def _services(count: int) -> str:
    return f"{count} service{'' if count == 1 else 's'}"


def _left_out(benchmark: Benchmark) -> list[str]:
    """Which recipes are not in it: one of them may have been the fastest."""
    names = [name for name in SUBJECT_WORDS if name not in benchmark.subjects]
    return [f"**Not in this run:** {', '.join(names)}."] if names else []


def _what(benchmark: Benchmark) -> str:
    scenarios = dict.fromkeys(group.scenario for group in benchmark.groups)
    named = [(name, SCENARIO_WORDS.get(name, "")) for name in scenarios]
    subjects = [(name, SUBJECT_WORDS.get(name, "")) for name in benchmark.subjects]
    head = f"Measured {benchmark.when}." if benchmark.when else ""
    return "\n\n".join(
        part
        for part in (
            head,
            table(("scenario", "what was there or changed before each build"), named),
            table(("subject", "what it is"), subjects),
        )
        if part
    )


def _medians(benchmark: Benchmark) -> str:
    subjects = benchmark.subjects
    rows = [
        (benchmark.label(group), *(_median(group.of(name)) for name in subjects))
        for group in benchmark.groups
    ]
    return table(("scenario", *subjects), rows)


def _median(result: Measurement | None) -> str:
    if result is None or result.median_s is None:
        return ""
    shown = seconds(result.median_s)
    if result.wrong:
        return f"{shown} (wrong)"
    return f"**{shown}**" if result.subject == OURS else shown


def _ratios(benchmark: Benchmark) -> str:
    rows = [_ratio_row(benchmark, group) for group in benchmark.groups if group.of(OURS)]
    header = (
        "scenario", "rebake", "floor", "to the floor", "best other recipe", "its seconds",
        "to rebake",
    )  # fmt: skip
    return table(header, rows)


def _ratio_row(benchmark: Benchmark, group: Group) -> tuple[str, ...]:
    peer, ours, floor = group.best_peer, group.seconds(OURS), group.seconds(FLOOR)
    near, far = group.over_floor(OURS), group.over_best_peer
    return (
        benchmark.label(group),
        seconds(ours) if ours is not None else "",
        seconds(floor) if floor is not None else "",
        times(near) if near is not None else "",
        peer.subject if peer else "",
        seconds(peer.median_s) if peer and peer.median_s is not None else "",
        times(far) if far is not None else "",
    )


def _details(benchmark: Benchmark) -> str:
    rows = [
        _detail(benchmark.label(group), result)
        for group in benchmark.groups
        for result in group.results
        if result.median_s is not None
    ]
    header = (
        "scenario", "subject", "median s", "each run s", "spread s", "steps cached", "CPU s",
        "peak memory", "context", "images", "right",
    )  # fmt: skip
    return table(header, rows)


def _detail(label: str, result: Measurement) -> tuple[str, ...]:
    spread = (result.high_s or 0.0) - (result.low_s or 0.0)
    steps = f"{result.cached_steps} of {result.steps}" if result.steps is not None else ""
    return (
        label,
        result.subject,
        seconds(result.median_s or 0.0),
        ", ".join(seconds(run) for run in result.runs_s),
        seconds(spread),
        steps if result.cached_steps is not None else "",
        seconds(result.cpu_s) if result.cpu_s is not None else "",
        fmt.size(result.peak_bytes) if result.peak_bytes else "",
        fmt.size(result.context_bytes) if result.context_bytes is not None else "",
        fmt.size(result.image_bytes) if result.image_bytes else "",
        {True: "yes", False: "**no**", None: ""}[result.correct],
    )
