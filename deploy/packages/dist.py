"""Every package of a release, of the binaries that are built: archive, Debian, RPM, wheel, npm, and the files that a container image takes.

Run by `make dist`, which builds the binaries. Prints what each weighs. The packages are the same, byte for byte, for the same binaries.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from sbom import sbom
from wheel.wheelfile import WheelFile

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LICENSES = ["LICENSE-APACHE", "LICENSE-MIT"]
SUMMARY = "Background jobs from PostgreSQL, run as sandboxed WebAssembly components"
HOMEPAGE = "https://github.com/pgq-host/pgq-host"
# What PyPI knows of a package; the page itself is the README.
WHEEL_METADATA = """Metadata-Version: 2.1
Name: pgq-host
Version: {version}
Summary: {summary}
Home-page: {homepage}
License: Apache-2.0 OR MIT
Requires-Python: >=3.8
Description-Content-Type: text/markdown

{readme}"""


@dataclass(frozen=True)
class Machine:
    """One kind of machine, as each kind of package calls it."""

    target: str
    deb: str
    npm: str

    @property
    def arch(self) -> str:
        return self.target.split("-")[0]


MACHINES = [Machine("x86_64-unknown-linux-gnu", "amd64", "x64"), Machine("aarch64-unknown-linux-gnu", "arm64", "arm64")]


@dataclass(frozen=True)
class Release:
    version: str
    # Seconds since 1970: the time of every file in every package.
    epoch: int
    out: Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target-dir", type=Path, default=ROOT / "target", help="where cargo built [target]")
    parser.add_argument("--out", type=Path, default=ROOT / "target/packages", help="where the packages go [target/packages]")
    options = parser.parse_args()
    epoch = int(subprocess.check_output(["git", "log", "-1", "--format=%ct"], cwd=ROOT))
    # wheel and nfpm take it from here.
    os.environ["SOURCE_DATE_EPOCH"] = str(epoch)
    shutil.rmtree(options.out, ignore_errors=True)
    options.out.mkdir(parents=True)
    release = Release(version(), epoch, options.out)
    built = [(machine, options.target_dir / machine.target / "dist/pgq-host") for machine in MACHINES]
    built = [(machine, binary) for machine, binary in built if binary.exists()]
    if not built:
        sys.exit("there is no binary; `make dist` builds them")
    words = Words.of(native(built))
    for machine, binary in built:
        stage = staged(release, machine, binary, words)
        (release.out / f"pgq-host-{release.version}-{machine.arch}-linux.cdx.json").write_bytes((stage / "doc/sbom.cdx.json").read_bytes())
        archive(release, machine, stage)
        for packager in ("deb", "rpm"):
            system_package(release, machine, stage, packager)
        wheel(release, machine, binary)
        image_files(release, machine, stage)
        npm_binary(release, machine, binary)
    npm_command(release, [machine for machine, _ in built])
    if len(built) == len(MACHINES):
        formula(release)
    packages = sorted(path for path in release.out.iterdir() if path.is_file())
    sums = "".join(f"{sha256(path)}  {path.name}\n" for path in packages)
    (release.out / "SHA256SUMS").write_text(sums, encoding="utf-8")
    for path in [*(binary for _, binary in built), *packages]:
        print(f"{path.stat().st_size / 1e6:6.1f} MB  {path.name if path in packages else path.relative_to(options.target_dir)}")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def version() -> str:
    with (ROOT / "Cargo.toml").open("rb") as file:
        return tomllib.load(file)["workspace"]["package"]["version"]


def native(built: list[tuple[Machine, Path]]) -> Path:
    """A binary that runs here."""
    for machine, binary in built:
        if machine.arch == os.uname().machine:
            return binary
    sys.exit(f"there is no binary for {os.uname().machine}, which would write the manual and the completions")


@dataclass(frozen=True)
class Words:
    """What the binary says of itself: completions of shells, and its manual."""

    completions: dict[str, bytes]
    manual: dict[str, bytes]

    @staticmethod
    def of(binary: Path) -> "Words":
        shells = {"bash": "pgq-host.bash", "zsh": "_pgq-host", "fish": "pgq-host.fish"}
        completions = {name: subprocess.check_output([binary, "completions", shell]) for shell, name in shells.items()}
        folder = ROOT / "target/packages-man"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        subprocess.run([binary, "man", "--out", folder], check=True, stdout=subprocess.DEVNULL)
        return Words(completions, {page.name: page.read_bytes() for page in sorted(folder.iterdir())})


def staged(release: Release, machine: Machine, binary: Path, words: Words) -> Path:
    """The files of a package in a folder of their own."""
    stage = release.out / "stage" / machine.arch
    (stage / "bin").mkdir(parents=True)
    shutil.copy(binary, stage / "bin/pgq-host")
    (stage / "bin/pgq-host").chmod(0o755)
    for folder in ("completions", "man", "doc", "systemd"):
        (stage / folder).mkdir()
    for name, text in words.completions.items():
        (stage / "completions" / name).write_bytes(text)
    for name, page in words.manual.items():
        (stage / "man" / f"{name}.gz").write_bytes(gzip.compress(page, mtime=0))
    for name in ["README.md", "CHANGELOG.md", *LICENSES]:
        shutil.copy(ROOT / name, stage / "doc" / name)
    (stage / "doc/sbom.cdx.json").write_text(sbom(machine.target, sha256(binary)), encoding="utf-8")
    for unit in sorted((ROOT / "deploy/systemd").glob("*.service")):
        # Packages own /usr, and leave /usr/local to others.
        text = unit.read_text(encoding="utf-8").replace("/usr/local/bin/", "/usr/bin/")
        text = re.sub(r"How to install, roll out and back: README.md\s*(#\s*)?beside this file\.", f"How to roll out and back: {HOMEPAGE}/tree/main/deploy/systemd", text)
        (stage / "systemd" / unit.name).write_text(text, encoding="utf-8")
    for path in stage.rglob("*"):
        if path.is_file() and path.parent.name != "bin":
            path.chmod(0o644)
        os.utime(path, (release.epoch, release.epoch))
    return stage


def archive(release: Release, machine: Machine, stage: Path) -> None:
    name = f"pgq-host-{release.version}-{machine.arch}-linux"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        files = {"pgq-host": stage / "bin/pgq-host"}
        files |= {f"{folder}/{path.name}": path for folder in ("completions", "man", "systemd") for path in (stage / folder).iterdir()}
        files |= {path.name: path for path in (stage / "doc").iterdir()}
        for inside, path in sorted(files.items()):
            entry = tar.gettarinfo(path, f"{name}/{inside}")
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = "root"
            entry.mtime = release.epoch
            with path.open("rb") as file:
                tar.addfile(entry, file)
    (release.out / f"{name}.tar.gz").write_bytes(gzip.compress(packed.getvalue(), 9, mtime=0))


def system_package(release: Release, machine: Machine, stage: Path, packager: str) -> None:
    environment = {**os.environ, "VERSION": release.version, "ARCH": machine.deb, "STAGE": str(stage)}
    # nfpm looks up files from where it runs, and expands only some of its fields by itself.
    config = (HERE / "nfpm.yaml").read_text(encoding="utf-8")
    for name in ("VERSION", "ARCH", "STAGE"):
        config = config.replace(f"${{{name}}}", environment[name])
    filled = stage.parent / f"nfpm-{machine.arch}.yaml"
    filled.write_text(config, encoding="utf-8")
    command = [Path(sys.executable).parent / "nfpm", "package", "--config", filled, "--packager", packager, "--target", release.out]
    subprocess.run(command, check=True, cwd=HERE, env=environment, stdout=subprocess.DEVNULL)


def wheel(release: Release, machine: Machine, binary: Path) -> None:
    """The binary as a script of Python's: `pip install pgq-host`, `uvx pgq-host`."""
    tag = f"py3-none-manylinux_2_28_{machine.arch}"
    name = f"pgq_host-{release.version}"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    metadata = WHEEL_METADATA.format(version=release.version, summary=SUMMARY, homepage=HOMEPAGE, readme=readme)
    with WheelFile(release.out / f"{name}-{tag}.whl", "w") as file:
        file.write(str(binary), f"{name}.data/scripts/pgq-host")
        for license in LICENSES:
            file.write(str(ROOT / license), f"{name}.dist-info/licenses/{license}")
        file.writestr(f"{name}.dist-info/METADATA", metadata)
        file.writestr(f"{name}.dist-info/WHEEL", f"Wheel-Version: 1.0\nGenerator: pgq-host\nRoot-Is-Purelib: false\nTag: {tag}\n")


