"""What the scripts of docker/ and scripts/ stand for: their words, as words of the tasks.

    python3 scripts/shim.py docker/build.sh --prod --rebuild

Each script calls this file with its own name and what it was given, and this file becomes
`scripts/bootstrap.py` with the task's words. So a script in two languages has one meaning, and
none of them knows more than where Python is.
"""

# Python 3.8 must be able to read this file: then the bootstrap tells that it is too old.
from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_USAGE = 2
# What every task takes; a value of its own follows the last one.
SHARED = ("--dry-run", "--progress")

BUILD = ("docker/build.sh", "docker/build.ps1")
SCRIPTS = (
    *BUILD,
    "scripts/warm-cache.sh",
    "scripts/refresh-cache.sh",
    "scripts/test-docker-build.sh",
    "scripts/benchmark-builds.sh",
    "scripts/run_tests.ps1",
)


class Simple(NamedTuple):
    """A script that is one task: what it does, and the task's words."""

    says: str
    task: tuple[str, ...]
    takes: str = ""


SIMPLE: dict[str, Simple] = {
    "scripts/warm-cache.sh": Simple(
        "Makes now what the next build, or the first start of the stack, would have to wait for.",
        ("warm-cache",),
        "[--for dev|prod|ci]",
    ),
    "scripts/refresh-cache.sh": Simple(
        "Shows this project's caches, or removes some of them.",
        ("refresh-cache",),
        "[show | clean build|images|volumes|all | prune | refresh] [--yes]",
    ),
    "scripts/test-docker-build.sh": Simple(
        "Times cold and warm builds beside the usual ones; fails when too little time is saved\n"
        "(rebake.toml: benchmark.limits).",
        (
            *("benchmark", "--check", "--subjects", "rebake,naive"),
            *("--scenarios", "cold,no-change,code-change,ui-change"),
        ),
    ),
    "scripts/benchmark-builds.sh": Simple(
        "Measures builds in all scenarios, beside other recipes and the machine's own floor.",
        ("benchmark",),
        "[--scenarios cold,code-change] [--subjects rebake,cargo-chef] [--runs 3]",
    ),
    "scripts/run_tests.ps1": Simple(
        "Runs the tests of toolkit, backend and UI.", ("nox", "-s", "test"), "[-- pytest's words]"
    ),
}

# The flags of the build script, by what they mean.
FLAGS = {
    "--dev": "dev",
    "--development": "dev",
    "--prod": "prod",
    "--production": "prod",
    "--rebuild": "rebuild",
    "--no-cache": "no-cache",
    "--nocache": "no-cache",
    "--parallel": "parallel",
    "--help": "help",
    "-h": "help",
    "-?": "help",
}
# Its words that are no service's name; those about caches have no flags.
CACHES = {
    "clean": ("refresh-cache", "clean", "build", "--older-than", "7d"),
    "prune": ("refresh-cache", "prune"),
}
WORDS = ("all", "up", "help", *CACHES)
BUILD_HELP = """usage: {script} [--dev | --prod] [--rebuild] [--no-cache]
       {script} all | SERVICE ... | up | clean | prune | help

                            the same as
  --dev, --development      invoke dev: run all with hot reload (without any word or flag, too)
  --prod, --production      invoke prod: build the production images and run them
  --rebuild                 invoke rebuild, then the one above: compile again
  --no-cache, -NoCache      invoke build --no-cache, then the one above
  all                       invoke build: build all images
  SERVICE ...               invoke build SERVICE ...: names, or short ones of rebake.toml
  up                        invoke prod; with --dev: invoke dev --detach
  clean                     invoke refresh-cache clean build --older-than 7d
  prune                     invoke refresh-cache prune
  --parallel, -Parallel     nothing: builds are always parallel
  --help, -h, help          this text

What else is given goes to the task: --dry-run, --progress plain, --detach, --yes, --json.
"""


class Refused(Exception):
    """What was given can't be used; the words are for a person."""


def main(argv: Sequence[str]) -> int:
    """Become the task that a script with its words stands for."""
    if not argv or argv[0] not in SCRIPTS:
        say(f"error: the scripts are {', '.join(SCRIPTS)}\n")
        return EXIT_USAGE
    script, given = argv[0], argv[1:]
    if wants_help(script, given):
        sys.stdout.write(help_of(script))
        return 0
    try:
        words = words_of(script, given)
    except Refused as refused:
        say(f"error: {refused}\n next: {script} --help\n")
        return EXIT_USAGE
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    import bootstrap

    return bootstrap.main(words)


def say(text: str) -> None:
    """Tell the user."""
    sys.stderr.write(text)


def wants_help(script: str, given: Sequence[str]) -> bool:
    """Tell whether help is asked for."""
    before = given[: given.index("--")] if "--" in given else given
    if any(FLAGS.get(flag_of(word)) == "help" for word in before):
        return True
    return script in BUILD and list(before[:1]) == ["help"]


