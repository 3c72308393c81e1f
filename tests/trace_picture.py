"""Draws a trace as the collector of the tests got it: `trace_picture.py SPANS.json PICTURE.svg`. Run by `make trace-picture`.

Spans stand below their parents, on one axis of time. The waits between processes are cut out where nothing happens for long, and marked.
"""

import json
import sys
from html import escape
from pathlib import Path

COLOURS = {"shop": "#8250df", "pgq-host": "#0969da", "python worker": "#bf8700"}
WIDTH, NAMES, ROW, TOP = 1080, 330, 22, 64
# A gap that is longer is drawn as long as this, in milliseconds.
LONGEST_GAP = 6.0


def rows(spans: list[dict]) -> list[tuple[int, dict]]:
    """Depth first, in the order of time."""
    known = {span["id"] for span in spans}

    def below(parent: str | None, depth: int):
        children = [span for span in spans if (span["parent"] if span["parent"] in known else None) == parent]
        for span in sorted(children, key=lambda span: (span["start"], span["end"])):
            yield depth, span
            yield from below(span["id"], depth + 1)

    return list(below(None, 0))


class Axis:
    """Times in milliseconds, without the gaps in which nothing begins or ends."""

    def __init__(self, spans: list[dict]) -> None:
        moments = sorted({moment for span in spans for moment in (span["start"], span["end"])})
        self.places, at = {}, 0.0
        self.cuts: list[float] = []
        for before, moment in zip([moments[0], *moments], moments):
            gap = (moment - before) / 1e6
            if gap > LONGEST_GAP:
                self.cuts.append(at + LONGEST_GAP / 2)
            at += min(gap, LONGEST_GAP)
            self.places[moment] = at
        self.length = at

    def x(self, moment: int) -> float:
        return self.scale(self.places[moment])

    def scale(self, at: float) -> float:
        return NAMES + (WIDTH - NAMES - 90) * at / self.length


def length(span: dict) -> str:
    ms = (span["end"] - span["start"]) / 1e6
    return f"{ms * 1000:.0f} µs" if ms < 1 else f"{ms:.1f} ms" if ms < 1000 else f"{ms / 1000:.1f} s"


def picture(spans: list[dict]) -> str:
    ordered, axis = rows(spans), Axis(spans)
    height = TOP + ROW * len(ordered) + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="ui-monospace, monospace" font-size="12" role="img">',
        f"<title>One trace with {len(spans)} spans: {escape(', '.join(span['name'] for _, span in ordered))}</title>",
        "<style>.back { fill: #fff } text { fill: #1f2328 } .faint { fill: #656d76 } .line { stroke: #d1d9e0 }"
        " @media (prefers-color-scheme: dark) { .back { fill: #0d1117 } text { fill: #e6edf3 } .faint { fill: #9198a1 } .line { stroke: #3d444d } }</style>",
        f'<rect class="back" width="{WIDTH}" height="{height}"/>',
        f'<text x="16" y="26" font-weight="bold">trace {escape(spans[0]["trace"])}</text>',
    ]
    x = 16
    for service in dict.fromkeys(span["service"] for _, span in ordered):
        parts.append(f'<rect x="{x}" y="38" width="10" height="10" rx="2" fill="{COLOURS.get(service, "#57606a")}"/>')
        parts.append(f'<text class="faint" x="{x + 16}" y="47">{escape(service)}</text>')
        x += 16 + 8 * len(service) + 24
    for cut in axis.cuts:
        place = axis.scale(cut)
        parts.append(f'<line class="line" x1="{place:.1f}" x2="{place:.1f}" y1="{TOP - 6}" y2="{height - 28}" stroke-dasharray="2 4"/>')
    for row, (depth, span) in enumerate(ordered):
        y = TOP + ROW * row
        start, end = axis.x(span["start"]), axis.x(span["end"])
        colour = "#cf222e" if span["status"] == "error" else COLOURS.get(span["service"], "#57606a")
        name = span["name"] if len(span["name"]) < 38 else span["name"][:36] + "…"
        parts.append(f'<text x="{16 + 14 * depth}" y="{y + 15}">{escape(name)}</text>')
        parts.append(f'<rect x="{start:.1f}" y="{y + 5}" width="{max(end - start, 1.5):.1f}" height="12" rx="2" fill="{colour}"/>')
        parts.append(f'<text class="faint" x="{max(end, start + 1.5) + 6:.1f}" y="{y + 15}" font-size="11">{length(span)}</text>')
    note = "dashed: nothing happened for longer than is shown" if axis.cuts else ""
    parts.append(f'<text class="faint" x="{NAMES}" y="{height - 12}" font-size="11">{note}</text>')
    return "\n".join([*parts, "</svg>\n"])


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(picture(json.loads(Path(sys.argv[1]).read_text())))
