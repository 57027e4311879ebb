"""The rules that a driver or a server is checked against, as one table.

The checker, its report and the documentation all read this table: what must be so, where the
protocol says it, what breaking it means, and when it can be checked at all. This module checks
nothing itself.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["GROUPS", "GROUP_OF", "RULES", "Needs", "Rule", "Verdict"]


class Verdict(StrEnum):
    """What became of a rule."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    NOT_APPLICABLE = "n/a"


class Needs(StrEnum):
    """What has to be so for a rule to be checked, as a report says it where it is not."""

    PROGRAM = "only for a program"
    SERVER = "only for a server"
    WRITE = "only with --write"
    PRIVATE = "only for a program, or with --write"
    HOSTILE = "only with --hostile"


class Rule(NamedTuple):
    """One rule.

    Attributes:
        name: what reports call it.
        title: what must be so.
        source: the sections of the protocol that say so.
        breach: what it means if it is not so: ``FAIL``, or ``WARN`` where the protocol only
            recommends it, or programs in wide use do otherwise.
        needs: what has to be so for it to be checked.
    """

    name: str
    title: str
    source: str
    breach: Verdict = Verdict.FAIL
    needs: tuple[Needs, ...] = ()


def _with(needs: Needs, *rules: Rule) -> tuple[Rule, ...]:
    return tuple(rule._replace(needs=(needs, *rule.needs)) for rule in rules)


_WARN: Final = Verdict.WARN

