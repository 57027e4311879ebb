"""The rules that a driver or a server is checked against, as one table.

The checker, its report and the documentation read this table. This module checks nothing.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple


class Verdict(StrEnum):
    """The result for one rule."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    NOT_APPLICABLE = "n/a"


class Needs(StrEnum):
    """A condition for checking a rule, in the words that a report uses if it is not met."""

    PROGRAM = "only for a program"
    SERVER = "only for a server"
    WRITE = "only with --write"
    PRIVATE = "only for a program, or with --write"
    HOSTILE = "only with --hostile"


class ConformanceRule(NamedTuple):
    """One rule: its title says what must hold, its source the sections that require it.

    The verdict of a `breach` is ``WARN`` if the protocol only recommends the rule, or if programs
    in wide use differ. `needs` are the conditions for checking it.
    """

    name: str
    title: str
    source: str
    breach: Verdict = Verdict.FAIL
    needs: tuple[Needs, ...] = ()


def _with(needs: Needs, *rules: ConformanceRule) -> tuple[ConformanceRule, ...]:
    return tuple(rule._replace(needs=(needs, *rule.needs)) for rule in rules)


_rule: Final = ConformanceRule
_WARN: Final = Verdict.WARN

GROUPS: Final = MappingProxyType(
    {
        "The stream": (
            _rule("well-formed", "elements are well-formed and can be read", "§1, §2"),
            _rule("known-elements", "all elements are INDI's", "§2", _WARN),
            _rule("nothing-else", "nothing stands between elements", "§0 rule 17"),
            _rule("encoding", "text is UTF-8", "§1.3", _WARN),
            _rule("lengths", "names, labels and messages fit into libindi", "§1.5", _WARN),
            _rule("names", "names are printable ASCII, without a dot", "§1.5", _WARN),
        ),
        "Definitions": (
            _rule("def-required", "device, name, state, perm and rule are there", "§2"),
            _rule("def-legal", "state, perm, rule and timeout are legal", "§2"),
            _rule("def-label", "labels and groups are there", "§2", _WARN),
            _rule("def-members", "members are of the kind, each with its own name", "§2"),
            _rule("def-number", "numbers have format, min, max, step and value", "§2, §3.1"),
            _rule("def-plain", "numbers are plain decimals", "§0 rule 6, §3.1"),
            _rule("def-range", "min is not over max, and step is not negative", "§3.3"),
            _rule("def-within", "numbers are within their limits", "§3.3", _WARN),
            _rule("def-format", "a format has one conversion of a double", "§3.2"),
            _rule("def-value", "switches are On or Off, lights have a state", "§2, §3.4"),
            _rule("def-rule", "switches obey their rule", "§3.4"),
            _rule("def-same", "a definition is deleted before it changes", "§0 rule 10"),
            _rule("std-connection", "CONNECTION has CONNECT, then DISCONNECT", "§7, §8"),
            _rule("std-driver-info", "DRIVER_INTERFACE is a decimal number", "§7, §8"),
        ),
        "Reports": (
            _rule("set-state", "reports have a state", "§0 rule 5"),
            _rule("set-legal", "values, states and timeouts are legal", "§2, §3"),
            _rule("set-plain", "numbers are plain decimals", "§0 rule 6"),
            _rule("set-rule", "switches obey their rule", "§3.4"),
            _rule("set-defined", "only what was defined is reported", "§0 rule 11"),
            _rule("set-whole", "all members are there", "§2, §10", _WARN),
            _rule("time-form", "timestamps have the form of a time without zone", "§3.5"),
            _rule("time-utc", "timestamps are UTC, none ahead of now", "§3.5"),
            _rule("blob-size", "the size of a BLOB is that of its data", "§4.1"),
            _rule("blob-format", "a BLOB has a format of two characters or more", "§4.1"),
            _rule("blob-base64", "the data of a BLOB are base64", "§4.1"),
            _rule("blob-layout", "one line without enclen, or lines of 72 with it", "§4.2, §4.3"),
        ),
        "Asking for definitions": (
            _rule("ask-first", "nothing is sent before the first request", "§6, §7", _WARN),
            _rule("ask-all", "getProperties is answered by definitions", "§2"),
            _rule("ask-again", "each getProperties is answered by all definitions", "§0 rule 9"),
            _rule("ask-device", "with a device: by that device's definitions only", "§2"),
            _rule("ask-property", "with a device and a name: by that definition only", "§2"),
            _rule("ask-star", "with the device *: by all definitions", "§5.2, §5.5", _WARN),
            _rule("ask-nobody", "with an unknown device: by no definition", "§2, §6", _WARN),
            _rule("ask-nothing", "with an unknown name: by no definition", "§2"),
            _rule("ping", "pingRequest is answered by pingReply", "§2", _WARN, (Needs.SERVER,)),
        ),
        "Requests that must be refused": (
            _rule("read-only", "a write to a read-only property", "§2, §3.5"),
            _rule("bad-number", "text that is not a number", "§3.1"),
            _rule("bad-switch", "a switch value other than On and Off", "§3.4"),
            _rule("wrong-kind", "a request of another kind than the property", "§3.5"),
            _rule("no-property", "an unknown property", "§3.5"),
            _rule("no-device", "an unknown device", "§3.5, §9"),
            _rule("refusal-said", "the client is told of each refusal", "§0 rule 8, §3.5", _WARN),
            # libindi leaves the refusal of these to its drivers, and some act on them.
            *_with(
                Needs.PRIVATE,
                _rule("switch-rule", "turning Off the only On switch of OneOfMany", "§3.4"),
                _rule("range", "a number outside its limits", "§3.3"),
            ),
            *_with(Needs.HOSTILE, _rule("no-member", "an unknown member", "§3.5")),
            *_with(
                Needs.WRITE,
                _rule("two-on", "two switches On, unless the rule is AnyOfMany", "§3.4"),
                _rule("not-finite", "NaN and infinity", "§3.1"),
            ),
        ),
        "Requests that must be taken": _with(
            Needs.WRITE,
            _rule("write-answered", "a request is answered, and completes", "§0 rule 8, §3.5"),
            _rule("write-partial", "a request with only some of the members", "§0 rule 7"),
            _rule("write-sexagesimal", "a number in sexagesimal form", "§0 rule 7, §3.1"),
        ),
        "Bad input that must be survived": (
            _rule("bad-junk", "text between elements", "§9"),
            _rule("bad-bracket", "stray < and NUL bytes", "§9"),
            _rule("bad-tags", "end tags that do not match", "§9"),
            _rule("bad-attributes", "attributes without quotes, - and : in names", "§9"),
            _rule("bad-comment", "an element in a comment, to be ignored", "§9"),
            _rule("bad-doctype", "a document type with entities, and CDATA", "§9"),
            _rule("bad-ampersand", "a bare &", "§9"),
            _rule("bad-unknown", "unknown elements, and names in the wrong case", "§9"),
            _rule("bad-duplicate", "attributes given twice", "§9"),
            _rule("bad-long-attribute", "an attribute of 20 MB", "§9"),
            _rule("bad-many-members", "50,000 members", "§9"),
            _rule("bad-long-text", "a text of 5 MB", "§9"),
            _rule("bad-size-missing", "a BLOB without size, or with size 3x or empty", "§9"),
            _rule("bad-base64", "a BLOB that is not base64", "§9"),
            _rule("bad-attached", "an attached BLOB without a descriptor", "§9"),
            *_with(
                Needs.HOSTILE,
                _rule("bad-version", "getProperties without version, or with 2.0", "§9"),
                _rule("bad-nesting", "200,000 nested elements", "§9"),
                _rule("bad-end-tag", "a wrong end tag of 250 kB", "§9"),
                _rule("bad-size", "a BLOB of size abc, or over 64 bits", "§9"),
                _rule("bad-size-negative", "a BLOB of size -5", "§9"),
                _rule("bad-size-small", "a BLOB of 6 MB with size 3", "§9"),
                _rule("bad-enclen", "a BLOB with enclen -5, abc or 2000000000", "§9"),
            ),
        ),
        "A driver as a program": _with(
            Needs.PROGRAM,
            _rule("eof", "it ends within a second or so of its input", "§0 rule 18, §6"),
            _rule("eof-cut", "also when its input ends within an element", "§6, §9"),
            _rule("stderr", "lines on standard error are under 1024 bytes", "§0 rule 16", _WARN),
            _rule("one-socket", "standard input and output may be one socket", "§0 rule 14, §6"),
        ),
        "A server": _with(
            Needs.SERVER,
            _rule("two-clients", "every client gets all definitions", "§5.2"),
            _rule("only-asked", "a client receives only what it asked for", "§5.2"),
            _rule("blob-gate", "BLOBs go only to clients that enabled them", "§4.4"),
            _rule("cut-off", "a client that closes within an element harms no other", "§9"),
            _rule("half-close", "a client that closes its sending half is answered", "§9", _WARN),
            *_with(
                Needs.HOSTILE,
                _rule("slow-reader", "a client that does not read harms no other", "§9"),
            ),
        ),
    }
)
"""The rules under the headings of the report, in report order."""

RULES: Final = MappingProxyType({rule.name: rule for rules in GROUPS.values() for rule in rules})
"""Each rule by its name."""

GROUP_OF: Final = {rule.name: group for group, rules in GROUPS.items() for rule in rules}
"""The heading of each rule, by the name of the rule."""
