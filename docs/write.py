"""Writes into the pages what is copied from files or made from code: ``python docs/write.py``.

A page is readable as it stands, in any viewer. So code blocks, tables of elements and rules, and
the reference stand in the Markdown itself, each behind a comment that says where it comes from.
`--check` changes nothing, and fails where a page is not as it would be written.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import blocks
import checks
import elements
import reference

DOCS = Path(__file__).parent
PAGES = [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("*/*.md"))]

_PART = re.compile(r"^<!-- (\w+)(?:: ([^\n]+))? \(written\) -->\n.*?^<!-- end -->$", re.M | re.S)

DECISIONS = DOCS / "decisions"


def _decisions(_about: str) -> str:
    records = sorted(DECISIONS.glob("[0-9]*.md"))
    heads = [record.read_text(encoding="utf-8").partition("\n")[0][2:] for record in records]
    return "\n".join(
        f"- [{head}]({record.name})" for record, head in zip(records, heads, strict=True)
    )


def _included(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8").strip()


WRITERS = {
    "decisions": _decisions,
    "elements": lambda _about: elements.elements_table(),
    "file": _included,
    "reference": reference.table,
    "rules": lambda _about: checks.rules_table(),
}


def written(text: str) -> str:
    """Return a page with all that is copied or made."""

    def fill(match: re.Match[str]) -> str:
        begin = match[0].partition("\n")[0]
        return f"{begin}\n\n{WRITERS[match[1]](match[2] or '')}\n\n<!-- end -->"

    return _PART.sub(fill, blocks.fill_blocks(text))


def main() -> None:
    """Write the pages, or say which are not as they would be written."""
    stale = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if written(text) != text:
            stale.append(str(page.relative_to(DOCS.parent)))
            if "--check" not in sys.argv:
                page.write_text(written(text), encoding="utf-8")
    print("\n".join(stale))
    if stale and "--check" in sys.argv:
        sys.exit(1)


if __name__ == "__main__":
    main()