def image_files(release: Release, machine: Machine, stage: Path) -> None:
    """What deploy/docker/release.Dockerfile copies, by the name that Docker has for the machine."""
    root = release.out / "image" / machine.deb
    for folder in ("usr/bin", "usr/share/doc/pgq-host", "plugins", "etc/pgq-host"):
        (root / folder).mkdir(parents=True)
    shutil.copy2(stage / "bin/pgq-host", root / "usr/bin/pgq-host")
    for name in ["sbom.cdx.json", *LICENSES]:
        shutil.copy2(stage / "doc" / name, root / "usr/share/doc/pgq-host" / name)
    (release.out / "image/empty").mkdir(exist_ok=True)


def npm_binary(release: Release, machine: Machine, binary: Path) -> None:
    manifest = {"name": f"@pgq-host/linux-{machine.npm}", "os": ["linux"], "cpu": [machine.npm], "libc": ["glibc"], "files": ["bin"]}
    npm_package(release, manifest, {"bin/pgq-host": binary})


def npm_command(release: Release, machines: list[Machine]) -> None:
    """`npx pgq-host`: npm installs the package of this machine along with it."""
    binaries = {f"@pgq-host/linux-{machine.npm}": release.version for machine in machines}
    manifest = {"name": "pgq-host", "bin": {"pgq-host": "bin/pgq-host.js"}, "files": ["bin"], "optionalDependencies": binaries, "engines": {"node": ">=18"}}
    npm_package(release, manifest, {"bin/pgq-host.js": HERE / "npm/pgq-host.js"})


