"""What of the host's settings reaches a build, and what does not."""

import os
import stat
import tomllib

import pytest

from rebake.engine import ca, host_settings

CARGO = """
[build]
rustc-wrapper = "/usr/bin/sccache"
[http]
cainfo = "/etc/corp.pem"
timeout = 60
proxy = "http://proxy.invalid:3128"
[source.crates-io]
replace-with = "corp"
[source.corp]
registry = "sparse+https://crates.invalid/index/"
[source.vendored]
directory = "/home/u/vendor"
[registries."my corp"]
index = "sparse+https://other.invalid/"
credential-provider = "/usr/bin/helper"
[net]
git-fetch-with-cli = true
retry = 3
"""


def test_cargos_sources_are_handed_on_without_the_hosts_paths():
    document = tomllib.loads(host_settings.cargo_config(CARGO, {}))
    assert document == {
        "http": {"timeout": 60, "proxy": "http://proxy.invalid:3128"},
        "source": {
            "crates-io": {"replace-with": "corp"},
            "corp": {"registry": "sparse+https://crates.invalid/index/"},
        },
        "registries": {"my corp": {"index": "sparse+https://other.invalid/"}},
        "net": {"retry": 3},
    }


def test_a_source_replaced_by_a_folder_of_the_host_is_not_replaced():
    text = '[source.crates-io]\nreplace-with = "v"\n[source.v]\ndirectory = "vendor"\n'
    assert host_settings.cargo_config(text, {}) == ""


def test_cargos_registries_may_come_from_the_environment():
    text = host_settings.cargo_config(
        "", {"CARGO_REGISTRIES_MY_CORP_INDEX": "sparse+https://c.invalid/"}
    )
    assert tomllib.loads(text) == {
        "registries": {"my-corp": {"index": "sparse+https://c.invalid/"}}
    }


@pytest.mark.parametrize("value", ['a"b', "a\\b", "a\nb", "é", "\x7f"])
def test_written_toml_reads_back(value):
    text = host_settings.cargo_config("", {"CARGO_REGISTRIES_X_TOKEN": value})
    assert tomllib.loads(text)["registries"]["x"]["token"] == value


def test_npm_keeps_registries_and_logins_only():
    settings = {
        "registry": "https://npm.invalid/",
        "@corp:registry": "https://corp.invalid/",
        "//corp.invalid/:_authToken": "t",
        "cafile": "/etc/corp.pem",
        "prefix": "/home/u",
        "strict-ssl": "true",
    }
    assert host_settings.npmrc(settings, {"NPM_CONFIG_REGISTRY": "https://env.invalid/"}) == (
        "registry=https://env.invalid/\n"
        "@corp:registry=https://corp.invalid/\n"
        "//corp.invalid/:_authToken=t\n"
        "strict-ssl=true\n"
    )
    assert host_settings.npmrc({"fund": "false"}, {}) == ""


def test_npmrc_is_read_with_variables(tmp_path):
    file = tmp_path / ".npmrc"
    file.write_text("; c\n//h/:_authToken=${TOKEN}\nx = 'y'\n")
    settings = host_settings.read_npmrc(file, {"TOKEN": "s3cret"})
    assert settings == {"//h/:_authToken": "s3cret", "x": "y"}


def test_pip_keeps_its_index():
    text = "[global]\nindex-url = https://pypi.invalid/simple\ncert = /etc/x.pem\n"
    assert host_settings.pip_conf(text, {}) == (
        "[global]\nindex-url = https://pypi.invalid/simple\n\n"
    )
    assert host_settings.pip_conf("", {"PIP_CERT": "/x"}) == ""
    assert "https://e.invalid" in host_settings.pip_conf("", {"PIP_INDEX_URL": "https://e.invalid"})
    assert host_settings.pip_conf("not ini", {}) == ""


def test_apt_sources_name_the_images_keyring_and_suite(tmp_path):
    (tmp_path / "apt").mkdir()
    (tmp_path / "os-release").write_text("ID=debian\nVERSION_CODENAME=bookworm\n")
    (tmp_path / "apt/sources.list").write_text(
        "deb [signed-by=/home/u/k.gpg] https://m.invalid/debian bookworm main contrib\n"
    )
    assert host_settings.apt_sources_text(tmp_path) == (
        "Types: deb\nURIs: https://m.invalid/debian\nSuites: bookworm\nComponents: main contrib\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    )
    assert host_settings.apt_sources_text(tmp_path / "none") == ""


def test_all_files_are_written_for_the_user_alone_and_only_when_changed(tmp_path):
    folder = tmp_path / "x/settings"
    assert set(host_settings.write_files(folder, {"npmrc": "a\n"})) == set(host_settings.FILES)
    assert host_settings.write_files(folder, {"npmrc": "a\n"}) == []
    assert host_settings.write_files(folder, {}) == ["npmrc"]
    assert {f.name for f in folder.iterdir()} == set(host_settings.FILES)
    if os.name == "posix":
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(f.stat().st_mode) for f in folder.iterdir()} == {0o600}


def test_proxies_become_build_arguments_in_both_spellings_but_not_those_on_loopback():
    assert host_settings.proxy_build_args(
        {
            "https_proxy": "http://p.invalid:1",
            "HTTP_PROXY": "http://127.0.0.1:3128",
            "NO_PROXY": "localhost,.corp",
        }
    ) == {
        "HTTPS_PROXY": "http://p.invalid:1",
        "https_proxy": "http://p.invalid:1",
        "NO_PROXY": "localhost,.corp",
        "no_proxy": "localhost,.corp",
    }


def test_a_named_bundle_of_authorities_is_handed_on_with_nodes_extra_ones(tmp_path):
    bundle, extra = tmp_path / "b.pem", tmp_path / "e.pem"
    bundle.write_text("BUNDLE\n")
    extra.write_text("EXTRA\n")
    assert ca.bundle_text({"REQUESTS_CA_BUNDLE": str(bundle)}, tmp_path) == "BUNDLE\n"
    env = {"SSL_CERT_FILE": str(bundle), "NODE_EXTRA_CA_CERTS": str(extra)}
    assert ca.bundle_text(env, tmp_path) == "BUNDLE\nEXTRA\n"
    assert ca.bundle_text({"SSL_CERT_FILE": str(tmp_path / "gone")}, tmp_path) == ""


def test_the_systems_bundle_is_handed_on_when_authorities_were_added(tmp_path):
    (tmp_path / "etc/ssl/certs").mkdir(parents=True)
    (tmp_path / "etc/ssl/certs/ca-certificates.crt").write_text("SYSTEM\n")
    assert ca.bundle_text({}, tmp_path) == ""
    (tmp_path / "usr/local/share/ca-certificates").mkdir(parents=True)
    (tmp_path / "usr/local/share/ca-certificates/corp.crt").write_text("x")
    assert ca.bundle_text({}, tmp_path) == "SYSTEM\n"