GROUPS: Final[Mapping[str, tuple[Rule, ...]]] = MappingProxyType(
    {
        "The stream": (
            Rule("well-formed", "elements are well-formed and can be read", "§1, §2"),
            Rule("known-elements", "there are only elements that INDI has", "§2", _WARN),
            Rule("nothing-else", "there is nothing but elements", "§0 rule 17"),
            Rule("encoding", "text is UTF-8", "§1.3", _WARN),
            Rule("lengths", "names, labels and messages fit into libindi", "§1.5", _WARN),
            Rule("names", "names are printable ASCII, without a dot", "§1.5", _WARN),
        ),
        "Definitions": (
            Rule("def-required", "device, name, state, perm and rule are there", "§2"),
            Rule("def-legal", "state, perm, rule and timeout are legal", "§2"),
            Rule("def-label", "labels and groups are there", "§2", _WARN),
            Rule("def-members", "members are of the kind, each with its own name", "§2"),
            Rule("def-number", "numbers have format, min, max, step and value", "§2, §3.1"),
            Rule("def-plain", "numbers are plain decimals", "§0 rule 6, §3.1"),
            Rule("def-range", "min is not over max, and step is not negative", "§3.3"),
            Rule("def-within", "numbers are within their limits", "§3.3", _WARN),
            Rule("def-format", "a format has one conversion of a double", "§3.2"),
            Rule("def-value", "switches are On or Off, lights have a state", "§2, §3.4"),
            Rule("def-rule", "switches obey their rule", "§3.4"),
            Rule("def-same", "a definition is deleted before it changes", "§0 rule 10"),
            Rule("std-connection", "CONNECTION has CONNECT, then DISCONNECT", "§7, §8"),
            Rule("std-driver-info", "DRIVER_INTERFACE is a decimal number", "§7, §8"),
        ),
        "Reports": (
            Rule("set-state", "reports have a state", "§0 rule 5"),
            Rule("set-legal", "values, states and timeouts are legal", "§2, §3"),
            Rule("set-plain", "numbers are plain decimals", "§0 rule 6"),
            Rule("set-rule", "switches obey their rule", "§3.4"),
            Rule("set-defined", "there is nothing that was not defined", "§0 rule 11"),
            Rule("set-whole", "all members are there", "§2, §10", _WARN),
            Rule("time-form", "timestamps have the form of a time without zone", "§3.5"),
            Rule("time-utc", "timestamps are UTC, none ahead of now", "§3.5"),
            Rule("blob-size", "the size of a BLOB is that of its data", "§4.1"),
            Rule("blob-format", "a BLOB has a format of two characters or more", "§4.1"),
            Rule("blob-base64", "the data of a BLOB are base64", "§4.1"),
            Rule("blob-layout", "one line without enclen, or lines of 72 with it", "§4.2, §4.3"),
        ),
        "Asking for definitions": (
            Rule("ask-first", "nothing is said before somebody asks", "§6, §7", _WARN),
            Rule("ask-all", "getProperties is answered by definitions", "§2"),
            Rule("ask-again", "and each time by all of them", "§0 rule 9"),
            Rule("ask-device", "with a device: by those of the device alone", "§2"),
            Rule("ask-property", "with a device and a name: by that one alone", "§2"),
            Rule("ask-star", "with the device *: by all", "§5.2, §5.5", _WARN),
            Rule("ask-nobody", "with a device that there is not: by none", "§2, §6", _WARN),
            Rule("ask-nothing", "with a name that there is not: by none", "§2"),
            *_with(Needs.SERVER, Rule("ping", "pingRequest is answered by pingReply", "§2", _WARN)),
        ),
        "Requests that must be refused": (
            Rule("read-only", "a property that is read-only", "§2, §3.5"),
            Rule("bad-number", "what is no number", "§3.1"),
            Rule("bad-switch", "what is neither On nor Off", "§3.4"),
            Rule("wrong-kind", "another kind than that of the property", "§3.5"),
            Rule("no-property", "a property that there is not", "§3.5"),
            Rule("no-device", "a device that there is not", "§3.5, §9"),
            Rule("refusal-said", "whoever asked is told", "§0 rule 8, §3.5", _WARN),
            # What libindi's drivers, unlike the rest, see themselves, and some act upon.
            *_with(
                Needs.PRIVATE,
                Rule("switch-rule", "the Off of the one that is On, in OneOfMany", "§3.4"),
                Rule("range", "a number out of its limits", "§3.3"),
            ),
            *_with(Needs.HOSTILE, Rule("no-member", "a member that there is not", "§3.5")),
            *_with(
                Needs.WRITE,
                Rule("two-on", "two switches On, but for AnyOfMany", "§3.4"),
                Rule("not-finite", "NaN and infinity", "§3.1"),
            ),
        ),
        "Requests that must be taken": _with(
            Needs.WRITE,
            Rule("write-answered", "a request is answered, and comes to an end", "§0 rule 8, §3.5"),
            Rule("write-partial", "some members without the others", "§0 rule 7"),
            Rule("write-sexagesimal", "a number in sexagesimal form", "§0 rule 7, §3.1"),
        ),
        "Bad input that must be survived": (
            Rule("bad-junk", "text between elements", "§9"),
            Rule("bad-bracket", "stray < and NUL bytes", "§9"),
            Rule("bad-tags", "end tags that do not match", "§9"),
            Rule("bad-attributes", "attributes without quotes, - and : in names", "§9"),
            Rule("bad-comment", "an element in a comment, which is not carried out", "§9"),
            Rule("bad-doctype", "a document type with entities, and CDATA", "§9"),
            Rule("bad-ampersand", "a bare &", "§9"),
            Rule("bad-unknown", "elements that INDI does not have, and wrong case", "§9"),
            Rule("bad-duplicate", "attributes given twice", "§9"),
            Rule("bad-long-attribute", "an attribute of 20 MB", "§9"),
            Rule("bad-many-members", "50,000 members", "§9"),
            Rule("bad-long-text", "a text of 5 MB", "§9"),
            Rule("bad-size-missing", "a BLOB without size, of size 3x, of none", "§9"),
            Rule("bad-base64", "a BLOB that is not base64", "§9"),
            Rule("bad-attached", "an attached BLOB where none can be", "§9"),
            *_with(
                Needs.HOSTILE,
                Rule("bad-version", "getProperties without version, or with 2.0", "§9"),
                Rule("bad-nesting", "200,000 elements in each other", "§9"),
                Rule("bad-end-tag", "a wrong end tag of 250 kB", "§9"),
                Rule("bad-size", "a BLOB of size abc, or of one over 64 bits", "§9"),
                Rule("bad-size-negative", "a BLOB of size -5", "§9"),
                Rule("bad-size-small", "a BLOB of 6 MB that says size 3", "§9"),
                Rule("bad-enclen", "a BLOB with enclen -5, abc or 2000000000", "§9"),
            ),
        ),
        "A driver as a program": _with(
            Needs.PROGRAM,
            Rule("eof", "it ends within a second or so of its input", "§0 rule 18, §6"),
            Rule("eof-cut", "and in the middle of an element, too", "§6, §9"),
            Rule("stderr", "lines on standard error are under 1024 bytes", "§0 rule 16", _WARN),
            Rule("one-socket", "standard input and output may be one socket", "§0 rule 14, §6"),
        ),
        "A server": _with(
            Needs.SERVER,
            Rule("two-clients", "every client gets all definitions", "§5.2"),
            Rule("only-asked", "a client hears of what it asked for alone", "§5.2"),
            Rule("blob-gate", "no BLOBs for who has not asked for them", "§4.4"),
            Rule("cut-off", "a client that closes in mid-element harms nobody", "§9"),
            Rule("half-close", "a client that closes its half is answered", "§9", _WARN),
            *_with(
                Needs.HOSTILE,
                Rule("slow-reader", "a client that does not read harms nobody", "§9"),
            ),
        ),
    }
)
"""The rules under the headings of the report, in its order."""

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {rule.name: rule for rules in GROUPS.values() for rule in rules}
)
"""Every rule by its name."""

GROUP_OF: Final[Mapping[str, str]] = MappingProxyType(
    {rule.name: group for group, rules in GROUPS.items() for rule in rules}
)
"""The heading of every rule, by its name."""
