"""The table of elements that the page on the protocol shows, made from the table that trindi reads.

`python docs/write.py` writes it into the page.
"""

from trindi.protocol import ELEMENTS, Attribute, Element


def _attribute(attribute: Attribute) -> str:
    name = f"**{attribute.xml}**" if attribute.required else attribute.xml
    return name if attribute.xml == attribute.field else f"{name} → `{attribute.field}`"


def _content(element: Element) -> str:
    if element.content:
        return f"`{element.content}`"
    return f"`{element.member}` …" if element.member else ""


def _row(element: Element) -> str:
    attributes = ", ".join(map(_attribute, element.attributes))
    if element.fixed:
        attributes = f"{element.fixed} (always), {attributes}"
    return f"| `{element.xml}` | `{element.cls.__name__}` | {attributes} | {_content(element)} |"


def elements_table() -> str:
    """Return the table as Markdown: element, class, attributes with their fields, content."""
    head = "| Element | Class | Attributes → fields | Content |\n|---|---|---|---|\n"
    return head + "\n".join(map(_row, ELEMENTS.values()))
