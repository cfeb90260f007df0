"""Refresh the third-party files of the pages under `web/static/vendor/`.

Every package is pinned in `vendor.lock.json` by version and integrity hash, is fetched with the ordinary npm client
and copied unmodified, together with its licence. The icons are the one exception: the named ones are put together
into a single sprite, so that a page loads one file instead of forty.

    python scripts/vendor.py             fetch, compare with the lock, copy
    python scripts/vendor.py --relock    the same, but write new hashes into the lock (after raising a version by hand)
    python scripts/vendor.py --check     compare the files in the repository with the lock, without a network

Nothing here runs when the program runs.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

VENDOR = Path(__file__).resolve().parent.parent / "web" / "static" / "vendor"
LOCK = VENDOR / "vendor.lock.json"
SPRITE = "tabler-icons/sprite.svg"
ICON_PACKAGE = "@tabler/icons"
_OUTER_SVG = re.compile(r"<svg[^>]*>(?P<inner>.*)</svg>", re.DOTALL)


class VendorError(Exception):
    """A file is not what the lock says, or a package could not be fetched."""


def fetch_package(name: str, version: str, folder: Path) -> Path:
    """Download one package archive with npm and return its path."""
    done = subprocess.run(
        ["npm", "pack", f"{name}@{version}", "--json", "--pack-destination", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode != 0:
        raise VendorError(f"npm pack {name}@{version} failed: {done.stderr.strip()}")
    answer = json.loads(done.stdout)
    entry = answer[0] if isinstance(answer, list) else next(iter(answer.values()))
    return folder / Path(entry["filename"].replace("/", "-").replace("@", "")).name


def integrity_of(archive: Path) -> str:
    """Return the hash of an archive in the form the registry publishes (`sha512-` and base64)."""
    return "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode("ascii")


def read_member(archive: tarfile.TarFile, path: str) -> bytes:
    """Return one file of a package; a missing one is an error."""
    try:
        member = archive.extractfile(f"package/{path}")
    except KeyError as exc:
        raise VendorError(f"{archive.name}: no file {path}") from exc
    if member is None:
        raise VendorError(f"{archive.name}: {path} is not a file")
    return member.read()


def build_sprite(archive: tarfile.TarFile, icons: Iterable[str]) -> bytes:
    """Put the named outline icons into one SVG of symbols, each with its name as id."""
    symbols: list[str] = []
    for icon in sorted(icons):
        source = read_member(archive, f"icons/outline/{icon}.svg").decode("utf-8")
        match = _OUTER_SVG.search(source)
        if match is None:
            raise VendorError(f"icon {icon} has an unknown form")
        inner = "".join(line.strip() for line in match["inner"].splitlines())
        symbols.append(f'<symbol id="{icon}" viewBox="0 0 24 24">{inner}</symbol>')
    head = '<svg xmlns="http://www.w3.org/2000/svg">\n<!-- Tabler Icons, MIT licence, see LICENSE beside this file -->\n'
    return (head + "\n".join(symbols) + "\n</svg>\n").encode("utf-8")


def collect_files(lock: dict[str, Any], *, relock: bool) -> dict[str, bytes]:
    """Fetch every package of the lock and return the files to write, by path under the vendor folder."""
    found: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        for package in lock["packages"]:
            path = fetch_package(package["name"], package["version"], Path(folder))
            integrity = integrity_of(path)
            if relock:
                package["integrity"] = integrity
            elif integrity != package["integrity"]:
                raise VendorError(f"{package['name']}@{package['version']}: the archive does not match the lock")
            with tarfile.open(path) as archive:
                for source, target in package["files"].items():
                    found[f"{package['folder']}/{target}"] = read_member(archive, source)
                if package["name"] == ICON_PACKAGE:
                    found[SPRITE] = build_sprite(archive, lock["icons"])
            print(f"{package['name']} {package['version']}")
    return found


def list_faults(lock: dict[str, Any]) -> list[str]:
    """Compare the files in the repository with the lock; return one sentence for each difference."""
    faults: list[str] = []
    for name, expected in lock["files"].items():
        path = VENDOR / name
        if not path.is_file():
            faults.append(f"{name} is missing")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            faults.append(f"{name} was changed")
    known = {*lock["files"], LOCK.name, *lock.get("kept", [])}
    for path in sorted(VENDOR.rglob("*")):
        name = path.relative_to(VENDOR).as_posix()
        if path.is_file() and name not in known:
            faults.append(f"{name} is not in the lock")
    return faults


def write_files(found: dict[str, bytes]) -> None:
    """Write the collected files below the vendor folder."""
    for name, content in found.items():
        path = VENDOR / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def main() -> int:
    """Run the command line described in the module's docstring."""
    parser = argparse.ArgumentParser(description="Refresh or check the third-party files of the pages.")
    parser.add_argument("--relock", action="store_true", help="write new hashes into the lock")
    parser.add_argument("--check", action="store_true", help="compare the repository with the lock, no network")
    options = parser.parse_args()
    lock = json.loads(LOCK.read_text("utf-8"))
    try:
        if not options.check:
            found = collect_files(lock, relock=options.relock)
            hashes = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(found.items())}
            if options.relock:
                lock["files"] = hashes
                LOCK.write_text(json.dumps(lock, indent=2, ensure_ascii=False) + "\n", "utf-8")
            elif hashes != lock["files"]:
                raise VendorError("the files do not match the lock; use --relock after a wanted change")
            write_files(found)
    except VendorError as exc:
        print(f"vendor: {exc}", file=sys.stderr)
        return 1
    faults = list_faults(lock)
    for fault in faults:
        print(f"vendor: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