def formula(release: Release) -> None:
    """Homebrew's, with the digests of the archives."""
    text = (ROOT / "deploy/homebrew/pgq-host.rb.in").read_text(encoding="utf-8").replace("@VERSION@", release.version)
    for machine in MACHINES:
        text = text.replace(f"@{machine.arch.upper()}@", sha256(release.out / f"pgq-host-{release.version}-{machine.arch}-linux.tar.gz"))
    text = re.sub(r"^# Made by.*?\. On macOS", "# On macOS", text)
    (release.out / "pgq-host.rb").write_text(text, encoding="utf-8")


def npm_package(release: Release, manifest: dict[str, object], files: dict[str, Path]) -> None:
    folder = release.out / "stage/npm" / str(manifest["name"])
    for inside, path in {**files, **{name: ROOT / name for name in ["README.md", *LICENSES]}}.items():
        (folder / inside).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / inside)
        (folder / inside).chmod(0o755 if inside.startswith("bin/") else 0o644)
    common = {"version": release.version, "description": SUMMARY, "license": "Apache-2.0 OR MIT", "repository": {"type": "git", "url": f"git+{HOMEPAGE}.git"}}
    (folder / "package.json").write_text(json.dumps({**manifest, **common}, indent=2) + "\n", encoding="utf-8")
    subprocess.run(["npm", "pack", folder, "--silent"], check=True, cwd=release.out, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
