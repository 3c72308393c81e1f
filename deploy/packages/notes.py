"""Prints what the change log says of a version: notes.py VERSION."""

import re
import sys
from pathlib import Path

CHANGES = Path(__file__).resolve().parents[2] / "CHANGELOG.md"


def notes(version: str) -> str:
    sections = re.split(r"^## ", CHANGES.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = [text for text in sections if re.match(rf"\[?{re.escape(version)}\]? - ", text)]
    if len(found) != 1:
        sys.exit(f"CHANGELOG.md has {len(found)} sections of {version}")
    # Links lead to the files of that release.
    text = found[0].partition("\n")[2].strip()
    return re.sub(r"\]\((?!https?:)([^)]+)\)", rf"](https://github.com/pgq-host/pgq-host/blob/v{version}/\1)", text)


if __name__ == "__main__":
    print(notes(sys.argv[1]))
