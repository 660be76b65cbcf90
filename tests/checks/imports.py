"""Which files of a crate import which: read from `use` lines and from paths inside the code.

A module is a file. A name that a file only passes on (`pub use`) is an import from the file that defines it, not from
the one that passes it on. Test code (`#[cfg(test)]`) does not count: it may look at anything.
"""

import re
from collections import defaultdict, deque
from dataclasses import dataclass, field
from pathlib import Path

# What is skipped comes first: comments, text (unless it is a path, as in `#[serde(with = "crate::time")]`) and characters.
TOKEN = re.compile(
    r"""
      //[^\n]* | /\*.*?\*/
    | b?r(?P<fence>\#*)".*?"(?P=fence)
    | "(?P<path>(?:crate|super|self)(?:::\w+)+)"
    | [bc]?"(?:\\.|[^"\\])*"
    | b?'(?:\\[^']+|[^'\\])'
    | (?P<token>'?\w+ | :: | \S)
    """,
    re.VERBOSE | re.DOTALL,
)
DEFINES = {"const", "enum", "fn", "macro_rules", "static", "struct", "trait", "type", "union"}
OPENS, CLOSES = set("([{"), set(")]}")


@dataclass
class Module:
    """One file of a crate."""

    file: Path
    path: tuple
    children: dict = field(default_factory=dict)
    # Names that `use` brings: name -> path from the crate's root.
    names: dict = field(default_factory=dict)
    # Modules whose every name is brought (`use x::*`).
    everything_of: list = field(default_factory=list)
    defined: set = field(default_factory=set)
    # Paths as they are written, from the crate's root, with their line.
    mentioned: list = field(default_factory=list)


def tokens_of(text):
    """The tokens of a file as (text, line), without comments, text and characters."""
    line, end = 1, 0
    for match in TOKEN.finditer(text):
        line += text.count("\n", end, match.start())
        end = match.start()
        if match["path"]:
            # It may name a module as a whole, of which something is used.
            yield from ((part, line) for part in (*re.findall(r"\w+|::", match["path"]), "::", "_"))
        elif match["token"]:
            yield match["token"], line


def without_tests(tokens):
    """The tokens without what `#[cfg(test)]` is written before."""
    tokens, kept, at = list(tokens), [], 0
    texts = [text for text, _ in tokens]
    while at < len(texts):
        if texts[at:at + 4] == ["#", "[", "cfg", "("] and (texts[at + 4] == "test" or texts[at + 4:at + 7] == ["all", "(", "test"]):
            at = end_of_item(texts, at)
        else:
            kept.append(tokens[at])
            at += 1
    return kept


def end_of_item(texts, at):
    """The index behind the item that begins at `at` with an attribute."""
    depth = 0
    while at < len(texts):
        depth += (texts[at] in OPENS) - (texts[at] in CLOSES)
        if depth < 0:
            return at
        at += 1
        if depth == 0 and texts[at - 1] in ("}", ";"):
            return at
    return at


