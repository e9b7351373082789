"""A whole benchmark through a faked docker program: rounds, edits, wrong results, failures."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from pathlib import Path

import pytest

from rebake.benchmark.journal import FILE, Asked, Journal
from rebake.benchmark.made import LABEL_RUN, Made, workplace
from rebake.benchmark.repeats import Repeats
from rebake.benchmark.run import Benchmark, Wanted
from rebake.benchmark.scenarios import scenarios_named
from rebake.benchmark.subject import Site
from rebake.benchmark.workshop import make_site
from rebake.engine.endpoint import Endpoint
from rebake.errors import Interrupted
from rebake.project.project import open_project

if sys.platform == "win32":
    pytest.skip("the fake program is a script with a #! line", allow_module_level=True)

# An "image" is a file with the sources that the build saw, by its name. The client is started
# hundreds of times: a shell answers most questions before Python would have started.
FAKE = """\
    #!/bin/sh
    home=${{0%/*}}
    # In one write: two that run at once would mix their lines.
    line=; for word; do line="$line$word\037"; done
    printf '%s\\n' "$line" >> "$home/calls"
    for last; do :; done
    image() {{ echo "$home/images/$(echo "$1" | sed 's/[^[:alnum:].-]/_/g')"; }}
    case "$1 $2" in
    "buildx bake") exec "{python}" -IS "$home/bake.py" "$@";;
    "image inspect")
        file=$(image "$last")
        [ -e "$file" ] || exit 1
        id=$(od -An -v -tx1 < "$file" | tr -d ' \\n')
        config='{{"Entrypoint": ["/usr/local/bin/service"], "Labels": {{}}}}'
        echo "[{{\\"Id\\": \\"$id\\", \\"Config\\": $config}}]";;
    "create "*) echo "$last";;
    "cp "*) cat "$(image "${{3%%:/*}}")" > "$4";;
    "ps "*)
        case " $* " in
        *" --format "*) [ ! -e "$home/stacks" ] || cat "$home/stacks";;
        esac;;
    "image ls") for name in $(cat "$home/listed"); do echo "$name"; done;;
    "image rm")
        left=
        for name in $(cat "$home/listed"); do
            case " $* " in
            *" $name "*) ;;
            *) left="$left $name";;
            esac
        done
        echo $left > "$home/listed";;
    esac
"""
BAKE = """\
    import json, os, sys
    home = os.path.dirname(os.path.abspath(__file__))
    words = sys.argv[1:]
    def image(name):
        plain = "".join(c if c.isalnum() or c in ".-" else "_" for c in name)
        return home + "/images/" + plain
    def read(path):
        with open(path) as file:
            return file.read()
    def told(name, recipe):
        return os.path.exists(home + "/" + name) and read(home + "/" + name) in recipe
    file = words[words.index("--file") + 1]
    recipe = os.path.basename(os.path.dirname(file))
    if told("fails", recipe):
        print("ERROR: nothing works", file=sys.stderr)
        sys.exit(1)
    for target in json.loads(read(file))["target"].values():
        place = image(target["tags"][0])
        if told("stale", recipe) and os.path.exists(place):
            continue
        found = [
            os.path.join(folder, name)
            for folder, _, names in os.walk(target["context"])
            for name in names
            if name.endswith(".rs")
        ]
        with open(place, "w") as file:
            file.write("\\n".join(map(read, sorted(found))))
"""


@pytest.fixture
def docker(tmp_path: Path) -> Path:
    home = tmp_path / "fake"
    (home / "images").mkdir(parents=True)
    (home / "listed").write_text("")
    (home / "bake.py").write_text(textwrap.dedent(BAKE))
    program = home / "docker"
    program.write_text(textwrap.dedent(FAKE).format(python=sys.executable))
    program.chmod(0o755)
    return home


@pytest.fixture
def endpoint(docker: Path) -> Endpoint:
    # No socket: nothing but the program is asked.
    return Endpoint("host-env", "ssh://nowhere", docker / "docker")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    files = {
        "rebake.toml": '[backend]\nservices = ["api", "worker"]\n',
        "backend/Cargo.toml": '[workspace]\nmembers = ["api", "worker", "core"]\n',
        "backend/Cargo.lock": "version = 4\n",
        "backend/core/Cargo.toml": '[package]\nname = "core"\n',
        "backend/core/src/lib.rs": "// core\n",
    }
    for name in ("api", "worker"):
        uses = '[package]\nname = "NAME"\n[dependencies]\ncore = { path = "../core" }\n'
        files[f"backend/{name}/Cargo.toml"] = uses.replace("NAME", name)
        files[f"backend/{name}/src/main.rs"] = f"// {name}\n"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def site_of(project: Path, made: Made) -> Site:
    return make_site(open_project(project), made, project / "settings", {}, "debian:1")


def wanted(scenarios: str, *subjects: str, runs: int = 2, times: int = 1) -> Wanted:
    return Wanted(scenarios_named(scenarios), subjects, Repeats(runs, 1, 60.0, times, 10.0))


def made_in(tmp_path: Path, endpoint: Endpoint) -> Made:
    folder = tmp_path / "bench-1"
    folder.mkdir()
    return Made("bench-1", folder, endpoint)


def calls(docker: Path) -> list[list[str]]:
    return [line.split("\037")[:-1] for line in (docker / "calls").read_text().splitlines()]


def bakes(docker: Path) -> list[str]:
    found = [words for words in calls(docker) if "bake" in words]
    return [Path(words[words.index("--file") + 1]).parent.name for words in found]


def test_rounds_go_over_all_subjects_and_begin_with_another_one(
    tmp_path: Path, project: Path, docker: Path, endpoint: Endpoint
) -> None:
    site = site_of(project, made_in(tmp_path, endpoint))
    said: list[str] = []
    found = Benchmark(site, wanted("code-change", "naive", "cache-mount"), said.append).run()
    order = [name.removeprefix("bench-1-").rpartition("-")[0] for name in bakes(docker)]
    first, second = ["naive", "cache-mount"], ["cache-mount", "naive"]
    assert order == [*first, *first, *second]  # not counted, round one, round two
    assert [(r.subject, len(r.runs_s), r.correct) for r in found.results] == [
        ("naive", 2, True),
        ("cache-mount", 2, True),
    ]
    assert any("to go" in line for line in said)


def test_what_is_quick_is_taken_more_often(
    tmp_path: Path, project: Path, endpoint: Endpoint
) -> None:
    site = site_of(project, made_in(tmp_path, endpoint))
    asked = wanted("code-change", "naive", runs=1, times=3)
    found = Benchmark(site, asked, lambda _text: None).run()
    assert [len(result.runs_s) for result in found.results] == [3]


def test_the_users_files_stay_as_they_are(
    tmp_path: Path, project: Path, endpoint: Endpoint
) -> None:
    before = {path: path.read_text() for path in project.rglob("*") if path.is_file()}
    site = site_of(project, made_in(tmp_path, endpoint))
    asked = wanted("code-change,shared-crate", "naive", runs=1)
    Benchmark(site, asked, lambda _text: None).run()
    assert {path: path.read_text() for path in project.rglob("*") if path.is_file()} == before


def test_a_stale_image_is_wrong_and_told_loudly(
    tmp_path: Path, project: Path, docker: Path, endpoint: Endpoint
) -> None:
    (docker / "stale").write_text("cache-mount")
    site = site_of(project, made_in(tmp_path, endpoint))
    said: list[str] = []
    scenarios = "code-change,shared-crate"
    found = Benchmark(site, wanted(scenarios, "naive", "cache-mount", runs=1), said.append).run()
    assert {(r.scenario, r.subject): r.correct for r in found.results} == {
        ("code-change", "naive"): True,
        ("code-change", "cache-mount"): False,
        ("shared-crate", "naive"): True,
        ("shared-crate", "cache-mount"): False,
    }
    wrong = [line for line in said if line.startswith("WRONG RESULT: code-change, cache-mount")]
    assert wrong
    assert "is not in /usr/local/bin/service" in wrong[0]


def test_a_recipe_that_does_not_build_is_told_and_the_others_go_on(
    tmp_path: Path, project: Path, docker: Path, endpoint: Endpoint
) -> None:
    (docker / "fails").write_text("naive")
    site = site_of(project, made_in(tmp_path, endpoint))
    found = Benchmark(site, wanted("code-change", "naive", "cache-mount"), lambda _t: None).run()
    naive, mount = found.results
    assert (naive.runs_s, naive.correct) == ((), None)
    assert "the build of naive" in naive.error
    assert (len(mount.runs_s), mount.error) == (2, "")


def test_cold_samples_share_nothing_with_one_another(
    tmp_path: Path, project: Path, docker: Path, endpoint: Endpoint
) -> None:
    site = site_of(project, made_in(tmp_path, endpoint))
    Benchmark(site, wanted("cold", "cache-mount"), lambda _text: None).run()
    assert bakes(docker) == ["bench-1-cache-mount-2", "bench-1-cache-mount-3"]
    arguments, mounts = set(), set()
    for name in bakes(docker):
        folder = tmp_path / "bench-1" / "rendered" / name
        document = json.loads((folder / "bake.json").read_text())
        arguments.add(document["target"]["api"]["args"]["COLD"])
        mounts.add((folder / "cache-mount.Dockerfile").read_text())
    assert len(arguments) == len(mounts) == 2


def test_what_a_project_does_not_have_is_not_run(
    tmp_path: Path, project: Path, endpoint: Endpoint
) -> None:
    site = site_of(project, made_in(tmp_path, endpoint))
    found = Benchmark(site, wanted("ui-change", "naive"), lambda _text: None).run()
    assert found.results == []
    assert found.not_run == [("ui-change", "", "the project has no UI")]


def test_a_benchmark_that_was_stopped_goes_on_with_the_scenarios_that_are_left(
    tmp_path: Path, project: Path, docker: Path, endpoint: Endpoint
) -> None:
    asked = wanted("code-change,ui-change,shared-crate", "naive", runs=1)
    names = tuple(scenario.name for scenario in asked.scenarios)
    what = Asked(names, ("naive",), asked.repeats, (), endpoint.docker_host, "0.1.0")
    said: list[str] = []

    def stopped(text: str) -> None:
        said.append(text)
        if text.startswith("shared-crate"):
            raise Interrupted

    journal = Journal(tmp_path / "state" / FILE, what)
    with pytest.raises(Interrupted):
        Benchmark(
            site_of(project, made_in(tmp_path, endpoint)), asked, stopped, journal.book(0, "x")
        ).run()
    (docker / "calls").unlink()
    shutil.rmtree(tmp_path / "bench-1")
    again = Journal.resume(journal.file)
    assert list(again.book(0, "x").parts) == ["code-change"]
    site = site_of(project, made_in(tmp_path, endpoint))
    found = Benchmark(site, asked, said.append, again.book(0, "x")).run()
    assert len(bakes(docker)) == 2  # one that is not counted, one sample
    assert [(r.scenario, r.correct, len(r.runs_s)) for r in found.results] == [
        ("code-change", True, 1),
        ("shared-crate", True, 1),
    ]
    assert found.not_run == [("ui-change", "", "the project has no UI")]
    assert "measured before: code-change" in said
    # All of it: nothing is built any more.
    (docker / "calls").unlink()
    whole = Benchmark(site, asked, said.append, Journal.resume(journal.file).book(0, "x")).run()
    assert [r.runs_s for r in whole.results] == [
        tuple(round(s, 3) for s in r.runs_s) for r in found.results
    ]
    assert not (docker / "calls").exists()


def test_everything_is_removed_at_the_end_and_after_ctrl_c(
    tmp_path: Path, docker: Path, endpoint: Endpoint
) -> None:
    home = tmp_path / "benchmark"
    (docker / "listed").write_text("bench-9-naive-1-api:latest users-own:latest bench-10-x:1")

    def broken_off() -> None:
        with workplace(home, "bench-9", endpoint, lambda _text: None) as made:
            (made.folder / "file").write_text("")
            raise Interrupted

    with pytest.raises(Interrupted):
        broken_off()
    assert list(home.iterdir()) == []
    removing = [words for words in calls(docker) if words[:2] == ["image", "rm"]]
    assert removing == [["image", "rm", "--force", "bench-9-naive-1-api:latest"]]
    label = f"label={LABEL_RUN}=bench-9"
    listing = [words for words in calls(docker) if label in words]
    assert [words[0] for words in listing] == ["ps", "volume"]


def test_a_stack_of_a_run_goes_too_and_no_other(
    tmp_path: Path, docker: Path, endpoint: Endpoint
) -> None:
    (docker / "stacks").write_text("one bench-1-r1-ab\ntwo shop\nthree bench-12-r1-ab\n")
    made_in(tmp_path, endpoint).remove_all(lambda _text: None)
    removing = [words for words in calls(docker) if words[:2] == ["rm", "--force"]]
    assert removing == [["rm", "--force", "--volumes", "one"]]


def test_what_a_killed_run_left_goes_with_the_next(
    tmp_path: Path, docker: Path, endpoint: Endpoint
) -> None:
    home = tmp_path / "benchmark"
    (home / "bench-7").mkdir(parents=True)
    (home / "bench-7" / "made.json").write_text("[]")
    said: list[str] = []
    with workplace(home, "bench-8", endpoint, said.append):
        assert [path.name for path in home.iterdir() if path.is_dir()] == ["bench-8"]
    assert "removing what the benchmark bench-7 left" in said


def test_files_of_an_engine_that_is_gone_hold_nothing_up(
    tmp_path: Path, endpoint: Endpoint
) -> None:
    made = made_in(tmp_path, endpoint)
    (made.folder / "engine-0.lock").write_text("")
    made.remove_all(lambda _text: None)
    assert not made.folder.exists()


def test_a_run_that_still_goes_on_is_left_alone(tmp_path: Path, endpoint: Endpoint) -> None:
    home = tmp_path / "benchmark"
    with (
        workplace(home, "bench-5", endpoint, lambda _text: None) as first,
        workplace(home, "bench-6", endpoint, lambda _text: None),
    ):
        assert first.folder.is_dir()


def test_only_this_runs_names_can_be_removed(tmp_path: Path, endpoint: Endpoint) -> None:
    made = made_in(tmp_path, endpoint)
    with pytest.raises(ValueError, match="users"):
        made.remove_images("users-")
    with pytest.raises(ValueError, match="rebake-app"):
        made.remove_mounts("rebake-app")
