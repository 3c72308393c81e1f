"""Installs each package into a clean container, runs one job with `pgq-host dev`, and removes it again. Run by `make dist-try`.

Then the service of the Debian package under systemd, through an update and a purge; and the image, without a right to write.

Needs Docker and, unless --image names an image that has them, debootstrap: the container is Debian 12 with PostgreSQL, Python, Node and rpm, and no Rust.
Another machine's packages (--arch) are tried by emulation, where binfmt_misc knows how (Debian: qemu-user-static).
The containers have no network. Prints the seconds of each step and what the package takes on disk; ends with 1 if anything is not as it should be.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
NATIVE = MACHINES[os.uname().machine]
PACKAGES = "ca-certificates nodejs npm postgresql procps python3 python3-venv rpm systemd systemd-sysv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packages", type=Path, default=ROOT / "target/packages", help="where `make dist` put them [target/packages]")
    parser.add_argument("--plugin", type=Path, default=ROOT / "plugins-example/dist/hello.wasm", help="the plugin that runs the job [plugins-example/dist/hello.wasm]")
    parser.add_argument("--arch", choices=sorted(MACHINES.values()), default=NATIVE, help=f"whose packages: amd64 or arm64 [{NATIVE}]")
    parser.add_argument("--image", help="an image that has what is needed, instead of a new one")
    parser.add_argument("only", nargs="*", help="archive, deb, rpm, wheel, npm, service, image [all]")
    options = parser.parse_args()
    for needed, target in ((options.packages / "SHA256SUMS", "dist"), (options.plugin, "plugins")):
        if not needed.is_file():
            sys.exit(f"{needed} is not there; `make {target}` makes it")
    image = options.image or clean_image(options.arch)
    wanted = options.only or [*PACKAGE_KINDS, *OTHERS]
    failed = [kind for kind, test in OTHERS.items() if kind in wanted and not test(image, options.packages, options.plugin)]
    kinds = [kind for kind in PACKAGE_KINDS if kind in wanted]
    if kinds:
        print("| package | install | start of `dev` to its first job done | remove | on disk |\n|---|---|---|---|---|")
    for kind in kinds:
        told = run(image, options.packages, options.plugin, kind)
        if told is None:
            failed.append(kind)
            continue
        print(f"| {kind} | {told['install']:.1f} s | {told['job']:.1f} s | {told['remove']:.1f} s | {told['kilobytes'] / 1024:.1f} MB |", flush=True)
    if failed:
        sys.exit(f"not as it should be: {', '.join(failed)}")


def clean_image(arch: str) -> str:
    image = f"pgq-host-clean:bookworm-{arch}"
    if subprocess.run(["docker", "image", "inspect", image], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
        return image
    with tempfile.TemporaryDirectory() as folder:
        print("making a clean Debian: a minute or two", file=sys.stderr)
        root = Path(folder) / "root"
        subprocess.run(["debootstrap", f"--arch={arch}", "--variant=minbase", "bookworm", root], check=True, stdout=subprocess.DEVNULL)
        # debootstrap itself does not find all that these need.
        install = f"apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends {PACKAGES}"
        subprocess.run(["chroot", root, "sh", "-c", install], check=True, stdout=subprocess.DEVNULL)
        with subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE) as packed:
            subprocess.run(["docker", "import", "-", image], check=True, stdin=packed.stdout, stdout=subprocess.DEVNULL)
    return image


def volumes(packages: Path, plugin: Path) -> list[str]:
    mounted = {packages.resolve(): "/packages", plugin.resolve(): f"/plugin/{plugin.name}", HERE / "try": "/try"}
    return [word for path, inside in mounted.items() for word in ("--volume", f"{path}:{inside}:ro")]


def run(image: str, packages: Path, plugin: Path, kind: str) -> dict[str, float] | None:
    command = ["docker", "run", "--rm", "--network", "none", "--init", *volumes(packages, plugin), image, "bash", "/try/run.sh", kind]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=1_800)
    if done.returncode != 0:
        print(f"{kind}: exit code {done.returncode}\n{done.stdout}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def service(image: str, packages: Path, plugin: Path) -> bool:
    """systemd is the first process, and takes some rights for it."""
    command = ["--cap-add", "SYS_ADMIN", "--cap-add", "SYS_PTRACE", "--security-opt", "seccomp=unconfined", "--network", "none", "--tmpfs", "/run", "--tmpfs", "/run/lock"]
    command += ["--env", "container=docker", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup", *volumes(packages, plugin), image, "/lib/systemd/systemd"]
    container = started(command)
    try:
        until = time.monotonic() + 120
        while read(["docker", "exec", container, "systemctl", "is-system-running"]) not in ("running", "degraded"):
            if time.monotonic() > until or not runs(container):
                print("systemd does not start", file=sys.stderr)
                return False
        done = subprocess.run(["docker", "exec", container, "bash", "/try/systemd.sh"], timeout=600)
        return done.returncode == 0
    finally:
        subprocess.run(["docker", "rm", "--force", container], stdout=subprocess.DEVNULL)


def image(base: str, packages: Path, plugin: Path) -> bool:
    """Its root is read-only, its user is nobody, and it has no capability. The database is in a container of its own."""
    # What Docker calls the platform of an imported image is this machine's, whatever is in it.
    machine = read(["docker", "run", "--rm", base, "dpkg", "--print-architecture"])
    build = ["docker", "build", "--quiet", "--file", ROOT / "deploy/docker/release.Dockerfile", "--build-arg", f"BASE_IMAGE={base}"]
    build += ["--build-arg", f"TARGETARCH={machine}", "--tag", "pgq-host-tried", packages / "image"]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    start = "pg_ctlcluster 15 main start && setpriv --reuid postgres --init-groups --regid postgres psql -c \"ALTER ROLE postgres PASSWORD 'secret'\" && exec sleep infinity"
    containers = [started(["--network", "none", base, "bash", "-c", start])]
    try:
        limits = ["--network", f"container:{containers[0]}", "--read-only", "--tmpfs", "/var/cache/pgq-host:uid=10001,mode=700", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
        limits += ["--env", "PGDSN=postgresql://postgres:secret@127.0.0.1/postgres", "--volume", f"{plugin.resolve()}:/plugins/{plugin.name}:ro", "pgq-host-tried"]
        while subprocess.run(["docker", "run", "--rm", *limits, "upgrade"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
            if not runs(containers[0]):
                return False
        containers.append(started(limits))
        inside = ["docker", "exec", containers[1], "/usr/bin/pgq-host"]
        job = "".join(filter(str.isdigit, read([*inside, "queue", "hello", '{"name": "Ada"}'])))
        while '"successful"' not in read([*inside, "job", job, "--json"]):
            if not runs(containers[1]):
                return False
        subprocess.run(["docker", "stop", "--time", "45", containers[1]], check=True, stdout=subprocess.DEVNULL)
        code = read(["docker", "inspect", "--format", "{{.State.ExitCode}}", containers[1]])
        print(f"image: job {job} is done as user {read(['docker', 'inspect', '--format', '{{.Config.User}}', containers[1]])}, exit code {code}", file=sys.stderr)
        return code == "0"
    finally:
        subprocess.run(["docker", "rm", "--force", *containers], stdout=subprocess.DEVNULL)


def started(words: list[str]) -> str:
    return subprocess.check_output(["docker", "run", "--detach", *words], text=True).strip()


def runs(container: str) -> bool:
    """Says what it has printed if it does not."""
    if read(["docker", "inspect", "--format", "{{.State.Running}}", container]) == "true":
        return True
    print(read(["docker", "logs", container], errors=True), file=sys.stderr)
    return False


def read(command: list[object], errors: bool = False) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT if errors else subprocess.DEVNULL, text=True).stdout.strip()


PACKAGE_KINDS = ["archive", "deb", "rpm", "wheel", "npm"]
OTHERS = {"service": service, "image": image}

if __name__ == "__main__":
    main()
