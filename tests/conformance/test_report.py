"""What is noted adds up to verdicts, to what is shown of them, and to data."""

from __future__ import annotations

import json

from trindi.conformance import RULES, Needs, Report, Verdict
from trindi.conformance.report import Findings


def outcome(findings: Findings, name: str = "no-member") -> tuple[Verdict, tuple[str, ...], int]:
    found = findings.outcome(RULES[name])
    return found.verdict, found.seen, found.more


def test_what_was_never_looked_at_is_not_applicable() -> None:
    assert outcome(Findings()) == (Verdict.NOT_APPLICABLE, ("nothing to check it on",), 0)


def test_what_needs_something_that_is_missing_says_so() -> None:
    findings = Findings(frozenset({Needs.HOSTILE, Needs.SERVER}))
    assert outcome(findings)[1] == ("only with --hostile",)
    assert outcome(findings, "slow-reader")[1] == ("only for a server",)
    assert not findings.allows("no-member")
    assert findings.allows("read-only")


def test_what_was_not_reached_says_why() -> None:
    findings = Findings(frozenset({Needs.WRITE}))
    assert findings.ended == ""
    findings.ended = "it is gone"
    assert outcome(findings) == (Verdict.NOT_APPLICABLE, ("not checked: it is gone",), 0)
    assert outcome(findings, "two-on")[1] == ("only with --write",)


def test_what_holds_passes_with_what_was_seen() -> None:
    findings = Findings()
    findings.record("no-member")
    findings.record("no-member")
    assert outcome(findings) == (Verdict.PASS, ("2 checked",), 0)
    findings.remark("no-member", "it is fine")
    assert outcome(findings) == (Verdict.PASS, ("it is fine",), 0)


def test_the_worst_fault_decides_and_comes_first() -> None:
    findings = Findings()
    findings.record("ask-nobody", "a warning")
    assert outcome(findings, "ask-nobody") == (Verdict.WARN, ("a warning",), 0)
    findings.record("ask-nobody", "a failure", Verdict.FAIL)
    assert outcome(findings, "ask-nobody") == (Verdict.FAIL, ("a failure", "a warning"), 0)


def test_a_fault_is_noted_once_and_not_all_are_shown() -> None:
    findings = Findings()
    for number in [*range(8)] * 3:
        findings.record("no-member", f"fault {number}")
    assert outcome(findings) == (Verdict.FAIL, tuple(f"fault {n}" for n in range(5)), 3)


def make_report(**faults: Verdict) -> Report:
    findings = Findings()
    findings.record("ask-all")
    for name, verdict in faults.items():
        findings.record(name, "seen", verdict)
    return Report("there", "server", {"Camera": ("CCD1", "CONNECTION")}, findings.outcomes())


def test_warnings_count_only_where_that_is_strict() -> None:
    assert make_report().conforms(strict=True)
    warned = make_report(range=Verdict.WARN)
    assert warned.conforms()
    assert not warned.conforms(strict=True)
    assert not make_report(range=Verdict.FAIL).conforms()


def test_the_report_as_data() -> None:
    report = make_report(range=Verdict.FAIL, ping=Verdict.WARN)
    data = json.loads(json.dumps(report.as_data()))
    assert (data["target"], data["kind"], data["conforms"]) == ("there", "server", False)
    assert data["devices"] == {"Camera": ["CCD1", "CONNECTION"]}
    assert data["counts"] == {"pass": 1, "warn": 1, "fail": 1, "n/a": len(RULES) - 3}
    assert [each["rule"] for each in data["rules"]] == list(RULES)
    (found,) = [each for each in data["rules"] if each["rule"] == "range"]
    assert found == {
        "group": "Requests that must be refused",
        "rule": "range",
        "title": RULES["range"].title,
        "source": "protocol §3.3",
        "verdict": "fail",
        "checked": 1,
        "seen": ["seen"],
        "more": 0,
    }
