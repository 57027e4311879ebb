"""Checks any INDI driver or server against the protocol, and reports a verdict for each rule.

It uses neither the server nor the client. It looks at the elements as written, where a missing
attribute, or a number in a form that others misread, is still visible.
"""

from trindi.conformance.checker import check as check
from trindi.conformance.options import (
    Options as Options,
    ProgressCallback as ProgressCallback,
    Setting as Setting,
    SettingError as SettingError,
    Timing as Timing,
    split_setting as split_setting,
)
from trindi.conformance.report import Outcome as Outcome, Report as Report
from trindi.conformance.rules import (
    GROUPS as GROUPS,
    RULES as RULES,
    ConformanceRule as ConformanceRule,
    Needs as Needs,
    Verdict as Verdict,
)
from trindi.conformance.targets import (
    Peer as Peer,
    Program as Program,
    Server as Server,
    Target as Target,
    UnreachableError as UnreachableError,
)
