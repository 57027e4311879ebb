"""What `trindi` offers: each name at first use, and all that public signatures speak of."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from typing import TYPE_CHECKING, Any, get_origin

import pytest

import trindi
from tests.kit.processes import run_python

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENTED = (
    "trindi",
    "trindi.protocol",
    "trindi.testing",
    "trindi.recording",
    "trindi.conformance",
)
"""The packages that users import from."""

PUBLIC: list[str] = trindi.__all__  # type: ignore[attr-defined]  # made at run time


def test_type_checkers_and_python_know_the_same_names() -> None:
    tree = ast.parse(inspect.getsource(trindi))
    checked = {
        alias.asname: f"{node.module}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("trindi.")
        for alias in node.names
    }
    assert checked == {name: f"trindi.{home}" for name, home in trindi._PACKAGE_OF.items()}


@pytest.mark.parametrize("name", PUBLIC)
def test_each_name_is_there_and_listed(name: str) -> None:
    assert getattr(trindi, name) is not None
    assert name in dir(trindi)


def test_packages_are_attributes_as_well() -> None:
    assert run_python("-c", "import trindi; trindi.server.IPyServer").returncode == 0


def test_all_can_be_imported_at_once() -> None:
    done = run_python("-c", "from trindi import *; print(IPyDriver.__name__, Vector.__name__)")
    assert done.stdout == "IPyDriver Vector\n"


def test_what_is_not_there_is_an_attribute_error() -> None:
    assert not hasattr(trindi, "IPyDrivre")
    with pytest.raises(AttributeError, match=r"^module 'trindi' has no attribute 'nothing'$"):
        _ = trindi.nothing  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match=r"^cannot import name 'nothing' from 'trindi'"):
        from trindi import nothing  # type: ignore[attr-defined]  # noqa: F401


# Public signatures -------------------------------------------------------------------------------


def public_classes() -> Iterator[type[Any]]:
    """Yield the public classes, and what they inherit from in trindi."""
    for package in DOCUMENTED:
        module = importlib.import_module(package)
        for name in getattr(module, "__all__", dir(module)):
            found = getattr(module, name)
            if inspect.isclass(found) and not name.startswith("_"):
                yield from (one for one in found.__mro__ if one.__module__.startswith("trindi"))


def class_node(cls: type[Any]) -> tuple[ast.Module, ast.ClassDef | None]:
    tree = ast.parse(inspect.getsource(sys.modules[cls.__module__]))
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
            return tree, node
    return tree, None


def is_public(name: str) -> bool:
    return not name.startswith("_") or name == "__init__"


def annotated(node: ast.ClassDef) -> Iterator[ast.expr]:
    """Yield the annotations of what a class lets others use."""
    for one in node.body:
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and is_public(one.name):
            given = [*one.args.posonlyargs, *one.args.args, *one.args.kwonlyargs]
            yield from (argument.annotation for argument in given if argument.annotation)
            if one.returns:
                yield one.returns
        elif isinstance(one, ast.AnnAssign) and is_public(ast.unparse(one.target)):
            yield one.annotation


def is_type(thing: Any) -> bool:
    return inspect.isclass(thing) or get_origin(thing) is not None


def types_of_trindi(tree: ast.Module) -> set[str]:
    """Return the classes and aliases of trindi in a module, type-only imports included."""
    names = {one.name for one in tree.body if isinstance(one, ast.ClassDef)}
    names |= {
        ast.unparse(one.target)
        for one in tree.body
        if isinstance(one, ast.AnnAssign) and ast.unparse(one.annotation) == "TypeAlias"
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("trindi"):
            home = importlib.import_module(str(node.module))
            names |= {one.name for one in node.names if is_type(getattr(home, one.name))}
    return {one for one in names if not one.startswith("_")}


def test_what_public_signatures_name_can_be_imported() -> None:
    importable = {name for package in DOCUMENTED for name in dir(importlib.import_module(package))}
    missing: dict[str, str] = {}
    for cls in dict.fromkeys(public_classes()):
        tree, node = class_node(cls)
        ours = types_of_trindi(tree) - importable
        for annotation in annotated(node) if node else ():
            for one in ast.walk(ast.parse(ast.unparse(annotation).strip("'\""))):
                if isinstance(one, ast.Name) and one.id in ours:
                    missing[one.id] = f"{cls.__module__}.{cls.__name__}"
    assert missing == {}, missing
