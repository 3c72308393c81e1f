"""Says what is missing before a release: in the change log, and of the contract with plugins. Run by `make release-check`.

That versions agree is checked by the tests.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    with (ROOT / "Cargo.toml").open("rb") as file:
        version = tomllib.load(file)["workspace"]["package"]["version"]
    problems = []
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(rf"^## \[?{re.escape(version)}\]? - \d{{4}}-\d\d-\d\d$", changes, re.MULTILINE):
        problems.append(f"CHANGELOG.md has no section '## {version} - YYYY-MM-DD'")
    problems += removed_from_contract()
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        sys.exit(1)
    print(f"{version} can be tagged")


def removed_from_contract() -> list[str]:
    """Lines of wit/ that were in the release before: a plugin may need each of them, so none may go or change."""
    tags = subprocess.run(["git", "tag", "--list", "v*", "--sort=-v:refname"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    if not tags:
        print("no release before this one: the contract has nothing to be compared with")
        return []
    problems = []
    for path in subprocess.check_output(["git", "ls-tree", "--name-only", f"{tags[0]}", "wit/"], cwd=ROOT, text=True).split():
        if not path.endswith(".wit"):
            continue
        now = ROOT / path
        declared = set(declarations(now.read_text(encoding="utf-8"))) if now.exists() else set()
        before = subprocess.check_output(["git", "show", f"{tags[0]}:{path}"], cwd=ROOT, text=True)
        problems += [f"{path} of {tags[0]} declared: {line}" for line in declarations(before) if line not in declared]
    return problems


def declarations(text: str) -> list[str]:
    lines = (line.split("//")[0].strip() for line in text.splitlines())
    return [line for line in lines if line and line not in "{}"]


if __name__ == "__main__":
    main()
