"""Choosing packages: versions compared as dpkg does, binaries that run with this C library."""

import json
import os
import shutil
import subprocess
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebake import process
from rebake.engine import apt_sources, packages
from rebake.engine.apt_sources import Source
from rebake.engine.packages import (
    Archive,
    apt_config,
    choose,
    compare,
    parse_depends,
    parse_packages,
    runs_with,
)

SHOW = """\
Package: docker.io
Version: 28.5.2+dfsg4-5
Installed-Size: 80705
Depends: debconf (>= 0.5) | debconf-2.0, libc6 (>= 2.34), libsystemd0, runc (>= 1.0.0~rc8~)
Description: a
 b
Filename: pool/main/d/docker.io/docker.io_28.5.2+dfsg4-5_amd64.deb
Size: 19311940
SHA256: aa

Package: runc
Version: 1.3.6+ds1-1
Depends: libc6 (>= 2.38), libseccomp2 (>= 2.5.0)
Filename: pool/r/runc_1.3.6+ds1-1_amd64.deb
Size: 3
SHA256: bb

Package: runc
Version: 1.1.5+ds1-1+deb12u1
Depends: libc6 (>= 2.34), libseccomp2 (= 1:2.5.4-1)
Filename: pool/r/runc_1.1.5+ds1-1+deb12u1_amd64.deb
Size: 2
SHA256: cc

Package: libseccomp2
Version: 1:2.6.1-1
Filename: pool/l/libseccomp2_2.6.1-1_amd64.deb

Package: libseccomp2
Version: 1:2.5.4-1
Filename: pool/l/libseccomp2_2.5.4-1_amd64.deb

Package: libsystemd0
Version: 252
Filename: pool/l/libsystemd0_252_amd64.deb
"""


def known():
    packages = {}
    for package in parse_packages(SHOW):
        packages.setdefault(package.name, []).append(package)
    return packages


@pytest.mark.parametrize(
    ("smaller", "greater"),
    [
        ("1.0~rc1", "1.0"),
        ("1.0", "1.0-1"),
        ("1.9", "1.10"),
        ("9", "1:0"),
        ("1.0a", "1.0+"),
        ("2.36-9+deb12u14", "2.41-12+deb13u4"),
        ("1.1.15+ds1-2", "1.1.15+ds1-2+b4"),
    ],
)
def test_versions_compare_as_in_debian_policy(smaller, greater):
    assert compare(smaller, greater) < 0 < compare(greater, smaller)
    assert compare(smaller, smaller) == 0


# Made of parts: to make them from a pattern takes ten times as long.
VERSIONS = st.builds(
    "{}{}{}".format,
    st.sampled_from("0123456789"),
    st.text(st.sampled_from("0123456789abc.+~"), max_size=5),
    st.just("")
    | st.text(st.sampled_from("0123456789ab+~"), min_size=1, max_size=3).map("-{}".format),
)


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="dpkg is the judge")
@settings(max_examples=60, deadline=None)
@given(VERSIONS, VERSIONS)
def test_versions_compare_as_dpkg_does(one, other):
    ours = compare(one, other)
    operator = "lt" if ours < 0 else "gt" if ours > 0 else "eq"  # exactly one of them is true
    words = ["dpkg", "--compare-versions", one, operator, other]
    assert subprocess.run(words, check=False).returncode == 0


def test_dependencies_are_read_with_alternatives_and_versions():
    assert parse_depends("a (>= 1) | b:any, c [amd64]") == (
        (("a", ">=", "1"), ("b:any", "", "")),
        (("c", "", ""),),
    )


def test_a_package_runs_only_with_a_c_library_that_is_new_enough():
    new, old = known()["runc"]
    assert not runs_with(new, "2.36")
    assert runs_with(old, "2.36")
    assert runs_with(new, "2.41")


