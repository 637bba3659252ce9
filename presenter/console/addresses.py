"""Where this machine is, and whether a phone in the room can reach it."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Mapping
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from pathlib import Path

LOOPBACK = "127.0.0.1"
# RFC 1918, and RFC 6598 for networks such as a phone's own hotspot.
LOCAL = [IPv4Network(one) for one in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")]
INSIDE = ("docker", "br-", "veth", "virbr")  # how the names of networks within this machine begin
CONTAINER = (".dockerenv", "run/.containerenv")  # files that only a container has
NO_CLOUD = ("", "none", "nocloud", "lxd", "fallback")  # what cloud-init calls a machine that is in no cloud


def check_local(address: str) -> str:
    """Return an address of a local network, in its usual notation.

    Raises ValueError for any other: the page is not encrypted and must not cross the Internet.
    """
    try:
        found = IPv4Address(address)
    except AddressValueError:
        raise ValueError(f"{address!r} is no IPv4 address. It must look like 192.168.1.20.") from None
    if not any(found in network for network in LOCAL):
        ranges = ", ".join(map(str, LOCAL))
        raise ValueError(f"{address} is in no local network. It must be in one of these: {ranges}.")
    return str(found)


def list_addresses() -> list[str]:
    """List this machine's addresses in local networks, the one that leads outwards first."""
    import psutil

    stats = psutil.net_if_stats()
    up = [name for name in stats if stats[name].isup and not name.startswith(INSIDE)]
    every = [one.address for name in up for one in psutil.net_if_addrs().get(name, [])]
    outward = _outward()
    return sorted(filter(_is_local, every), key=lambda address: address != outward)


def _is_local(address: str) -> bool:
    try:
        return bool(check_local(address))
    except ValueError:
        return False


def _outward() -> str:
    """Return the address from which this machine would send outwards; "" if there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(
                ("192.0.2.1", 9)
            )  # an address for documentation; connecting a UDP socket sends nothing
        except OSError:
            return ""
        return probe.getsockname()[0]


def find_obstacle(
    *, root: Path = Path("/"), environment: Mapping[str, str] = os.environ, release: str = ""
) -> str:
    """Return what kind of machine this is if a phone in the room can hardly reach it; "" for a laptop here.

    root: where to look for the signs of it
    release: of the kernel; "" for the running one
    """
    cloud = _text(root / "run/cloud-init/cloud-id").strip()
    if cloud not in NO_CLOUD:
        return f"a cloud instance ({cloud})"
    if "microsoft" in (release or platform.uname().release).lower():
        return "WSL, whose network Windows keeps to itself"
    if any((root / sign).exists() for sign in CONTAINER) or "KUBERNETES_SERVICE_HOST" in environment:
        return "a container"
    if "hypervisor" in _text(root / "proc/cpuinfo").split():
        return "a virtual machine, as in a cloud"
    client, _, server, *_ = (environment.get("SSH_CONNECTION", "") + " x x x").split()
    return "" if client == "x" or (_is_local(client) and _is_local(server)) else "reached over ssh"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def explain_obstacle(kind: str) -> str:
    """Return the sentence that stands in place of a code to scan.

    kind: as from `find_obstacle`
    """
    if kind:
        return f"This machine is {kind}: it has no address that a phone in the room can reach."
    return "This machine is in no local network: it has no address that a phone in the room can reach."


def write_tunnel(laptop: str, port: int) -> str:
    """Return the command that lets phones in through the presenter's laptop, to be typed there."""
    return f"ssh -N -L {laptop or 'LAPTOP'}:{port}:{LOOPBACK}:{port} USER@THIS-MACHINE"
