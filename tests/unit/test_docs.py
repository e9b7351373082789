"""The documentation: links lead somewhere, commands exist, examples load, the reference is new."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from rebake.config import load as loading
from rebake.config.load import load
from rebake.engine import base_images
from rebake.engine.base_images import BaseImageResult
from rebake.engine.detect import Detected
from rebake.engine.endpoint import Endpoint
from rebake.engine.home import Home
from rebake.engine.private import Status
from rebake.engine.versions import Versions
from rebake.explain.model import Cause as Why
from rebake.explain.model import ExplainedBuild, ExplainedCrate, ExplainedStep
from rebake.history.records import BuildSummary
from rebake.project.cargo import Workspace
from rebake.results import (
    BuildResult,
    CacheCount,
    CacheUse,
    Finding,
    ImageResult,
    ServiceState,
    StackResult,
    StoreUse,
)
from rebake.scaffold.adopt import Adopted
from rebake.scaffold.adopt_carry import Carried
from rebake.scaffold.adopt_compose import BuiltService, ComposeFile
from rebake.scaffold.adopt_look import Facts
from rebake.scaffold.adopt_mapped import Mapped
from rebake.scaffold.adopt_plan import Plan
from rebake.scaffold.new import Made
from rebake.scaffold.update import Updated
from rebake.tasks import adopt_flow, history_flow, scaffold_flow
from rebake.tasks.history_cause import Cause

ROOT = Path(__file__).parents[2]
SKIPPED = {".venv", ".nox", "node_modules", "target", ".rebake", ".git"}
PAGES = sorted(
    page for page in ROOT.rglob("*.md") if not SKIPPED & set(page.relative_to(ROOT).parts)
)
OURS = [page for page in PAGES if "host-settings" not in page.parts]
LARGEST_PICTURE = 300_000


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def each_page(pages: list[Path] = OURS) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", pages, ids=named)


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "make_reference", ROOT / "scripts" / "make_reference.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_reference"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


# --- links ----------------------------------------------------------------------------------


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"(?ms)^\s*```.*?^\s*```", "", text))


def links_of(page: Path) -> Iterator[str]:
    text = without_code(page.read_text(encoding="utf-8"))
    yield from re.findall(r"\]\(([^)\s]+)\)", re.sub(r"(?<=\[)[^\]]*(?=\])", "x", text))
    yield from re.findall(r'<img[^>]* src="([^"]+)"', text)


def anchors_of(page: Path) -> set[str]:
    text = re.sub(r"(?ms)^\s*```.*?^\s*```", "", page.read_text(encoding="utf-8"))
    headings = re.findall(r"(?m)^#+ +(.+?) *$", text)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page(PAGES)
def test_links_lead_somewhere(page: Path) -> None:
    faults = []
    for link in links_of(page):
        if link.startswith(("https://", "http://")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            faults.append(link)
    assert faults == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in seen or page.suffix != ".md" or not page.exists():
            continue
        seen.add(page)
        names = (link.partition("#")[0] for link in links_of(page) if "://" not in link)
        todo += [(page.parent / name).resolve() for name in names if name]
    lost = {page for page in PAGES if page.is_relative_to(ROOT / "docs")} - seen
    assert {named(page) for page in lost} == set()


def test_pictures_are_small() -> None:
    sizes = {p.name: p.stat().st_size for p in (ROOT / "docs" / "images").iterdir()}
    assert {name for name, size in sizes.items() if size > LARGEST_PICTURE} == set()


# --- commands -------------------------------------------------------------------------------


def code_of(text: str) -> list[str]:
    """What stands in code spans and in blocks for a shell, a line each."""
    lines: list[str] = []
    for language, block in re.findall(r"(?ms)^\s*```(\w*)\n(.*?)^\s*```", text):
        if language in {"sh", "console", "powershell", "python"}:
            lines += block.splitlines()
    rest = re.sub(r"(?ms)^\s*```.*?^\s*```", "", text)
    return lines + re.findall(r"`([^`\n]+)`", rest)


def words_after(program: str, code: str) -> Iterator[list[str]]:
    for match in re.finditer(rf"(?<![\w./-]){re.escape(program)} ([^|;)`\"'#&]+)", code):
        yield match[1].split()


@each_page()
def test_tasks_and_their_flags_exist(page: Path, reference: ModuleType) -> None:
    tasks = {
        task.name: {"--help"}
        | {f"--{name}" for name in reference.arguments_of(task)}
        | {f"--no-{name}" for name in reference.arguments_of(task)}
        for task in reference.all_tasks()
    }
    faults = []
    for code in code_of(page.read_text(encoding="utf-8")):
        for words in words_after("invoke", code):
            if words[0].startswith(("-", "<", "[")):
                continue
            if words[0] not in tasks:
                faults.append(f"invoke {words[0]}")
                continue
            flags = {w.strip("[]").partition("=")[0] for w in words if w.strip("[").startswith("-")}
            faults += [f"invoke {words[0]} {flag}" for flag in flags - tasks[words[0]]]
    assert faults == []


@each_page()
def test_sessions_exist(page: Path) -> None:
    known = {"lint", "test", "scan", "e2e", "template", "docs"}
    text = page.read_text(encoding="utf-8")
    asked = set(re.findall(r"nox -s \"?([a-z0-9]+)", text))
    assert asked <= known


@each_page()
def test_what_the_bootstrap_is_asked_for_exists(page: Path, reference: ModuleType) -> None:
    tasks = {task.name for task in reference.all_tasks()} | {"test", "lint", "e2e", "docs", "nox"}
    text = page.read_text(encoding="utf-8")
    asked = set(re.findall(r"scripts/bootstrap\.py ([a-z][a-z-]*)", text))
    assert asked <= tasks


@each_page()
def test_files_that_are_named_exist(page: Path) -> None:
    spans = re.findall(r"`([^`\n]+)`", without_blocks(page.read_text(encoding="utf-8")))
    tops = ("backend/", "docker/", "docs/", "scripts/", "src/", "tests/", "ui/")
    paths = [s for s in spans if s.startswith(tops) and re.fullmatch(r"[\w./-]+", s)]
    # Made by a build, by the reader, by `base-images --pin`, by `add-service` or by `adopt`.
    made = ("backend/target", "backend/migrations/0002", "docker/base-images.lock.json")
    made += ("backend/crates/mailer/", "docker/rebake/")
    missing = [p for p in paths if not p.startswith(made) and not (ROOT / p).exists()]
    assert missing == []
    # `engine/client.py`: the toolkit's modules are named from their own folder.
    modules = [s for s in spans if re.fullmatch(r"[a-z_]+/[a-z_]+\.py", s)]
    places = (ROOT, ROOT / "src" / "rebake")
    assert [m for m in modules if not any((place / m).exists() for place in places)] == []


def without_blocks(text: str) -> str:
    return re.sub(r"(?ms)^\s*```.*?^\s*```", "", text)


# --- examples -------------------------------------------------------------------------------


def examples() -> list[tuple[str, str]]:
    return [
        (f"{named(page)}:{number}", block)
        for page in OURS
        for number, block in enumerate(
            re.findall(r"(?ms)^ *```toml\n(.*?)^ *```", page.read_text(encoding="utf-8"))
        )
    ]


@pytest.mark.parametrize(
    "text", [block for _, block in examples()], ids=[name for name, _ in examples()]
)
def test_examples_of_rebake_toml_load(text: str, tmp_path: Path) -> None:
    (tmp_path / "rebake.toml").write_text(text, encoding="utf-8")
    load(tmp_path, environ={}, user=tmp_path / "none")


# --- the reference --------------------------------------------------------------------------


def test_the_generated_pages_are_up_to_date(
    reference: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reference.main(["--check"]) == 0, capsys.readouterr().err


def test_a_page_that_is_out_of_date_is_named(
    reference: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(reference, "REFERENCE", tmp_path)
    assert reference.main([]) == 0
    (tmp_path / "errors.md").write_text("old")
    assert reference.main(["--check"]) == 1
    assert "docs/reference/errors.md\n  next: nox -s docs" in capsys.readouterr().err
    assert reference.main([]) == 0
    assert reference.main(["--check"]) == 0


def test_every_key_can_be_set_by_the_variable_that_is_named(
    reference: ModuleType, tmp_path: Path
) -> None:
    environ = {}
    for key in reference.all_keys():
        value = key.value
        environ[reference.variable(key.full)] = (
            ",".join(value) if isinstance(value, list) else str(value)
        )
    assert len(environ) > 20
    loaded = load(tmp_path, environ=environ, user=tmp_path / "none")
    values = loaded.values()
    for key in reference.all_keys():
        assert loaded.sources[key.full] == "environment"
        assert values[key.full] == key.value


def test_all_variables_are_known(reference: ModuleType) -> None:
    documented = set(reference.VARIABLES) | reference.INTERNAL_VARIABLES
    assert documented == set(loading._ENV_RESERVED)


def test_every_exit_code_and_error_has_words(reference: ModuleType) -> None:
    classes = reference.error_classes()
    assert {kind.exit_code for kind in classes} <= set(reference.EXIT_CODES)
    assert {kind.code for kind in classes} == set(reference.SAMPLES)


IMAGE = ImageResult("api", "r", "sha256:0", 1, "id", True, 1.0)
STACK = StackResult(
    "prod", {"api": "u"}, (ServiceState("api", "running", "healthy", "u"),), "private", 1.0,
    ("note",), {"api": IMAGE},
)  # fmt: skip
ENDPOINT = Endpoint("private", "unix:///s", Path("docker"))
ENGINES = (
    Detected(ENDPOINT, Versions()).document(),
    Status("absent", Home.at(Path("/e"))).document(),
)
BASE = BaseImageResult("rust", "r", "made", "d", 1, 1.0)
COUNT = CacheCount(1, 1)
CACHES = CacheUse(COUNT, COUNT, StoreUse(1, 1), StoreUse(1, 1))
SUMMARY = BuildSummary(
    1, "p", "/w", "prod", ("api",), 0.0, 1.0, "done", "", 2, 1, 0, 0, "f", False, "d"
)
ADOPTED = Adopted(
    Facts(
        Path("/r"),
        ".",
        Workspace(Path("/r"), (), (), None),
        ComposeFile(Path("/r/compose.yml"), ()),
        (Mapped(BuiltService("a"), "Dockerfile", Carried("backend", "rust:1", binary="api")),),
    ),
    "r",
    Plan({}, "docker-compose.override.yml", "docker compose up --build", ()),
    (),
    "t",
    "c",
    ("n",),
)
DOCUMENTS = {
    "dev, prod, up": (STACK.document(), STACK.document()["services"]["api"]),  # type: ignore[index]
    "build, rebuild": (
        BuildResult({"api": IMAGE}, (), 1.0, later=("dependency layer",)).document(),
        BuildResult({"api": IMAGE}, (), 1.0, skipped="nothing changed").document(),
        IMAGE.document(),
        CACHES.document(),
    ),
    "doctor": (Finding("disk", "ok", "m").document(),),
    "why": (
        {"builds": []},
        ExplainedBuild("api", 1, None, "done").document(),
        ExplainedStep("build 1/1", True, 1.0).document(),
        ExplainedCrate("core", "0.1.0", "changed", "core").document(),
        Why("file", "a").document(),
    ),
    "history": (
        history_flow.summary_document(SUMMARY),
        Cause("file").document(),
    ),
    "engine status, start, stop, install, remove": ENGINES,
    "base-images": (BASE.document(), base_images.document([BASE], 1.0)),
    "new": tuple(
        scaffold_flow.made_document(
            Made(Path("r"), {}, (), "t", "c", "d", ("n",)), 1.0, dry_run=dry
        )
        for dry in (False, True)
    ),
    "adopt": tuple(adopt_flow.document_of(ADOPTED, 1.0, dry_run=dry) for dry in (False, True)),
    "update": (
        scaffold_flow.updated_document(
            Updated("t", "a", "b", (), (), "d", ("n",)), 1.0, dry_run=True
        ),
    ),
}


@pytest.mark.parametrize("heading", DOCUMENTS)
def test_the_keys_of_json_documents_are_described(heading: str) -> None:
    text = (ROOT / "docs" / "reference" / "json.md").read_text(encoding="utf-8")
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"(?m)^\| (`.+?) \|", section)
    described = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    told = {key for document in DOCUMENTS[heading] for key in document} - {"schema_version"}
    assert told <= described
    # Keys that the tasks add to what the rooms tell.
    added = {"findings", "fixed", "problem", "cause", "builds", "shown", "total", "before", "after"}
    added |= {"files", "values", "images", "dry_run"}
    assert described - told <= added


# --- no package mirror ----------------------------------------------------------------------

# In two parts each, so that this file does not name them.
HOSTS = [
    first + second
    for first, second in (
        ("pypi.", "org"),
        ("python", "hosted.org"),
        ("registry.npm", "js.org"),
        ("deb.", "debian.org"),
        ("security.", "debian.org"),
        ("archive.", "ubuntu.com"),
        ("index.", "crates.io"),
        ("static.", "crates.io"),
        ("registry-1.", "docker.io"),
        ("index.", "docker.io"),
        ("ghcr", ".io"),
        ("proxy.golang", ".org"),
    )
]


def test_no_tracked_file_names_a_package_mirror() -> None:
    words = [word for host in HOSTS for word in ("-e", host)]
    found = subprocess.run(
        ["git", "grep", "-IlF", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode > 1:
        pytest.skip("this is no git repository")
    assert found.stdout.split() == []