class Crate:
    """The files of one target, from its root file on."""

    def __init__(self, root):
        self.modules = {}
        self.read(Path(root), Path(root).parent, ())

    def read(self, file, folder, path):
        """Reads a file and those that it declares."""
        module = self.modules[path] = Module(file, path)
        tokens = without_tests(tokens_of(file.read_text(encoding="utf-8")))
        texts = [text for text, _ in tokens]
        for before, name, after in zip(texts, texts[1:], texts[2:]):
            if (before, after) == ("mod", ";"):
                child = folder / f"{name}.rs"
                module.children[name] = (*path, name)
                self.read(child if child.exists() else folder / name / "mod.rs", folder / name, (*path, name))
        module.defined = {texts[at + 1 + (text == "macro_rules")] for at, text in enumerate(texts[:-2]) if text in DEFINES}
        self.read_paths(module, tokens)

    def read_paths(self, module, tokens):
        """Notes what the file mentions: first its `use` lines, which give names, then every path."""
        texts, inline, depth, at = [text for text, _ in tokens], [], 0, 0
        passed_on, rest = [], []
        while at < len(texts):
            text = texts[at]
            if text == "mod" and texts[at + 2] == "{":
                inline.append((texts[at + 1], depth))
            elif text == "use":
                end = texts.index(";", at)
                public = "pub" in texts[max(0, at - 4):at] and texts[at - 1] in ("pub", ")")
                for name, used in use_tree(texts[at + 1:end]):
                    used = absolute(used, module, [each for each, _ in inline])
                    if name == "*":
                        module.everything_of.append(used)
                    elif not inline:
                        module.names[name] = used
                    (passed_on if public else module.mentioned).append((used, tokens[at][1], name))
                at = end
                continue
            depth += (text == "{") - (text == "}")
            if text == "}" and inline and inline[-1][1] == depth:
                inline.pop()
            if re.match(r"[A-Za-z_]", text) and (at == 0 or texts[at - 1] not in ("::", ".")):
                written = [text]
                while texts[at + 1:at + 2] == ["::"] and re.match(r"[A-Za-z_]", texts[at + 2]):
                    written.append(texts[at + 2])
                    at += 2
                rest.append((written, tokens[at][1], [each for each, _ in inline]))
            at += 1
        for written, line, within in rest:
            if len(written) > 1:
                module.mentioned.append((absolute(written, module, within), line, written[-1]))
        # What is passed on is also imported where this file itself uses it.
        own = {written[0] for written, _, _ in rest}
        module.mentioned += [each for each in passed_on if each[2] in own]

    def definer(self, path, seen=()):
        """The module that defines what a path from the root names; None for a whole module and what is not of this crate."""
        if path is None or path in seen or path in self.modules:
            return None
        module = self.modules[max((path[:length] for length in range(len(path)) if path[:length] in self.modules), key=len)]
        name, *behind = path[len(module.path):]
        if name in module.names:
            origin = module.names[name]
            return None if origin is None else self.definer((*origin, *behind), (*seen, path))
        if name not in module.defined:
            for everything in module.everything_of:
                found = everything in self.modules and self.definer((*everything, name, *behind), (*seen, path))
                if found and name in found.defined:
                    return found
        return module

    def imports(self):
        """For each module's path the modules that it imports from: path -> (line, what is written)."""
        found = defaultdict(dict)
        for module in self.modules.values():
            for path, line, name in module.mentioned:
                origin = self.modules.get(path) if name == "*" else self.definer(path)
                if origin and origin is not module:
                    found[module.path].setdefault(origin.path, (line, "::".join(("crate", *path, *(["*"] if name == "*" else [])))))
        return found

    def circles(self):
        """One shortest circle for each group of files that import each other, as lists of (file, line, what is written)."""
        imports, circles, known = self.imports(), [], set()
        for start in sorted(imports):
            if start in known or not (circle := shortest_circle(imports, start)):
                continue
            known |= {path for path in reachable(imports, start) if start in reachable(imports, path)}
            circles.append([(self.modules[path].file, *imports[path][following]) for path, following in zip(circle, circle[1:])])
        return circles


def use_tree(texts):
    """The (name, path) pairs of a `use`, with the name `*` for everything of a module."""
    if "{" not in texts:
        path = [text for text in texts if text not in ("::", "as")]
        name = path.pop() if "as" in texts else None
        if path[-1] in ("self", "*") and len(path) > 1:
            last = path.pop()
            name = name or ("*" if last == "*" else path[-1])
        return [(name or path[-1], path)]
    start = texts.index("{")
    pairs, depth, branch = [], 0, []
    for text in texts[start + 1:-1] + [","]:
        depth += (text == "{") - (text == "}")
        if text == "," and depth == 0:
            pairs += use_tree(texts[:start] + branch) if branch else []
            branch = []
        else:
            branch.append(text)
    return pairs


def absolute(written, module, inline):
    """A written path from the crate's root; None if it leaves the crate."""
    first, *behind = written
    here = [*module.path, *inline]
    if first == "crate":
        base = []
    elif first in ("self", "super"):
        while first in ("self", "super"):
            here = here if first == "self" else here[:-1]
            first, *behind = behind or [None]
        base, behind = here, ([first] if first else []) + behind
    elif first in module.children:
        base, behind = list(module.path), written
    elif module.names.get(first) is not None:
        base = list(module.names[first])
    else:
        return None
    # An inline module belongs to its file.
    return tuple([*base[:len(module.path)], *behind] if inline and base == here else [*base, *behind])


def reachable(imports, start):
    """Every module that `start` imports from, directly or not."""
    found, waiting = set(), deque([start])
    while waiting:
        for following in imports.get(waiting.popleft(), ()):
            if following not in found:
                found.add(following)
                waiting.append(following)
    return found


def shortest_circle(imports, start):
    """The shortest way from a module back to itself; None if there is none."""
    ways = deque([[start]])
    seen = set()
    while ways:
        way = ways.popleft()
        for following in sorted(imports.get(way[-1], ())):
            if following == start:
                return [*way, start]
            if following not in seen:
                seen.add(following)
                ways.append([*way, following])
    return None
