"""Installs each package into a clean container, runs one job with `pgq-host dev`, and removes it again. Run by `make dist-try`.

Needs Docker and, unless --image names an image that has them, debootstrap: the container is Debian 12 with PostgreSQL, Python, Node and rpm, and no Rust.
It has no network. Prints the seconds of each step and what the package takes on disk; ends with 1 if anything is not as it should be.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
IMAGE = "pgq-host-clean:bookworm"
PACKAGES = "ca-certificates nodejs npm postgresql procps python3 python3-venv rpm systemd systemd-sysv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packages", type=Path, default=ROOT / "target/packages", help="where `make dist` put them [target/packages]")
    parser.add_argument("--plugin", type=Path, default=ROOT / "plugins-example/dist/hello.wasm", help="the plugin that runs the job [plugins-example/dist/hello.wasm]")
    parser.add_argument("--image", help="an image that has what is needed, instead of a new one")
    parser.add_argument("only", nargs="*", help="kinds of packages: archive, deb, rpm, wheel, npm [all]")
    options = parser.parse_args()
    for needed, target in ((options.packages / "SHA256SUMS", "dist"), (options.plugin, "plugins")):
        if not needed.is_file():
            sys.exit(f"{needed} is not there; `make {target}` makes it")
    image = options.image or clean_image()
    failed = []
    print("| package | install | start of `dev` to its first job done | remove | on disk |\n|---|---|---|---|---|")
    for kind in options.only or ["archive", "deb", "rpm", "wheel", "npm"]:
        told = run(image, options.packages, options.plugin, kind)
        if told is None:
            failed.append(kind)
            continue
        print(f"| {kind} | {told['install']:.1f} s | {told['job']:.1f} s | {told['remove']:.1f} s | {told['kilobytes'] / 1024:.1f} MB |", flush=True)
    if failed:
        sys.exit(f"not as it should be: {', '.join(failed)}")


def clean_image() -> str:
    if subprocess.run(["docker", "image", "inspect", IMAGE], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
        return IMAGE
    with tempfile.TemporaryDirectory() as folder:
        print("making a clean Debian: a minute or two", file=sys.stderr)
        root = Path(folder) / "root"
        subprocess.run(["debootstrap", "--variant=minbase", "bookworm", root], check=True, stdout=subprocess.DEVNULL)
        # debootstrap itself does not find all that these need.
        install = f"apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends {PACKAGES}"
        subprocess.run(["chroot", root, "sh", "-c", install], check=True, stdout=subprocess.DEVNULL)
        with subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE) as packed:
            subprocess.run(["docker", "import", "-", IMAGE], check=True, stdin=packed.stdout, stdout=subprocess.DEVNULL)
    return IMAGE


def run(image: str, packages: Path, plugin: Path, kind: str) -> dict[str, float] | None:
    command = ["docker", "run", "--rm", "--network", "none", "--init", "--volume", f"{packages.resolve()}:/packages:ro"]
    command += ["--volume", f"{plugin.resolve()}:/plugin/{plugin.name}:ro", "--volume", f"{HERE / 'try'}:/try:ro", image, "bash", "/try/run.sh", kind]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=600)
    if done.returncode != 0:
        print(f"{kind}: exit code {done.returncode}\n{done.stdout}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