def test_the_newest_version_that_runs_is_chosen_with_what_it_needs_exactly():
    chosen, missing = choose(known(), ["docker.io"], "2.36")
    assert not missing
    assert [(p.name, p.version) for p in chosen] == [
        ("docker.io", "28.5.2+dfsg4-5"),
        ("libseccomp2", "1:2.5.4-1"),
        ("libsystemd0", "252"),
        ("runc", "1.1.5+ds1-1+deb12u1"),
    ]


def test_with_a_newer_c_library_the_newest_is_chosen():
    chosen, _ = choose(known(), ["runc"], "2.41")
    assert [(p.name, p.version) for p in chosen] == [
        ("libseccomp2", "1:2.6.1-1"),
        ("runc", "1.3.6+ds1-1"),
    ]


def test_what_is_not_known_yet_is_named():
    assert choose({}, ["docker.io"], "2.36") == ((), {"docker.io"})
    assert choose(known(), ["runc"], "2.17")[1] == {"runc"}


def test_the_file_name_is_the_one_that_apt_gives():
    assert known()["libseccomp2"][0].file_name == "libseccomp2_1%3a2.6.1-1_amd64.deb"


def test_apt_works_on_its_own_root_and_without_the_systems_hooks(tmp_path):
    archive = Archive(tmp_path, ())
    command = archive.apt("apt-get", "update")
    assert command.argv == ("apt-get", "-q", "-c", str(tmp_path / "apt.conf"), "update")
    text = apt_config(tmp_path)
    for line in (
        f'Dir::Etc::sourceparts "{tmp_path}/sources";',
        f'Dir::State::lists "{tmp_path}/lists";',
        f'Dir::State::status "{tmp_path}/status";',
        f'Dir::Cache "{tmp_path}/cache";',
        "#clear APT::Update::Post-Invoke;",
        "#clear DPkg::Post-Invoke;",
    ):
        assert line in text.splitlines()
    assert "nsecure" not in text


@pytest.fixture
def updates(tmp_path, monkeypatch):
    """The `apt-get update`s that ran; each one fetches the lists of the suites in `lists`."""
    ran = []

    def run(command):
        ran.append(command.argv)
        for suite in ("one", "two"):
            (tmp_path / f"lists/host_dists_{suite}_InRelease").touch()
        return process.Outcome(command.argv, 0, "", "", 0.1)

    monkeypatch.setattr(process, "run", run)
    return ran


def sources(*suites):
    return [Source("https://host/debian", suite, ("main",)) for suite in suites]


def test_lists_that_were_just_fetched_are_not_fetched_again(tmp_path, updates):
    first = packages.open_archive(tmp_path, sources("one", "two"), lambda _: None)
    assert packages.open_archive(tmp_path, sources("one", "two"), pytest.fail) == first
    assert len(updates) == 1


@pytest.mark.parametrize("change", ["other sources", "long ago", "a list is gone", "the future"])
def test_otherwise_they_are(tmp_path, updates, change):
    packages.open_archive(tmp_path, sources("one", "two"), lambda _: None)
    if change in {"long ago", "the future"}:
        at = time.time() + (-3600 if change == "long ago" else 3600)
        os.utime(tmp_path / "fetched.json", (at, at))
    if change == "a list is gone":
        (tmp_path / "lists/host_dists_two_InRelease").unlink()
    wanted = sources("one") if change == "other sources" else sources("one", "two")
    packages.open_archive(tmp_path, wanted, lambda _: None)
    assert len(updates) == 2


def test_a_newer_suites_keyring_is_found_again(tmp_path, updates):
    keyring = tmp_path / "keyring.gpg"
    keyring.touch()
    (tmp_path / "fetched.json").write_text(
        json.dumps({"asked": apt_sources.render(sources("one")), "keyring": str(keyring)})
    )
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/host_dists_one_InRelease").touch()
    found = packages.open_archive(tmp_path, sources("one"), pytest.fail)
    assert [source.signed_by for source in found.sources] == [str(keyring)]
    keyring.unlink()
    packages.open_archive(tmp_path, sources("one"), lambda _: None)
    assert len(updates) == 1
