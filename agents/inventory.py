"""Facts about this machine, from the standard library and /proc alone. Everything is cleaned to one printable line."""

import os
import platform
import socket
from pathlib import Path

from agents.protection import list_users
from agents.protocol.codec import is_clean_text
from agents.protocol.messages import Inventory

_LONGEST = 200
_MOST_ADDRESSES = 32


def collect_inventory() -> Inventory:
    """Gather the inventory. May block (accounts, name service)."""
    return Inventory(
        host_name=host_name(),
        operating_system=clean_line(_operating_system()),
        kernel=clean_line(f"{platform.system()} {platform.release()}"),
        architecture=clean_line(platform.machine()),
        processor=clean_line(_processor()),
        processors=os.cpu_count() or 0,
        memory_bytes=_memory_bytes(),
        addresses=tuple(clean_line(address) for address in list_addresses()),
        users=list_users(),
    )


def host_name() -> str:
    """Name of this machine."""
    return clean_line(socket.gethostname()) or "unnamed"


def clean_line(text: str) -> str:
    """Replace what may not stand in a line of the wire and cut it to 200 characters."""
    cut = text.strip()[:_LONGEST]
    return "".join(character if is_clean_text(character) else "\N{REPLACEMENT CHARACTER}" for character in cut)


def list_addresses() -> list[str]:
    """List the addresses of this machine but loopback and link-local ones, at most 32."""
    found = _addresses_v4() + _addresses_v6()
    return list(dict.fromkeys(found))[:_MOST_ADDRESSES]


def _operating_system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return f"{platform.system()} {platform.release()}"


def _processor() -> str:
    for line in _lines("/proc/cpuinfo"):
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model"):
            return value.strip()
    return platform.processor()


def _memory_bytes() -> int:
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 0


def _addresses_v4() -> list[str]:
    found: list[str] = []
    last = ""
    for line in _lines("/proc/net/fib_trie"):
        word = line.strip()
        if word.startswith("|--"):
            last = word[3:].strip()
        elif word.startswith("/32 host LOCAL") and last and not last.startswith(("127.", "169.254.")):
            found.append(last)
    return found


def _addresses_v6() -> list[str]:
    found: list[str] = []
    for line in _lines("/proc/net/if_inet6"):
        raw = line.split()[0]
        address = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(raw))
        if address != "::1" and not address.startswith("fe80:"):
            found.append(address)
    return found


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
