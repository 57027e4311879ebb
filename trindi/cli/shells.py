"""Completion for bash, zsh and fish: click's own, with what addresses need besides.

Addresses have blanks, and end in "=" where a value follows. bash splits words at "=" and ":", and
both bash and zsh add a blank after a completed word.
"""

from __future__ import annotations

import os
import re
from typing import ClassVar

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    ZshComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)


def completion_script(shell: str) -> str:
    """Return what a shell runs to complete the program ``trindi``."""
    found = get_completion_class(shell)
    assert found is not None, "click knows these shells"
    command = click.get_current_context().find_root().command
    return found(command, {}, "trindi", "_TRINDI_COMPLETE").source()


@add_completion_class
class _Bash(BashComplete):
    """Completes the line up to the cursor, of which bash replaces the last piece only."""

    def source(self) -> str:
        name = self.func_name.removesuffix("completion") + "complete"
        return f"""{super().source()}
{name}() {{
    local -x COMP_LINE="${{COMP_LINE:0:COMP_POINT}}"
    {self.func_name} "$@"
    [[ ${{COMPREPLY[0]}} == *= ]] && compopt -o nospace
}}

complete -o nosort -F {name} {self.prog_name};
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        *words, typed = _split(os.environ["COMP_LINE"])
        return words[1:], typed

    def format_completion(self, item: CompletionItem[str]) -> str:
        """Return the piece to insert; click's function removes one level of backslashes."""
        line = os.environ["COMP_LINE"]
        words = os.environ["COMP_WORDS"].split("\n")
        piece = words[min(int(os.environ["COMP_CWORD"]), len(words) - 1)].lstrip("=:")
        while not line.endswith(piece):
            # The end of the piece is behind the cursor.
            piece = piece[:-1]
        value = item.value.removeprefix(_split(line.removesuffix(piece))[-1])
        quote = piece[:1]
        if item.type == "plain" and quote not in {"'", '"'}:
            value = re.sub(r"([^\w.=/:%@+,-])", r"\\\\\1", value)
        elif quote == '"':
            value = re.sub(r'(["$`\\])', r"\\\\\1", value)
        return f"{item.type},{value}"


def _split(line: str) -> list[str]:
    """Split a line into words; the last word is being typed, and may be empty."""
    *words, last = split_arg_string(f"{line}x")
    return [*words, last[:-1]]


@add_completion_class
class _Zsh(ZshComplete):
    """Adds no blank after "="."""

    source_template: ClassVar[str] = """\
#compdef %(prog_name)s

%(complete_func)s() {
    local -a response completions described suffix
    local type key descr
    (( ! $+commands[%(prog_name)s] )) && return 1
    response=("${(@f)$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT-1)) \
%(complete_var)s=zsh_complete %(prog_name)s)}")
    for type key descr in ${response}; do
        case "$type/$descr" in
            plain/_) completions+=("$key") ;;
            plain/*) described+=("$key:$descr") ;;
            dir/*) _path_files -/ ;;
            file/*) _path_files -f ;;
        esac
    done
    [[ -n "$described" ]] && _describe -V unsorted described -U
    [[ $completions[1] == *= ]] && suffix=(-S '')
    [[ -n "$completions" ]] && compadd -U -V unsorted "${suffix[@]}" -a completions
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""
