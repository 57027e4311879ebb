"""The result of a check: a verdict for each rule with its evidence, as objects and as JSON data.

The checks record what they see in `Findings`; a `Report` is the summary. This module knows the
table of rules, but not how a rule is checked.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from trindi.conformance.rules import GROUPS, RULES, ConformanceRule, Needs, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SHOWN: Final = 5  # faults of one rule in a report: a fault may occur in every property


class Outcome(NamedTuple):
    """The outcome of one rule.

    `checked` is how many times. `seen` are the faults, the worst first, or a remark if there are
    none; `more` is how many faults there are beside them.
    """

    rule: ConformanceRule
    verdict: Verdict
    checked: int
    seen: tuple[str, ...]
    more: int

    @property
    def is_finding(self) -> bool:
        """Whether the verdict is a failure or a warning."""
        return self.verdict in (Verdict.FAIL, Verdict.WARN)

    def as_data(self, group: str) -> dict[str, Any]:
        """Return what ``--json`` shows of it."""
        return {
            "group": group,
            "rule": self.rule.name,
            "title": self.rule.title,
            "source": f"protocol {self.rule.source}",
            "verdict": str(self.verdict),
            "checked": self.checked,
            "seen": list(self.seen),
            "more": self.more,
        }


class Report(NamedTuple):
    """The result of a check.

    The `kind` of the target is "program" or "server". `devices` has the property names of each,
    `outcomes` is in the order of the table, and `ended` says why rules were left unchecked, or "".
    """

    target: str
    kind: str
    devices: Mapping[str, tuple[str, ...]]
    outcomes: Mapping[str, Outcome]
    ended: str = ""

    def counts(self) -> dict[str, int]:
        """Return the number of rules with each verdict."""
        found = Counter(outcome.verdict for outcome in self.outcomes.values())
        return {str(verdict): found[verdict] for verdict in Verdict}

    def conforms(self, *, strict: bool = False) -> bool:
        """Whether no rule failed; with `strict`, no rule may have a warning either."""
        counts = self.counts()
        return not counts[Verdict.FAIL] and not (strict and counts[Verdict.WARN])

    def grouped(self) -> Iterator[tuple[str, list[Outcome]]]:
        """Yield the outcomes under the headings of the table."""
        for group, rules in GROUPS.items():
            yield group, [self.outcomes[rule.name] for rule in rules]

    def as_data(self, *, strict: bool = False) -> dict[str, Any]:
        """Return what ``--json`` shows."""
        return {
            "target": self.target,
            "kind": self.kind,
            "conforms": self.conforms(strict=strict),
            "ended": self.ended,
            "counts": self.counts(),
            "devices": {device: list(names) for device, names in self.devices.items()},
            "rules": [
                outcome.as_data(group) for group, outcomes in self.grouped() for outcome in outcomes
            ],
        }


class Findings:
    """Collects the observations of each rule, in a check that does not meet the needs `missing`."""

    def __init__(self, missing: frozenset[Needs] = frozenset()) -> None:
        self._missing = missing
        self._checked: Counter[str] = Counter()
        self._remarks: dict[str, str] = {}
        self.ended = ""  # Or why the remaining rules are not checked.
        # A dict keeps the order and holds each fault once.
        self._faults: dict[str, dict[str, Verdict]] = {name: {} for name in RULES}

    def allows(self, name: str) -> bool:
        """Whether this check meets the needs of a rule."""
        return self._missing.isdisjoint(RULES[name].needs)

    def record(self, name: str, fault: str = "", verdict: Verdict | None = None) -> None:
        """Record that a rule was checked once, and its fault with the rule's or its own verdict."""
        self._checked[name] += 1
        if fault:
            self._faults[name].setdefault(fault, verdict or RULES[name].breach)

    def remark(self, name: str, text: str) -> None:
        """Set the text that a report shows if the rule passes."""
        self._remarks[name] = text

    def has_fault(self, name: str) -> bool:
        return bool(self._faults[name])

    def outcome(self, rule: ConformanceRule) -> Outcome:
        faults, checked = self._faults[rule.name], self._checked[rule.name]
        if faults:
            verdict = Verdict.FAIL if Verdict.FAIL in faults.values() else Verdict.WARN
            seen = sorted(faults, key=lambda fault: faults[fault] is not Verdict.FAIL)
            return Outcome(rule, verdict, checked, tuple(seen[:_SHOWN]), len(seen[_SHOWN:]))
        if checked:
            remark = self._remarks.get(rule.name) or f"{checked} checked"
            return Outcome(rule, Verdict.PASS, checked, (remark,), 0)
        return Outcome(rule, Verdict.NOT_APPLICABLE, 0, (self._why_not_checked(rule),), 0)

    def _why_not_checked(self, rule: ConformanceRule) -> str:
        otherwise = f"not checked: {self.ended}" if self.ended else "nothing to check it on"
        return next((str(need) for need in rule.needs if need in self._missing), otherwise)

    def outcomes(self) -> dict[str, Outcome]:
        return {name: self.outcome(rule) for name, rule in RULES.items()}
