"""Where this machine is: local addresses, and what keeps a phone from reaching it."""

from __future__ import annotations

from pathlib import Path

import pytest

from presenter.console import addresses


@pytest.mark.parametrize("address", ["10.0.0.1", "172.31.9.9", "192.168.1.20", "100.64.0.3"])
def test_address_of_a_local_network_is_taken(address: str) -> None:
    assert addresses.check_local(address) == address


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "172.32.0.1", "127.0.0.1", "0.0.0.0", "169.254.1.1", "224.0.0.1", "192.0.2.2"]
)
def test_address_that_is_not_local_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=f"{address} is in no local network. It must be in one of these: 10"):
        addresses.check_local(address)


@pytest.mark.parametrize("address", ["", "my-laptop", "192.168.1", "192.168.1.20:80", "::1", "10.0.0.1; ls"])
def test_address_that_is_none_says_how_one_looks(address: str) -> None:
    with pytest.raises(ValueError, match=r"is no IPv4 address\. It must look like 192\.168\.1\.20"):
        addresses.check_local(address)


@pytest.mark.parametrize(
    ("files", "environment", "release", "said"),
    [
        ({"run/cloud-init/cloud-id": "digitalocean\n"}, {}, "6.8", "a cloud instance (digitalocean)"),
        ({"run/cloud-init/cloud-id": "nocloud\n"}, {}, "6.8", ""),
        ({"proc/cpuinfo": "flags\t: fpu hypervisor avx\n"}, {}, "6.8", "a virtual machine, as in a cloud"),
        ({".dockerenv": ""}, {}, "6.8", "a container"),
        ({}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "6.8", "a container"),
        ({}, {}, "5.15.167.4-microsoft-standard-WSL2", "WSL, whose network Windows keeps to itself"),
        ({}, {"SSH_CONNECTION": "203.0.113.9 5000 10.0.0.4 22"}, "6.8", "reached over ssh"),
        ({}, {"SSH_CONNECTION": "192.168.1.5 5000 192.168.1.20 22"}, "6.8", ""),
        ({"proc/cpuinfo": "flags\t: fpu avx\n"}, {}, "6.8", ""),
    ],
)
def test_machine_that_a_phone_hardly_reaches_is_recognised(
    tmp_path: Path, files: dict[str, str], environment: dict[str, str], release: str, said: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert addresses.find_obstacle(root=tmp_path, environment=environment, release=release) == said
