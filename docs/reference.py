"""The tables of the reference: each public name of trindi with its signature and one line.

All of it is read from the code: names, signatures, and the first lines of the docstrings.
"""

from __future__ import annotations

import ast
import enum
import functools
import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent

MODULES = (
    "trindi",
    "trindi.protocol",
    "trindi.recording",
    "trindi.testing",
    "trindi.conformance",
)
"""What a user imports from. A name that is in `trindi` too is listed there alone."""


class Name(NamedTuple):
    """A public name: where it is imported from, and what it is."""

    module: str
    name: str
    thing: Any

    @property
    def dotted(self) -> str:
        return f"{self.module}.{self.name}"

    @property
    def package(self) -> str:
        """The package that defines it, such as `trindi.client`."""
        where = getattr(self.thing, "__module__", None) or ""
        if not where.startswith("trindi."):
            where = _assigned().get(self.name, ("", ""))[0]
        return ".".join(where.split(".")[:2])


def public_names(module: ModuleType) -> list[str]:
    """Return the public names of a module, without its submodules."""
    names = getattr(module, "__all__", None) or vars(module)
    return [
        name
        for name in sorted(names, key=str.casefold)
        if not name.startswith("_")
        and not isinstance(getattr(module, name), ModuleType)
        and name not in {"TYPE_CHECKING", "annotations"}
    ]


@functools.cache
def all_names() -> list[Name]:
    """Return each public name once."""
    found: dict[str, Name] = {}
    for dotted in MODULES:
        module = importlib.import_module(dotted)
        for name in public_names(module):
            thing = getattr(module, name)
            known = found.get(name)
            if known and (known.thing is thing or known.thing == thing):
                continue
            found[name if known is None else f"{dotted}.{name}"] = Name(dotted, name, thing)
    return list(found.values())


# Tables --------------------------------------------------------------------------------------


def table(about: str) -> str:
    """Return the tables of what a marker names.

    `trindi.client` is what is imported from there. `trindi of client` is what is imported from
    `trindi`, and defined there; after a colon, only names that a pattern matches.
    """
    where, _, pattern = about.partition(": ")
    module, _, package = where.partition(" of ")
    names = [
        each
        for each in all_names()
        if each.module == module
        and (not package or each.package == f"trindi.{package}")
        and (not pattern or re.fullmatch(pattern, each.name))
    ]
    if not names:
        raise LookupError(f"no public name is in {about!r}")
    parts = ["| Name | |\n|---|---|\n" + "\n".join(map(_row, names))]
    for each in names:
        rows = _member_rows(each.thing)
        if rows:
            head = f"Of `{each.name}`:\n\n| Name | |\n|---|---|\n"
            parts.append(head + "\n".join(rows))
    return "\n\n".join(parts)


def _row(name: Name) -> str:
    return f"| `{name.name}{_signature(name.thing)}` | {_about(name)} |"


def _about(name: Name) -> str:
    thing = name.thing
    if _is_code(thing):
        line = _first_line(thing)
        if isinstance(thing, type) and issubclass(thing, enum.Enum):
            return f"{line} {', '.join(f'`{each.name}`' for each in thing)}."
        return " ".join(filter(None, [line, _bases(thing)]))
    line = _assigned().get(name.name, ("", ""))[1]
    if isinstance(thing, int | float):
        return f"{line} ({thing:,})" if line else f"{thing:,}"
    return line or f"`{_type_text(thing)}`".replace("|", "\\|").replace("typing.", "")


def _is_code(thing: Any) -> bool:
    """Whether it is a class or a function, and not the alias of a type."""
    return callable(thing) and hasattr(thing, "__qualname__") and not hasattr(thing, "__origin__")


def _bases(thing: Any) -> str:
    """Say of which public class it is a kind."""
    known = {each.thing: each.name for each in all_names() if isinstance(each.thing, type)}
    names = [known[base] for base in getattr(thing, "__mro__", ())[1:] if base in known]
    return f"A kind of `{names[0]}`." if names else ""


def _member_rows(thing: Any) -> list[str]:
    if not isinstance(thing, type) or issubclass(thing, enum.Enum | BaseException):
        return []
    rows = []
    known = {each.thing for each in all_names() if isinstance(each.thing, type)}
    own, others = [thing], list(thing.__mro__[1:])
    while others and others[0] not in known and others[0].__module__.startswith("trindi"):
        own.append(others.pop(0))
    for name, member in [pair for one in own for pair in vars(one).items()]:
        if name.startswith("_") or any(hasattr(base, name) for base in others):
            continue
        if isinstance(member, property | functools.cached_property):
            line = _first_line(member)
            text = name
        elif isinstance(member, classmethod | staticmethod):
            line, text = _first_line(member.__func__), name + _signature(getattr(thing, name))
        elif inspect.isfunction(member):
            line, text = _first_line(member), name + _signature(member, bound=True)
        else:
            continue
        if line:
            rows.append(f"| `{text}` | {line} |")
    return rows


def _first_line(thing: Any) -> str:
    """Return the first sentence or line of a docstring, on one line."""
    text = (inspect.getdoc(thing) or "").partition("\n\n")[0]
    return " ".join(text.split()).replace("|", "\\|")


def _type_text(thing: Any) -> str:
    text = str(thing) if not isinstance(thing, dict | frozenset) else type(thing).__name__
    return re.sub(r"\b[\w.]+\.(\w+)", r"\1", text)


def _signature(thing: Any, *, bound: bool = False) -> str:
    if isinstance(thing, type) and issubclass(thing, enum.Enum | BaseException):
        return ""
    if isinstance(thing, type) and getattr(thing, "_is_protocol", False):
        return ""
    if not _is_code(thing):
        return ""
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return ""
    parameters = list(signature.parameters.values())
    shown = [each for each in parameters[int(bound) :] if not each.name.startswith("_")]
    plain = [
        each.replace(annotation=inspect.Parameter.empty, default=_default(each.default))
        for each in shown
    ]
    text = str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty))
    return text.replace("|", "\\|")


class _Text(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _default(default: Any) -> Any:
    """Return what stands for a default: itself where it is short, else an ellipsis."""
    if default is inspect.Parameter.empty:
        return default
    if isinstance(default, enum.Enum):
        return _Text(repr(default.value))
    text = repr(default)
    return _Text(text if len(text) < 16 and "<" not in text and " at " not in text else "…")


@functools.cache
def _assigned() -> dict[str, tuple[str, str]]:
    """Return each name that a module assigns, with the module and the docstring behind it."""
    found: dict[str, tuple[str, str]] = {}
    for path in sorted((ROOT / "trindi").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        body = ast.parse(path.read_text(encoding="utf-8")).body
        for node, following in zip(body, [*body[1:], None], strict=True):
            targets = node.targets if isinstance(node, ast.Assign) else []
            targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
            for target in targets:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, (module, _docstring(following)))
    return found


def _docstring(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        value = node.value.value
        if isinstance(value, str):
            return " ".join(inspect.cleandoc(value).partition("\n\n")[0].split())
    return ""


# Docstrings ----------------------------------------------------------------------------------


def directives() -> str:
    """Return what makes Sphinx show the whole docstring of each class and function."""
    parts = []
    for each in all_names():
        if isinstance(each.thing, type) and issubclass(each.thing, BaseException):
            parts.append(f".. autoexception:: {each.dotted}\n")
        elif isinstance(each.thing, type):
            parts.append(f".. autoclass:: {each.dotted}\n   :members:\n")
        elif _is_code(each.thing):
            parts.append(f".. autofunction:: {each.dotted}\n")
    return "\n".join(parts)
