"""The arm64 userland and the engines' wheels that run under qemu-aarch64; the machine's own packages stay untouched.

Packages are resolved by apt in a private state (architecture arm64), downloaded only, and unpacked with dpkg-deb:
no root, no chroot, no binfmt_misc. The mirror is the one in this machine's apt sources.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from ..runtime.errors import MissingToolError, ToolFailedError, UsageError
from ..runtime.files import sha256_file
from .build_once import Part, build_once, key_of
from .tools_needed import find_tool, run_tool

SUITE = "bookworm"
PACKAGES = ("python3-minimal", "python3", "libpython3-stdlib", "libstdc++6", "libgcc-s1", "zlib1g")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR_VARIABLE = "EDGEPRESS_DEBIAN_MIRROR"
PYTHON = "usr/bin/python3.11"

CONTAINER_HINT = "run in a debian:12 container, or name a Debian mirror in " + MIRROR_VARIABLE


@dataclass(frozen=True)
class Wheel:
    """One package of the guest; the platform tags under which its aarch64 wheel is published."""

    package: str
    version: str
    platforms: tuple[str, ...]


WHEELS = (
    Wheel("numpy", "1.26.4", ("manylinux_2_17_aarch64", "manylinux2014_aarch64")),
    Wheel("tflite-runtime", "2.14.0", ("manylinux_2_34_aarch64",)),
    Wheel("ai-edge-litert", "2.3.0", ("manylinux_2_27_aarch64",)),
    Wheel("onnxruntime", "1.32.0", ("manylinux_2_28_aarch64",)),
)
"""The versions of constraints.txt for Python 3.11 (a test compares)."""

_CLEARED = (
    "APT::Update::Pre-Invoke",
    "APT::Update::Post-Invoke",
    "APT::Update::Post-Invoke-Success",
)


def userland_folder(folder: Path) -> Path:
    """Where the userland is or will be; named by what it is made of."""
    return folder / f"userland-{key_of(SUITE, PACKAGES)}"


def site_folder(folder: Path) -> Path:
    """Where the engines are or will be; named by their versions."""
    return folder / f"site-{key_of([(w.package, w.version, w.platforms) for w in WHEELS])}"


def build_userland(folder: Path) -> Part:
    """`folder/userland-KEY/root`: Python 3.11 of Debian 12 for arm64.

    Raises:
        UsageError: not a Debian machine and no mirror named.
        MissingToolError, ToolFailedError: apt-get or dpkg-deb is missing or failed.
    """
    target = userland_folder(folder)

    def build(temporary: Path) -> dict[str, str]:
        apt = _PrivateApt(folder / "downloads" / f"apt-{SUITE}", debian_mirror())
        packages = apt.download(PACKAGES)
        unpack = find_tool("dpkg-deb")
        root = temporary / "root"
        root.mkdir()
        for package in packages:
            run_tool([unpack, "-x", package, root], f"unpacking {package.name}")
        if not (root / PYTHON).exists():
            raise ToolFailedError(f"the packages of {SUITE} hold no {PYTHON}", where=str(folder))
        facts = {package.name: sha256_file(package) for package in packages}
        shutil.rmtree(apt.folder, ignore_errors=True)
        return facts

    return build_once("arm64 userland", target, build)


def build_site(folder: Path) -> Part:
    """`folder/site-KEY`: numpy and the three engines for aarch64, unpacked.

    Raises:
        MissingToolError: this Python has no pip.
        ToolFailedError: pip could not download them.
    """
    target = site_folder(folder)

    def build(temporary: Path) -> dict[str, str]:
        downloads = folder / "downloads" / "wheels"
        facts: dict[str, str] = {}
        for wheel in WHEELS:
            file = _download(wheel, downloads)
            facts[file.name] = sha256_file(file)
            with zipfile.ZipFile(file) as archive:
                archive.extractall(temporary)
        shutil.rmtree(downloads, ignore_errors=True)
        return facts

    return build_once("aarch64 engines", target, build)


def _download(wheel: Wheel, folder: Path) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise MissingToolError(
            "this Python has no pip, which downloads the engines for aarch64",
            hint=f"{sys.executable} -m ensurepip, or apt-get install python3-pip",
        )
    stem = f"{wheel.package.replace('-', '_')}-{wheel.version}-"
    command: list[str | Path] = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "--python-version", "3.11"]
    command += ["--implementation", "cp", "--abi", "cp311", "-d", folder]
    for platform in wheel.platforms:
        command += ["--platform", platform]
    run_tool([*command, f"{wheel.package}=={wheel.version}"], f"downloading {wheel.package}")
    found = sorted(folder.glob(f"{stem}*.whl"))
    if not found:
        raise ToolFailedError(f"pip downloaded no wheel of {wheel.package}", where=str(folder))
    return found[0]


def debian_mirror() -> str:
    """The Debian archive this machine uses, asked of apt itself, or `EDGEPRESS_DEBIAN_MIRROR`.

    Raises:
        UsageError: not a Debian machine, or its sources name no archive; says what to do.
    """
    named = os.environ.get(MIRROR_VARIABLE, "").strip()
    if named:
        return named
    system = _os_release()
    if system.get("ID") != "debian":
        called = system.get("PRETTY_NAME", "this system")
        raise UsageError(
            f"the emulated userland is built from Debian packages, and this is {called}",
            hint=CONTAINER_HINT,
        )
    form = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    listing = run_tool(
        [find_tool("apt-get"), "indextargets", "--format", form], "reading apt's sources"
    )
    for line in listing.splitlines():
        words = line.split()
        if len(words) == 3 and words[2] == "main" and _is_release(words[1], system):
            return words[0]
    raise UsageError(
        "apt's sources name no Debian archive with a component main", hint=CONTAINER_HINT
    )


def _is_release(name: str, system: dict[str, str]) -> bool:
    return name in (SUITE, system.get("VERSION_CODENAME"), "stable", "oldstable", "testing", "sid")


def _os_release(path: Path = Path("/etc/os-release")) -> dict[str, str]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {key: value.strip("\"'") for key, _, value in pairs}


class _PrivateApt:
    """apt-get with its own state, cache and sources below `folder`; downloads resume."""

    def __init__(self, folder: Path, mirror: str):
        self.folder = folder
        for part in ("state/lists/partial", "cache/archives/partial", "dpkg"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / "dpkg/status").touch()
        signed = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
        (folder / "sources.list").write_text(f"deb {signed}{mirror} {SUITE} main\n")
        cleared = "".join(f"#clear {name};\n" for name in _CLEARED)
        (folder / "apt.conf").write_text(f'{cleared}APT::Sandbox::User "";\n')
        self.options = ["-c", str(folder / "apt.conf")]
        for name, value in {
            "APT::Architecture": "arm64",
            "APT::Architectures": "arm64",
            "APT::Install-Recommends": "false",
            "Acquire::Languages": "none",
            "APT::Update::Error-Mode": "any",
            "Dir::State": folder / "state",
            "Dir::State::status": folder / "dpkg/status",
            "Dir::Cache": folder / "cache",
            "Dir::Etc::sourcelist": folder / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
        }.items():
            self.options += ["-o", f"{name}={value}"]

    def download(self, packages: tuple[str, ...]) -> list[Path]:
        """The .deb files of the packages and all they depend on."""
        apt = [find_tool("apt-get"), *self.options]
        run_tool([*apt, "update"], "reading the package lists for arm64")
        run_tool(
            [*apt, "install", "-y", "--download-only", *packages], "downloading arm64 packages"
        )
        return sorted((self.folder / "cache/archives").glob("*.deb"))
