"""What was found: a verdict for each rule, with what was seen, as text and as data.

Whoever checks something tells the `Ledger`; the `Report` is what it adds up to. This module knows
the table of rules, but not how any of them is checked.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from trindi.conformance.rules import GROUPS, RULES, Needs, Rule, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Ledger", "Outcome", "Report"]

_SHOWN: Final = 5
"""What a report shows of one rule; a fault that is everywhere need not be shown everywhere."""


class Outcome(NamedTuple):
    """What became of one rule.

    Attributes:
        rule: the rule.
        verdict: what became of it.
        checked: how many times it was looked at.
        seen: what was seen, the faults where there are any; the worst few of them.
        more: how many further faults there are.
    """

    rule: Rule
    verdict: Verdict
    checked: int
    seen: tuple[str, ...]
    more: int

    @property
    def is_finding(self) -> bool:
        """Whether the rule is broken, if only by a warning."""
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
    """What a check has found.

    Attributes:
        target: what was checked.
        kind: "program" or "server".
        devices: the names of the properties of each device that was seen.
        outcomes: one for each rule, in the order of the table.
        ended: why the check ended before all was checked, or "".
    """

    target: str
    kind: str
    devices: Mapping[str, tuple[str, ...]]
    outcomes: Mapping[str, Outcome]
    ended: str = ""

    def counts(self) -> dict[str, int]:
        """Return how many rules have each verdict."""
        found = Counter(outcome.verdict for outcome in self.outcomes.values())
        return {str(verdict): found[verdict] for verdict in Verdict}

    def conforms(self, *, strict: bool = False) -> bool:
        """Whether no rule is broken; where that is strict, there is no warning either."""
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


class Ledger:
    """Notes what is seen of each rule.

    Args:
        missing: what of `Needs` is not there.

    Attributes:
        ended: why what has not been checked by now will not be, or "".
    """

    def __init__(self, missing: frozenset[Needs] = frozenset()) -> None:
        self._missing = missing
        self._checked: Counter[str] = Counter()
        self._remarks: dict[str, str] = {}
        self.ended = ""
        # As a dict, because it keeps the order, and each fault once.
        self._faults: dict[str, dict[str, Verdict]] = {name: {} for name in RULES}

    def allows(self, name: str) -> bool:
        """Whether what a rule needs is there."""
        return self._missing.isdisjoint(RULES[name].needs)

    def judge(self, name: str, fault: str = "", verdict: Verdict | None = None) -> None:
        """Note that a rule was looked at, and what was wrong, if anything.

        Args:
            name: that of the rule.
            fault: what was seen that breaks it, or "".
            verdict: where it is not what breaking the rule means in general.
        """
        self._checked[name] += 1
        if fault:
            self._faults[name].setdefault(fault, verdict or RULES[name].breach)

    def remark(self, name: str, text: str) -> None:
        """Say something of a rule, whatever its verdict; the last word counts."""
        self._remarks[name] = text

    def end_early(self, why: str) -> None:
        """Say why what has not been checked by now will not be."""
        self.ended = why

    def has_fault(self, name: str) -> bool:
        """Whether a rule has been broken."""
        return bool(self._faults[name])

    def outcome(self, rule: Rule) -> Outcome:
        """Add up what was seen of a rule."""
        faults, checked = self._faults[rule.name], self._checked[rule.name]
        if faults:
            verdict = Verdict.FAIL if Verdict.FAIL in faults.values() else Verdict.WARN
            # The worst first: they are what is shown.
            seen = sorted(faults, key=lambda fault: faults[fault] is not Verdict.FAIL)
            shown = tuple(seen[:_SHOWN])
            return Outcome(rule, verdict, checked, shown, len(seen) - len(shown))
        if checked:
            remark = self._remarks.get(rule.name) or f"{checked} checked"
            return Outcome(rule, Verdict.PASS, checked, (remark,), 0)
        return Outcome(rule, Verdict.NOT_APPLICABLE, 0, (self._why_not(rule),), 0)

    def _why_not(self, rule: Rule) -> str:
        for need in rule.needs:
            if need in self._missing:
                return str(need)
        return f"not checked: {self.ended}" if self.ended else "nothing to check it on"

    def outcomes(self) -> dict[str, Outcome]:
        """Add up everything."""
        return {name: self.outcome(rule) for name, rule in RULES.items()}
