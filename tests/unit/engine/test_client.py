"""Reading what the engine says of containers."""

import json

from rebake.engine.client import PortInfo, parse_containers

INSPECT = [
    {
        "Id": "abc",
        "Name": "/p-api-1",
        "RestartCount": 0,
        "State": {"Status": "running", "ExitCode": 0, "Health": {"Status": "healthy"}},
        "Config": {
            "Image": "p-api:dev",
            "Labels": {
                "com.docker.compose.project": "p",
                "com.docker.compose.service": "api",
                "com.docker.compose.project.working_dir": "/w",
            },
        },
        "NetworkSettings": {
            "Ports": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "5174"}], "9/udp": None}
        },
    },
    {"Id": "d", "Name": "/x", "State": {"Status": "exited", "ExitCode": 3}, "Config": {}},
]


def test_containers_are_read_from_inspect():
    api, other = parse_containers(json.dumps(INSPECT))
    assert (api.name, api.service, api.project) == ("p-api-1", "api", "p")
    assert (api.state, api.health, api.exit_code) == ("running", "healthy", None)
    assert api.ports == (PortInfo(8080, "tcp", "127.0.0.1", 5174),)
    assert api.working_dir == "/w"
    assert (other.state, other.health, other.exit_code, other.ports) == ("exited", "", 3, ())


def test_nothing_is_read_from_nothing():
    assert parse_containers("") == parse_containers("[]") == parse_containers("{") == ()
