"""Reading apt's own configuration, in both formats."""

from pathlib import Path

import pytest

from rebake.engine import apt_settings
from rebake.engine.apt_sources import (
    Source,
    System,
    archive_of,
    parse_deb822,
    parse_one_line,
    read_sources,
    read_system,
    render,
    suites_for,
)
from rebake.errors import CannotRun

MIRROR = "https://mirror.invalid/debian"
DEBIAN = System("debian", (), "bookworm")

DEB822 = f"""\
# a comment
Types: deb deb-src
URIs: {MIRROR}
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb-src
URIs: {MIRROR}
Suites: bookworm
Components: main

Enabled: no
Types: deb
URIs: https://off.invalid
Suites: x
Components: main
"""


def test_deb822_gives_a_source_for_each_suite():
    key = "/usr/share/keyrings/debian-archive-keyring.gpg"
    assert parse_deb822(DEB822) == [
        Source(MIRROR, "bookworm", ("main", "contrib"), key),
        Source(MIRROR, "bookworm-updates", ("main", "contrib"), key),
    ]


def test_a_key_inside_the_file_survives_being_written_again():
    text = (
        f"Types: deb\nURIs: {MIRROR}\nSuites: bookworm\nComponents: main\nSigned-By:\n"
        " -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQIN\n -----END PGP PUBLIC KEY BLOCK-----\n"
    )
    once = parse_deb822(text)
    assert parse_deb822(render(once)) == once
    assert "\n .\n mQIN\n" in render(once)


def test_one_line_format_with_options():
    text = (
        f"# deb {MIRROR} no main\n"
        f"deb [arch=amd64,arm64 signed-by=/k.gpg] {MIRROR} bookworm main contrib # end\n"
        f"deb-src {MIRROR} bookworm main\n"
        f"deb {MIRROR} trixie main\n"
    )
    assert parse_one_line(text) == [
        Source(
            MIRROR, "bookworm", ("main", "contrib"), "/k.gpg", (("Architectures", "amd64 arm64"),)
        ),
        Source(MIRROR, "trixie", ("main",)),
    ]


def test_a_whole_folder_is_read_without_cdroms(tmp_path: Path):
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(f"deb cdrom:[x]/ bookworm main\ndeb {MIRROR} a main\n")
    (tmp_path / "sources.list.d/b.sources").write_text(DEB822)
    (tmp_path / "sources.list.d/c.list.save").write_text(f"deb {MIRROR} never main\n")
    assert [s.suite for s in read_sources(tmp_path)] == ["a", "bookworm", "bookworm-updates"]


def test_newer_suites_of_the_same_archive_are_added_on_debian():
    sources = parse_deb822(DEB822)
    found = suites_for(sources, DEBIAN)
    assert [s.suite for s in found] == ["bookworm", "trixie", "forky", "sid"]
    assert {s.uri for s in found} == {MIRROR}
    assert {s.components for s in found} == {("main",)}


def test_elsewhere_only_what_apt_has_is_used():
    ubuntu = System("ubuntu", ("debian",), "noble")
    sources = [
        Source(MIRROR, "noble", ("main", "universe", "multiverse")),
        Source(MIRROR, "noble-updates", ("main",)),
        Source("https://other.invalid", "stable", ("extra",)),
    ]
    assert [(s.suite, s.components) for s in suites_for(sources, ubuntu)] == [
        ("noble", ("main", "universe")),
        ("noble-updates", ("main",)),
    ]


def test_no_main_archive_is_a_clear_error():
    with pytest.raises(CannotRun, match="no source for bookworm"):
        archive_of([Source("https://other.invalid", "nodistro", ("main",))], DEBIAN)


def test_os_release(tmp_path: Path):
    file = tmp_path / "os-release"
    file.write_text('ID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_CODENAME=x\n')
    assert read_system(file) == System("linuxmint", ("ubuntu", "debian"), "x")
    assert read_system(file).debian_like
    assert not read_system(tmp_path / "none").debian_like


def test_of_apts_settings_only_harmless_ones_are_handed_on():
    dump = (
        'Acquire::http::Proxy "http://proxy.invalid:3128";\n'
        'Acquire::http::Proxy::mirror.invalid "DIRECT";\n'
        'Acquire::https::CaInfo "/etc/x.pem";\n'
        'Acquire::Check-Valid-Until "false";\n'
        'Acquire::AllowInsecureRepositories "1";\n'
        'Acquire::http::Timeout "";\n'
        'APT::Architecture "amd64";\n'
    )
    assert apt_settings.parse_dump(dump) == [
        'Acquire::http::Proxy "http://proxy.invalid:3128";',
        'Acquire::http::Proxy::mirror.invalid "DIRECT";',
        'Acquire::Check-Valid-Until "false";',
    ]
