"""The code blocks of the pages, copied from the files in `docs/snippets`.

A comment above a block says what stands in it::

    <!-- code: FILE -->                 the whole file
    <!-- code: FILE: NAME -->           a function, a class, or a method as Class.method
    <!-- code: FILE: from "TEXT" -->    from the first line that has this text
    <!-- code: FILE: up to "TEXT" -->   the lines before that line
    <!-- code: FILE: lines 2-5 -->      these lines; "lines 2-" goes to the end
    <!-- diff: FILE FILE -->            what has changed from the first file to the second

`python docs/write.py` writes the blocks, and a test compares them with the files.
"""

from __future__ import annotations

import ast
import difflib
import re
import textwrap
from pathlib import Path

SNIPPETS = Path(__file__).parent / "snippets"

_BLOCK = re.compile(r"^(<!-- (code|diff): ([^\n]+?) -->)(?:\n\n?^```\w*\n.*?^```$)?", re.M | re.S)

_LANGUAGES = {
    ".console": "console",
    ".ini": "ini",
    ".jsonl": "json",
    ".out": "text",
    ".py": "python",
    ".service": "ini",
    ".sh": "sh",
    ".txt": "python",
}


def fill_blocks(text: str) -> str:
    """Return a page with each block as its file has it."""
    return _BLOCK.sub(_block, text)


def shown_files(text: str) -> set[str]:
    """Return the names of the files that a page shows, whole or in part."""
    found: set[str] = set()
    for _comment, kind, about in _BLOCK.findall(text):
        found |= set(about.split() if kind == "diff" else [about.partition(":")[0]])
    return found


def _block(match: re.Match[str]) -> str:
    comment, kind, about = match.groups()
    if kind == "diff":
        language, text = "diff", _changes(*map(_read, about.split()))
    else:
        name, _, part = about.partition(": ")
        language, text = _LANGUAGES[Path(name).suffix], _select(_read(name), part)
    return f"{comment}\n```{language}\n{text}```"


def _read(name: str) -> str:
    return (SNIPPETS / name).read_text(encoding="utf-8")


def _changes(before: str, after: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return "".join(f"{line}\n" for line in lines if line[:2] not in {"--", "++", "@@"})


def _select(text: str, part: str) -> str:
    if not part:
        return text
    lines = text.splitlines()
    if match := re.fullmatch(r"lines? (\d+)(-?)(\d*)", part):
        first = int(match[1])
        last = int(match[3]) if match[3] else len(lines) if match[2] else first
        return _joined(lines[first - 1 : last])
    if match := re.fullmatch(r'(from|up to) "(.+)"', part):
        at = next(number for number, line in enumerate(lines) if match[2] in line)
        return _joined(lines[at:] if match[1] == "from" else lines[:at])
    return _joined(_definition(ast.parse(text), part.split("."), lines))


def _definition(node: ast.AST, path: list[str], lines: list[str]) -> list[str]:
    """Return the lines of a function or class, with its decorators."""
    for child in ast.iter_child_nodes(node):
        if getattr(child, "name", None) == path[0]:
            if path[1:]:
                return _definition(child, path[1:], lines)
            assert isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            first = min([child.lineno, *(each.lineno for each in child.decorator_list)])
            return lines[first - 1 : child.end_lineno]
    raise LookupError(f"no {'.'.join(path)} here")


def _joined(lines: list[str]) -> str:
    return textwrap.dedent("\n".join(lines)).strip("\n") + "\n"
