"""The edits: real ones, whose text can be found again."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebake.benchmark.edits import (
    Manifests,
    Originals,
    Sources,
    contents,
    edited,
    expected,
    new_crates,
    paths,
    rust_static,
)
from rebake.benchmark.layout import Layout, read_layout
from rebake.errors import ProjectError
from rebake.project.project import open_project

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def layout() -> Layout:
    return read_layout(open_project(ROOT))


def originals(layout: Layout, dockerfile: str = "", **more) -> Originals:
    found = paths(layout, dockerfile=dockerfile)
    return Originals({path: f"// {path}\n" for path in found}, **more)


def test_this_project_is_read_right(layout: Layout) -> None:
    assert layout.services == ("api", "worker")
    assert set(layout.binaries) == {"api", "worker", "web"}
    assert layout.code_file == "crates/api/src/lib.rs"
    assert layout.shared_file == "crates/core/src/lib.rs"
    assert (layout.ui_entry, layout.ui_page) == ("src/main.tsx", "index.html")
    assert layout.configuration == (".cargo",)
    assert layout.images == ("api", "worker", "ui")


def test_a_single_crate_has_nothing_that_is_shared(tmp_path: Path) -> None:
    (tmp_path / "rebake.toml").write_text('[backend]\nservices = ["solo"]\n')
    (tmp_path / "backend/src").mkdir(parents=True)
    (tmp_path / "backend/Cargo.toml").write_text('[package]\nname = "solo"\nversion = "1.0.0"\n')
    (tmp_path / "backend/src/main.rs").write_text("fn main() {}\n")
    found = read_layout(open_project(tmp_path))
    assert (found.code_file, found.shared_file, found.ui) == ("src/main.rs", "", "")
    assert found.code_crate.sources == ("src/main.rs",)


def test_a_ui_without_a_first_module_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "rebake.toml").write_text('[backend]\nservices = ["solo"]\n')
    for folder in ("backend/src", "ui/src"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "backend/Cargo.toml").write_text('[package]\nname = "solo"\nversion = "1.0.0"\n')
    (tmp_path / "backend/src/main.rs").write_text("fn main() {}\n")
    (tmp_path / "ui/package.json").write_text("{}")
    with pytest.raises(ProjectError, match=r"has no main\.tsx"):
        read_layout(open_project(tmp_path))


def test_each_edit_changes_its_own_text_alone(layout: Layout) -> None:
    start = Sources("c", "s", "u")
    assert edited(start, "code", "n") == Sources("n", "s", "u")
    assert edited(start, "shared", "n") == Sources("c", "n", "u")
    assert edited(start, "ui", "n") == Sources("c", "s", "n")
    assert edited(start, "label", "n") == Sources("c", "s", "u", label="n")
    assert edited(start, "dependency", "n") == Sources("n", "s", "u", dependencies=1)
    assert edited(start, "none", "n") == start


@pytest.mark.parametrize(
    ("edit", "files"),
    [
        ("code", {"backend/crates/api/src/lib.rs"}),
        ("shared", {"backend/crates/core/src/lib.rs"}),
        ("ui", {"ui/src/main.tsx"}),
        ("label", {"backend/Dockerfile"}),
        (
            "dependency",
            {
                "backend/crates/api/src/lib.rs",
                "backend/crates/api/Cargo.toml",
                "backend/Cargo.lock",
            },
        ),
        ("none", set()),
    ],
)
def test_an_edit_touches_these_files(layout: Layout, edit: str, files: set[str]) -> None:
    known = originals(
        layout, "backend/Dockerfile", manifests=(Manifests("[package]", "[[package]]", ("hex",)),)
    )
    start = Sources("c0", "s0", "u0")
    before = contents(layout, known, start, dockerfile="backend/Dockerfile")
    after = contents(
        layout,
        known,
        edited(start, edit, "n1"),  # type: ignore[arg-type]
        dockerfile="backend/Dockerfile",
    )
    assert {path for path in after if after[path] != before[path]} == files


def test_the_dependency_is_used_so_that_it_must_be_there(layout: Layout) -> None:
    known = originals(
        layout, manifests=(Manifests("m", "l", ("static_assertions", "unicode-xid")),)
    )
    found = contents(layout, known, Sources("c", "s", "u", dependencies=1))
    code = found["backend/crates/api/src/lib.rs"]
    assert "use static_assertions as _;\nuse unicode_xid as _;\n" in code


def test_the_text_stands_in_a_static_of_its_length() -> None:
    assert rust_static("CODE", "abc") == (
        '\n#[used]\nstatic REBAKE_BENCHMARK_CODE: [u8; 3] = *b"abc";\n'
    )


def test_a_page_shows_the_text_in_its_title(layout: Layout) -> None:
    texts = dict(originals(layout).texts) | {"ui/index.html": "<title>Items</title>"}
    found = contents(layout, Originals(texts), Sources("c", "s", "visible"))
    assert found["ui/index.html"] == "<title>Items · visible</title>"
    assert 'Reflect.set(globalThis, "rebakeBenchmark", "visible");' in found["ui/src/main.tsx"]


def test_what_each_image_must_hold(layout: Layout) -> None:
    assert expected(layout, Sources("c", "s", "u")) == {
        "api": ("s", "c"),
        "worker": ("s",),
        "ui": ("u",),
    }


def test_crates_that_are_locked_already_are_not_added() -> None:
    lock = '[[package]]\nname = "hex"\nversion = "0.4.3"\n\n[[package]]\nname = "void"\n'
    assert new_crates(lock, 3) == ("fnv", "humantime", "static_assertions")
    assert "void" not in new_crates(lock, 99)
