"""Endpoints and the lines that set a shell up for one."""

import shutil
import subprocess
from pathlib import Path

import pytest

from rebake.engine.endpoint import Endpoint, default_shell, shell_exports
from rebake.errors import UsageError

PRIVATE = Endpoint(
    "private",
    "unix:///home/a b/run/docker.sock",
    Path("/home/a b/programs/usr/bin/docker"),
    {"DOCKER_CONFIG": "/home/a b/client", "PATH": "/home/a b/bin:/usr/bin"},
)


def test_a_command_is_the_clients_path_and_the_words():
    command = PRIVATE.command("ps", "-q", timeout_s=5.0, env={"X": "1"})
    assert command.argv == ("/home/a b/programs/usr/bin/docker", "ps", "-q")
    assert command.timeout_s == 5.0
    assert command.env == {
        "DOCKER_HOST": "unix:///home/a b/run/docker.sock",
        "DOCKER_CONFIG": "/home/a b/client",
        "PATH": "/home/a b/bin:/usr/bin",
        "DOCKER_CONTEXT": None,
        "X": "1",
    }


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("posix", "export V='it'\\''s $HOME `x` \\ \"q\" 100%'"),
        ("fish", "set -gx V 'it\\'s $HOME `x` \\\\ \"q\" 100%';"),
        ("powershell", "$env:V = 'it''s $HOME `x` \\ \"q\" 100%'"),
    ],
)
def test_awkward_values_are_quoted(shell, line):
    endpoint = Endpoint(
        "default", "unix:///x", Path("docker"), {"V": 'it\'s $HOME `x` \\ "q" 100%'}
    )
    assert shell_exports(endpoint, shell).splitlines()[1] == line


def test_fish_takes_path_as_a_list():
    assert "set -gx PATH '/home/a b/bin' '/usr/bin';" in shell_exports(PRIVATE, "fish")


def test_cmd_doubles_percent_and_refuses_what_it_cannot_take():
    endpoint = Endpoint("default", "npipe:////./pipe/docker_engine", Path("docker"), {"V": "a%b&c"})
    assert shell_exports(endpoint, "cmd").splitlines()[1] == 'set "V=a%%b&c"'
    with pytest.raises(UsageError):
        shell_exports(Endpoint("default", "x", Path("docker"), {"V": 'a"b'}), "cmd")


@pytest.mark.parametrize(
    "value", ["plain", "it's", "a b", "$(touch x)", "`id`", 'q"q', "new\nline"]
)
@pytest.mark.skipif(shutil.which("sh") is None, reason="no POSIX shell here")
def test_a_real_shell_reads_back_what_was_exported(value):
    text = shell_exports(Endpoint("default", "h", Path("docker"), {"V": value}), "posix")
    done = subprocess.run(
        ["sh", "-c", f'{text}\nprintf %s "$V"'], capture_output=True, text=True, check=True
    )
    assert done.stdout == value


def test_an_unknown_shell_names_the_nearest():
    with pytest.raises(UsageError, match="unknown shell 'powershel'") as caught:
        shell_exports(PRIVATE, "powershel")
    assert "did you mean powershell?" in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "shell"), [({"SHELL": "/usr/bin/fish"}, "fish"), ({"SHELL": "/bin/zsh"}, "posix")]
)
def test_the_shell_is_guessed_from_the_environment(environ, shell):
    assert default_shell(environ) == shell