def help_of(script: str) -> str:
    """Return a script's help: what it does, and which task it is."""
    if script in BUILD:
        return BUILD_HELP.format(script=script)
    simple = SIMPLE[script]
    task = " ".join(simple.task)
    if simple.task[0] == "nox":
        return f"usage: {script} {simple.takes}\n{simple.says}\nThe same as: {task}\n"
    more = f"All its flags: invoke --help {simple.task[0]}"
    usage = f"usage: {script} {simple.takes}".rstrip()
    return f"{usage}\n{simple.says}\nThe same as: invoke {task}\n{more}\n"


def words_of(script: str, given: Sequence[str]) -> list[str]:
    """Return what goes to the bootstrap.

    Raises:
        Refused: the build script's words don't go together.
    """
    if script in BUILD:
        return build_words(given)
    task = SIMPLE[script].task
    if task[0] == "nox":  # PowerShell keeps the first `--` for itself
        return [*task, *([] if not given or given[0] == "--" else ["--"]), *given]
    return with_own(task, given)


def with_own(task: Sequence[str], given: Sequence[str]) -> list[str]:
    """Join a task's words and the user's own; a flag that the user sets is not set twice."""
    own = {word.partition("=")[0] for word in given if word.startswith("--")}
    kept: list[str] = []
    skip = False
    for number, word in enumerate(task):
        if skip:
            skip = False
        elif word in own:
            following = task[number + 1] if number + 1 < len(task) else "--"
            skip = not following.startswith("--")
        else:
            kept.append(word)
    return [*kept, *given]


def flag_of(word: str) -> str:
    """Write a flag as ours: PowerShell's begin with one dash and don't look at the case."""
    long = len(word) > len("-h") and word.startswith("-") and not word.startswith("--")
    return f"-{word.lower()}" if long else word


def near_flag(word: str) -> str:
    """Return the flag of the build script that is nearly this one; empty when none is."""
    import difflib

    return next(iter(difflib.get_close_matches(flag_of(word), FLAGS, n=1, cutoff=0.8)), "")


def unknown_flag(word: str) -> str:
    """Return what is wrong with a flag that no task can be asked for its meaning.

    In one of PowerShell's way, a task would read single letters; of one that is nearly a flag of
    this script, it would not know that.
    """
    near = near_flag(word)
    return f"no flag named {word}" + (f": did you mean {near}?" if near else "")


class Asked:
    """What the build script was asked for.

    Raises:
        Refused: a flag is none, or two exclude each other.
    """

    def __init__(self, given: Sequence[str]) -> None:
        self.meant: set[str] = set()
        self.words: list[str] = []
        self.shared: list[str] = []
        self.rest: list[str] = []
        waiting: list[str] | None = None
        for word in given:
            meaning = FLAGS.get(flag_of(word))
            if waiting is not None:
                waiting.append(word)
                waiting = None
            elif meaning:
                self.meant.add(meaning)
            elif word.partition("=")[0] in SHARED:
                self.shared.append(word)
                waiting = self.shared if word == "--progress" else None
            elif flag_of(word) != word or near_flag(word):
                raise Refused(unknown_flag(word))
            elif word.startswith("-"):
                self.rest.append(word)
                # Of what goes on to a task, these take a value that is no service's name.
                waiting = self.rest if word in {"--older-than", "--max-size"} else None
            else:
                self.words.append(word)
        if {"dev", "prod"} <= self.meant:
            message = "--dev and --prod exclude each other"
            raise Refused(message)


def build_words(given: Sequence[str]) -> list[str]:
    """Return the tasks of the build script.

    Raises:
        Refused: its words don't go together.
    """
    asked = Asked(given)
    word = asked.words[0] if asked.words else ""
    if word in WORDS and len(asked.words) > 1:
        message = f"{word} takes no further words, not {' '.join(asked.words[1:])}"
        raise Refused(message)
    tasks = tasks_of(asked, word)
    if len(tasks) > 1 and "--json" in asked.rest:
        message = "--json is for one task at a time, and these are two: " + ", ".join(
            task[0] for task in tasks
        )
        raise Refused(message)
    tasks[-1] = with_own(tasks[-1], asked.rest)
    return [part for task in tasks for part in (*task, *asked.shared)]


def tasks_of(asked: Asked, word: str) -> list[list[str]]:
    """Return the tasks with their words, one after another."""
    again = bool({"rebuild", "no-cache"} & asked.meant)
    if word in CACHES:
        if again or {"dev", "prod"} & asked.meant:
            message = f"{word} builds nothing: no flag of builds goes with it"
            raise Refused(message)
        return [list(CACHES[word])]
    make = ["rebuild" if "rebuild" in asked.meant else "build"]
    make += ["--no-cache"] if "no-cache" in asked.meant else []
    starts = not word or word == "up"
    dev = "dev" in asked.meant or (not word and "prod" not in asked.meant)
    make += ["--dev"] if dev else []
    if not starts:
        return [[*make, *([] if word == "all" else asked.words)]]
    run = ["dev"] if dev else ["prod"]
    run += ["--detach"] if dev and word == "up" else []
    return [make, run] if again else [run]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
