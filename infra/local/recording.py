"""Records `make demo` as an animated SVG (`make recording`): recording.py FILE.

The demo runs in a pseudo-terminal of 100 columns; pyte interprets what it prints. The screen is so tall that nothing
scrolls, so that every line keeps its place. In the picture a curtain uncovers the lines, and a window follows it.
Where animations are off, the picture is the end of the output.
"""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from html import escape
from itertools import groupby
from pathlib import Path

import pyte
from pyte.graphics import TEXT

ROOT = Path(__file__).resolve().parents[2]
COMMAND = ("make", "--no-print-directory", "demo")

COLUMNS = 100
# More than the demo prints.
LINES = 1000
# Of the picture's window.
VISIBLE = 34
MOST_BYTES = 150_000
# Shown if the demo fails.
LAST_LINES = 20

# The output is cut into that many snapshots at most, however long it takes.
SNAPSHOTS = 60
# Seconds. A wait is shown that long at most; the end stays that long.
BETWEEN_SNAPSHOTS = 0.1
LONGEST_WAIT = 0.4
END = 8
LINES_PER_SECOND = 9

# Pixels.
CHARACTER = 8.4
LINE = 18
MARGIN = 16
TITLE = 34

FONTS = "ui-monospace,SFMono-Regular,Menlo,Consolas,DejaVu Sans Mono,monospace"
BACKGROUND = "#0d1117"
FOREGROUND = "#c9d1d9"
COLORS = {
    "red": "#ff7b72", "green": "#56d364", "brown": "#e3b341", "blue": "#79c0ff", "magenta": "#d2a8ff", "cyan": "#76e3ea",
    "white": "#c9d1d9", "black": "#484f58", "brightred": "#ffa198", "brightgreen": "#7ee787", "brightbrown": "#f2cc60",
    "brightblue": "#a5d6ff", "brightmagenta": "#e2c5ff", "brightcyan": "#b3f0ff", "brightwhite": "#ffffff",
    "brightblack": "#8b949e",
}
SPINNER = re.compile("[\u2800-\u28ff]")

# pyte ignores SGR 2 (faint): blink, which nobody prints here, carries it.
TEXT[2] = "+blink"


def main():
    """Records the demo; exit code 1 if it fails, or if the picture must not be published."""
    if len(sys.argv) != 2:
        sys.exit("usage: recording.py FILE")
    snapshots, code = record(COMMAND)
    if code:
        sys.exit(f"{last_lines(snapshots)}\nthe demo failed with exit code {code}: nothing was recorded")
    picture = draw(thinned(snapshots))
    problems = problems_of(picture)
    if problems:
        sys.exit("; ".join(problems))
    Path(sys.argv[1]).write_text(picture, encoding="utf-8")
    print(f"{sys.argv[1]}: {len(picture.encode()) // 1000} KB")


def problems_of(picture):
    """Why the picture must not be published: too large, or with a path of this machine."""
    size = len(picture.encode())
    homes = (f"{ROOT}", f"{Path.home()}/", "/home/", "/tmp/", "/Users/")
    found = sorted(home for home in homes if home in picture)
    return [
        *([f"the picture has {size} bytes, more than {MOST_BYTES}"] if size > MOST_BYTES else []),
        *(f"the picture shows the path {home}" for home in found),
    ]


# ---------------------------------------------------------------- record


