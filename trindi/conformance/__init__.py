"""Checks any INDI driver or server against the protocol, and says what it found, rule by rule.

It stands beside the server and the client and uses neither. It looks at the wire itself, where an
attribute that is missing can still be seen, or a number in a form that others read wrongly.
"""

from trindi.conformance.checker import check as check
from trindi.conformance.report import Outcome as Outcome, Report as Report
from trindi.conformance.rules import (
    GROUPS as GROUPS,
    RULES as RULES,
    Needs as Needs,
    Rule as Rule,
    Verdict as Verdict,
)
from trindi.conformance.session import Options as Options, Progress as Progress
from trindi.conformance.settings import (
    Setting as Setting,
    SettingError as SettingError,
    split_setting as split_setting,
)
from trindi.conformance.targets import (
    Peer as Peer,
    Program as Program,
    Server as Server,
    Target as Target,
    UnreachableError as UnreachableError,
)