def record(command):
    """Runs a command in a terminal; returns snapshots (seconds, line number -> runs of that line) and its exit code."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    mine, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "NO_COLOR"))}
    environment |= {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(LINES)}
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=its, stderr=its, cwd=ROOT, env=environment, start_new_session=True)
    os.close(its)
    stream.feed(f"\x1b[1m$ {command[0]} {command[-1]}\x1b[0m\r\n".encode())
    snapshots, started = [snapshot(screen, 0)], time.monotonic()
    while True:
        try:
            output = os.read(mine, 65536)
        except OSError:
            # Linux reports the end of a terminal as an error.
            output = b""
        if not output:
            break
        stream.feed(output)
        sys.stdout.write(".")
        sys.stdout.flush()
        now = time.monotonic() - started
        if now - snapshots[-1][0] >= BETWEEN_SNAPSHOTS:
            snapshots.append(snapshot(screen, now))
    snapshots.append(snapshot(screen, time.monotonic() - started))
    print()
    return snapshots, process.wait()


def last_lines(snapshots):
    """The end of the output, as text."""
    lines = {number: runs for _, changed in snapshots for number, runs in changed.items()}
    shown = [" ".join(run[2] for run in lines[number]) for number in sorted(lines) if lines[number]]
    return "\n".join(shown[-LAST_LINES:])


def snapshot(screen, seconds):
    """The lines that changed since the last snapshot."""
    changed = {number: runs_of(screen.buffer[number]) for number in sorted(screen.dirty)}
    screen.dirty.clear()
    return seconds, changed


def runs_of(line):
    """A line as runs of the same style: (column, width, text, style), without the blanks around them."""
    cells = [line[column] for column in range(COLUMNS)]
    runs, column = [], 0
    for style, group in groupby(cells, style_of):
        group = list(group)
        # The second cell of a wide character is empty: the text can be shorter than the cells that it covers.
        text = SPINNER.sub("\u280b", "".join(cell.data for cell in group))
        reverse = style[2]
        lead = 0 if reverse else len(text) - len(text.lstrip(" "))
        tail = 0 if reverse else len(text) - len(text.rstrip(" "))
        if reverse or text.strip(" "):
            runs.append((column + lead, len(group) - lead - tail, text[lead:len(text) - tail], style))
        column += len(group)
    return tuple(runs)


def style_of(cell):
    """(color, bold, reverse, faint)"""
    return COLORS.get(cell.fg, FOREGROUND if cell.fg == "default" else f"#{cell.fg}"), cell.bold, cell.reverse, cell.blink


def thinned(snapshots):
    """The snapshots put together to a few that are about as far apart as each other."""
    apart = snapshots[-1][0] / SNAPSHOTS
    few, together = [], {}
    for seconds, changed in snapshots:
        together.update(changed)
        if not few or seconds - few[-1][0] >= apart or seconds == snapshots[-1][0]:
            few.append((seconds, together))
            together = {}
    return few


# ---------------------------------------------------------------- draw


def draw(snapshots):
    """The recording as an SVG."""
    times, uncovered = pace(snapshots)
    length = times[-1] + END
    lines = max(uncovered)
    # Lines are replaced before the new ones below them are uncovered.
    versions = versions_of(snapshots, [0, *times[:-1]])
    styles, body, rules = {}, [], []
    for number in sorted(versions):
        # An empty version needs no picture: the other versions are hidden then.
        shown = [(version, start, end) for version, start, end in versions[number] if version]
        for version, start, end in shown:
            text = "".join(run_element(number, run, styles) for run in version)
            if (start, end) == (None, None):
                body.append(text)
                continue
            name = f"v{len(rules)}"
            steps = "0%{opacity:1}" if start is None else f"0%{{opacity:0}}{percent(start, length)}{{opacity:1}}"
            if end is not None:
                steps += f"{percent(end, length)}{{opacity:0}}"
            rules.append(f"@keyframes {name}{{{steps}}}")
            kind = "last" if end is None else "past"
            body.append(f'<g class="{kind}" style="animation-name:{name}">{text}</g>')
    curtain = keyframes("curtain", times, [LINE * count for count in uncovered], length)
    roll = keyframes("roll", times, [-LINE * max(0, count - VISIBLE) for count in uncovered], length)
    width, height = round(COLUMNS * CHARACTER + 2 * MARGIN), TITLE + VISIBLE * LINE + MARGIN
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="title">
<title id="title">A recording of make demo</title>
<style>
text{{white-space:pre;fill:{FOREGROUND}}}
.past{{opacity:0}}
{"".join(f".{name}{{{rule(style)}}}" for style, name in styles.items())}
@media (prefers-reduced-motion:no-preference){{
.past,.last{{animation:{length:.1f}s step-end infinite}}
.roll{{animation:roll {length:.1f}s linear infinite}}
.curtain{{animation:curtain {length:.1f}s linear infinite}}
}}
{curtain}
{roll}
{chr(10).join(rules)}
</style>
<rect width="{width}" height="{height}" rx="10" fill="{BACKGROUND}" stroke="#30363d"/>
<circle cx="20" cy="18" r="6" fill="#ff5f57"/><circle cx="40" cy="18" r="6" fill="#febc2e"/><circle cx="60" cy="18" r="6" fill="#28c840"/>
<svg x="{MARGIN}" y="{TITLE}" width="{width - 2 * MARGIN}" height="{VISIBLE * LINE}">
<g class="roll" transform="translate(0 {-LINE * max(0, lines - VISIBLE)})" xml:space="preserve" font-size="14" font-family="{FONTS}">
{chr(10).join(body)}
<rect class="curtain" transform="translate(0 {LINE * lines})" width="100%" height="{LINE * (lines + VISIBLE)}" fill="{BACKGROUND}"/>
</g>
</svg>
</svg>
"""


def pace(snapshots):
    """When each snapshot is shown, and how many lines are uncovered then: waits are cut, floods are slowed down."""
    times, uncovered, before = [], [], 0
    now = 0
    for seconds, changed in snapshots:
        written = max((number + 1 for number, runs in changed.items() if runs), default=0)
        lines = max([written, *uncovered[-1:]])
        new = lines - (uncovered[-1] if uncovered else 0)
        now += max(min(seconds - before, LONGEST_WAIT), new / LINES_PER_SECOND)
        times.append(now)
        uncovered.append(lines)
        before = seconds
    return times, uncovered


def versions_of(snapshots, times):
    """Line number -> its versions: (runs, when it appears, when it is replaced); None for always."""
    versions = {}
    for (_, changed), shown in zip(snapshots, times):
        for number, runs in changed.items():
            known = versions.setdefault(number, [])
            if runs == (known[-1][0] if known else ()):
                continue
            if known:
                known[-1][2] = shown
            # The curtain hides a line before its first version.
            known.append([runs, shown if known else None, None])
    return versions


def run_element(line, run, styles):
    """The text element of a run."""
    column, width, text, style = run
    plain = style == (FOREGROUND, False, False, False)
    name = "" if plain else f' class="{styles.setdefault(style, f"s{len(styles)}")}"'
    x, y = column * CHARACTER, line * LINE + 14
    back = ""
    if style[2]:
        back = f'<rect x="{x:.0f}" y="{line * LINE}" width="{width * CHARACTER:.0f}" height="{LINE}" fill="{style[0]}"/>'
    length = f' textLength="{width * CHARACTER:.0f}"' if width > 1 else ""
    return f'{back}<text{name} x="{x:.0f}" y="{y}"{length}>{escape(text, quote=False)}</text>'


def rule(style):
    """The CSS of a style."""
    color, bold, reverse, faint = style
    return (f"fill:{BACKGROUND if reverse else color}" + (";font-weight:700" if bold else "")
            + (";fill-opacity:.65" if faint else ""))


def keyframes(name, times, pixels, length):
    """An animation that moves to each of these heights at its time."""
    steps = ["0%{transform:translateY(0)}"]
    steps += [f"{percent(at, length)}{{transform:translateY({height}px)}}" for at, height in zip(times, pixels)]
    steps.append(f"to{{transform:translateY({pixels[-1]}px)}}")
    return f"@keyframes {name}{{{''.join(steps)}}}"


def percent(seconds, length):
    """A time as a part of the animation."""
    return f"{100 * seconds / length:.4g}%"


if __name__ == "__main__":
    main()
