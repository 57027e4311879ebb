"""Vectors: their mapping, their rules, their events, and what clients may ask of them."""

from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest
import trio

from tests.kit.driver import driver_of, start
from trindi import (
    BLOBMember,
    BLOBVector,
    Device,
    IPyDriver,
    LightMember,
    LightVector,
    Limits,
    NumberLabel,
    NumberMember,
    NumberVector,
    Permission,
    Rule,
    State,
    SwitchMember,
    SwitchState,
    SwitchVector,
    TextMember,
    TextVector,
    defBLOBVector,
    defLightVector,
    defNumberVector,
    defSwitchVector,
    defTextVector,
    newBLOBVector,
    newNumberVector,
    newSwitchVector,
    newTextVector,
    setBLOBVector,
    setLightVector,
    setNumberVector,
    setSwitchVector,
    setTextVector,
)
from trindi.errors import ConfigurationError, RefusedError
from trindi.properties import MAX_DEFINITION_BYTES, MAX_MESSAGE_BYTES
from trindi.protocol import MAX_ELEMENT_BYTES, encode

NOON = datetime(2024, 2, 1, 12, tzinfo=UTC)


def encode_text(text: str) -> bytes:
    """Write a text as it stands in an element."""
    written = encode(newTextVector("Dev", "t", {"a": text}))
    return written.removeprefix(
        encode(newTextVector("Dev", "t", {"a": ""})).partition(b"</")[0]
    ).partition(b"</")[0]


def numbers(*names: str, **kwargs: Any) -> NumberVector:
    return NumberVector("n", numbermembers=[NumberMember(name) for name in names], **kwargs)


def switches(on: str = "", *, rule: str = "OneOfMany", perm: str = "rw") -> SwitchVector:
    members = [SwitchMember(name, membervalue=name in on) for name in "abc"]
    return SwitchVector("s", perm=perm, rule=rule, switchmembers=members)


def one_of_each() -> list[Any]:
    return [
        SwitchVector("s", perm="rw", rule="AnyOfMany", switchmembers=[SwitchMember("a")]),
        LightVector("l", lightmembers=[LightMember("a")]),
        TextVector("t", perm="rw", textmembers=[TextMember("a")]),
        NumberVector("n", perm="rw", numbermembers=[NumberMember("a")]),
        BLOBVector("b", perm="rw", blobmembers=[BLOBMember("a")]),
    ]


class TestDeclaring:
    def test_defaults(self) -> None:
        vector = numbers("a")
        assert (vector.label, vector.group) == ("n", "Main Control")
        assert (vector.perm, vector.state) == ("ro", "Ok")
        assert (vector.timeout, vector.enable) == (0.0, True)
        assert SwitchVector("s", switchmembers=[SwitchMember("a", None, "On")]).rule == "OneOfMany"

    @pytest.mark.parametrize(
        "make",
        [
            lambda text: NumberVector("n", text, numbermembers=[NumberMember("a")]),
            lambda text: NumberVector("n", group=text, numbermembers=[NumberMember("a")]),
            lambda text: NumberVector(text, numbermembers=[NumberMember("a")]),
            NumberMember,
            lambda text: NumberMember("a", text),
            lambda text: NumberMember("a", format=text + "%g"),
            lambda text: BLOBMember("a", blobformat=text),
        ],
        ids=["label", "group", "name", "member", "member label", "format", "blobformat"],
    )
    def test_what_no_client_takes_is_an_error_at_once(self, make: Any) -> None:
        make("x" * 60_000)
        with pytest.raises(ValueError, match=r"65536|too long"):
            make("x" * 70_000)

    def test_no_group_is_empty(self) -> None:
        """KStars would name its tab ``(I18N_EMPTY_MESSAGE)``."""
        vector = NumberVector("n", group=" ", numbermembers=[NumberMember("a")])
        assert vector.group == "Main Control"
        vector.group = "Optics"
        assert vector.group == "Optics"
        vector.group = ""
        assert vector.group == "Main Control"

    def test_positional_arguments_stand_in_the_order_authors_know(self) -> None:
        switch = SwitchVector("s", "S", "G", "rw", "AtMostOne", "Busy", [SwitchMember("a")])
        assert (switch.label, switch.group, switch.perm) == ("S", "G", "rw")
        assert (switch.rule, switch.state) == (Rule.AT_MOST_ONE, State.BUSY)
        number = NumberVector("n", "N", "G", "wo", "Idle", [NumberMember("a")])
        text = TextVector("t", "T", "G", "rw", "Alert", [TextMember("a")])
        blob = BLOBVector("b", "B", "G", "ro", "Ok", [BLOBMember("a")])
        light = LightVector("l", "L", "G", "Busy", [LightMember("a")])
        assert [v.perm for v in (number, text, blob, light)] == ["wo", "rw", "ro", Permission.RO]
        assert [v.state for v in (number, text, blob, light)] == ["Idle", "Alert", "Ok", "Busy"]

    @pytest.mark.parametrize(
        ("wrong", "complaint"),
        [
            ({"perm": "r"}, "no permission"),
            ({"state": "ok"}, "no state"),
            ({"rule": "All"}, "no switch rule"),
            ({"name": "ü"}, "name of a vector"),
            ({"name": ""}, "may not be empty"),
            ({"switchmembers": []}, "has no members"),
            ({"switchmembers": [SwitchMember("a"), SwitchMember("a")]}, "two members named 'a'"),
        ],
    )
    def test_bad_values_are_refused_at_once(self, wrong: dict[str, Any], complaint: str) -> None:
        good: dict[str, Any] = {"name": "s", "rule": "AnyOfMany"}
        with pytest.raises(ValueError, match=complaint):
            SwitchVector(**good | {"switchmembers": [SwitchMember("a")]} | wrong)

    def test_members_of_another_kind_are_refused(self) -> None:
        with pytest.raises(TypeError, match="vector 'n' are NumberMember instances, not TextM"):
            NumberVector("n", numbermembers=[TextMember("a")])  # type: ignore[list-item]

    def test_a_member_belongs_to_one_vector(self) -> None:
        member = NumberMember("a")
        NumberVector("n", numbermembers=[member])
        with pytest.raises(ValueError, match="part of vector 'n'"):
            NumberVector("m", numbermembers=[member])

    @pytest.mark.parametrize("wrong", [{"label": 5}, {"group": None}])
    def test_label_and_group_are_text(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(TypeError, match="is a str"):
            numbers("a", **wrong)

    def test_state_and_timeout_are_checked_when_set(self) -> None:
        vector = numbers("a")
        vector.state = "Busy"
        vector.timeout = "1:30"
        assert (vector.state, vector.timeout) == (State.BUSY, 1.5)
        with pytest.raises(ValueError, match="no state"):
            vector.state = "busy"
        with pytest.raises(ValueError, match="below 0"):
            vector.timeout = -1
        assert (vector.state, vector.timeout) == (State.BUSY, 1.5)


class TestMapping:
    def test_maps_names_to_values(self) -> None:
        vector = numbers("a", "b")
        vector["b"] = "2"
        assert dict(vector) == {"a": 0.0, "b": 2.0}
        assert (len(vector), "a" in vector, "x" in vector) == (2, True, False)
        assert vector.members["b"].membervalue == 2

    def test_unknown_member_is_a_key_error_that_names_the_others(self) -> None:
        vector = numbers("a", "b")
        with pytest.raises(KeyError, match="no member 'x', only a, b"):
            vector["x"]
        with pytest.raises(KeyError, match="no member 'x'"):
            vector["x"] = 1

    def test_two_vectors_of_the_same_values_are_two(self) -> None:
        one, other = numbers("a"), numbers("a")
        assert one != other
        assert len({one, other}) == 2

    def test_update_sets_all_or_none(self) -> None:
        vector = numbers("a", "b")
        vector.update({"a": 1, "b": "2"})
        assert dict(vector) == {"a": 1, "b": 2}
        with pytest.raises(ValueError, match="not a number"):
            vector.update({"a": 5, "b": "x"})
        with pytest.raises(KeyError):
            vector.update({"a": 5, "x": 5})
        assert dict(vector) == {"a": 1, "b": 2}

    def test_a_member_set_directly_is_set_in_the_vector(self) -> None:
        vector = switches("a")
        vector.members["b"].membervalue = True
        assert dict(vector) == {"a": "Off", "b": "On", "c": "Off"}

    def test_knows_where_it_belongs(self) -> None:
        vector = numbers("a")
        assert (vector.devicename, vector.device, vector.driver) == ("", None, None)
        assert repr(vector) == "<NumberVector ?.n Ok>"
        driver = driver_of(vector)
        assert vector.devicename == "Dev"
        assert vector.device is driver["Dev"]
        assert vector.driver is driver
        assert repr(vector) == "<NumberVector Dev.n Ok>"


class TestSwitchRules:
    @pytest.mark.parametrize("rule", ["OneOfMany", "AtMostOne"])
    def test_one_on_turns_the_others_off(self, rule: str) -> None:
        vector = switches("a", rule=rule)
        vector["c"] = "On"
        assert dict(vector) == {"a": "Off", "b": "Off", "c": "On"}
        vector.update({"b": "On", "c": "Off"})
        assert dict(vector) == {"a": "Off", "b": "On", "c": "Off"}

    def test_only_what_went_off_has_changed(self) -> None:
        vector = switches("a")
        for member in vector.members.values():
            member._note_sent()
        vector["b"] = "On"
        assert [name for name, member in vector.members.items() if member.changed] == ["a", "b"]

    def test_any_of_many_leaves_the_others(self) -> None:
        vector = switches("a", rule="AnyOfMany")
        vector["b"] = "On"
        assert dict(vector) == {"a": "On", "b": "On", "c": "Off"}

    @pytest.mark.parametrize(
        ("rule", "on", "complaint"),
        [
            ("OneOfMany", "", "no switch On"),
            ("OneOfMany", "ab", "2 switches are On"),
            ("AtMostOne", "ab", "2 switches are On"),
        ],
    )
    def test_what_breaks_the_rule_cannot_be_built(self, rule: str, on: str, complaint: str) -> None:
        with pytest.raises(ValueError, match=complaint):
            switches(on, rule=rule)

    @pytest.mark.parametrize(("rule", "on"), [("AtMostOne", ""), ("AnyOfMany", "abc")])
    def test_what_keeps_the_rule_can(self, rule: str, on: str) -> None:
        assert list(switches(on, rule=rule).values()).count("On" if on else "Off") == 3  # type: ignore[arg-type]


class TestEvents:
    def test_definitions_say_everything(self) -> None:
        number = NumberVector(
            "n", "N", "G", "rw", "Busy", [NumberMember("a", "A", "%5.1f", -1, 1, 0.5, "0.25")]
        )
        number.timeout = 3
        driver_of(number)
        assert number.definition("hello", NOON) == defNumberVector(
            "Dev",
            "n",
            "N",
            "G",
            State.BUSY,
            Permission.RW,
            {"a": 0.25},
            {"a": NumberLabel("A", "%5.1f", -1, 1, 0.5)},
            3.0,
            NOON,
            "[INFO] hello",
        )

    def test_each_kind_has_its_definition(self) -> None:
        vectors = one_of_each()
        driver_of(*vectors)
        switch, light, text, number, blob = (vector.definition("", NOON) for vector in vectors)
        head = ("Main Control", State.OK, Permission.RW)
        assert switch == defSwitchVector(
            "Dev",
            "s",
            "s",
            *head,
            Rule.ANY_OF_MANY,
            {"a": SwitchState.OFF},
            {"a": "a"},
            timestamp=NOON,
        )
        assert light == defLightVector(
            "Dev", "l", "l", "Main Control", State.OK, {"a": State.IDLE}, {"a": "a"}, NOON
        )
        assert text == defTextVector("Dev", "t", "t", *head, {"a": ""}, {"a": "a"}, timestamp=NOON)
        assert isinstance(number, defNumberVector)
        assert blob == defBLOBVector(
            "Dev", "b", "b", *head, {"a": None}, {"a": "a"}, timestamp=NOON
        )

    def test_each_kind_has_its_report(self) -> None:
        vectors = one_of_each()
        driver_of(*vectors)
        reports = [vector.status("hello") for vector in vectors]
        assert [type(report) for report in reports] == [
            setSwitchVector,
            setLightVector,
            setTextVector,
            setNumberVector,
            setBLOBVector,
        ]
        assert [dict(report) for report in reports] == [
            {"a": "Off"},
            {"a": "Idle"},
            {"a": ""},
            {"a": 0.0},
            {},
        ]
        assert {report.message for report in reports} == {"[INFO] hello"}
        assert {report.state for report in reports} == {State.OK}

    def test_members_going_off_stand_first(self) -> None:
        vector = switches("a")
        driver_of(vector)
        assert list(vector.report("abc")) == ["b", "c", "a"]

    def test_new_limits_go_with_the_values(self) -> None:
        vector = numbers("a", "b")
        driver_of(vector)
        vector.members["a"].limits = (0, 5, 1)
        report = vector.report(["a", "b"], "", NOON)
        assert report == setNumberVector(
            "Dev", "n", {"a": 0, "b": 0}, State.OK, 0, NOON, "", {"a": Limits(0, 5, 1)}
        )

    @pytest.mark.parametrize(
        "given",
        [
            datetime(2024, 2, 1, 12),
            NOON,
            datetime(2024, 2, 1, 14, tzinfo=timezone(timedelta(hours=2))),
        ],
    )
    def test_timestamps_are_utc(self, given: datetime) -> None:
        vector = numbers("a")
        driver_of(vector)
        for event in (vector.definition("", given), vector.report(["a"], "", given)):
            assert event.timestamp == NOON
            assert event.timestamp.tzinfo is UTC

    def test_without_a_timestamp_it_is_now(self) -> None:
        vector = numbers("a")
        driver_of(vector)
        before = datetime.now(UTC)
        stamp = vector.definition().timestamp
        assert stamp is not None
        assert before <= stamp <= datetime.now(UTC)

    def test_without_a_driver_there_is_no_time(self) -> None:
        with pytest.raises(RuntimeError, match="put its device into an IPyDriver"):
            numbers("a").definition()


class TestChecking:
    """What a client asks is refused with a reason that it can read."""

    @pytest.mark.parametrize(
        ("vector", "event", "reason"),
        [
            (
                numbers("a", perm="rw"),
                newTextVector("Dev", "n", {"a": "1"}),
                "not a Text",
            ),
            (numbers("a"), newNumberVector("Dev", "n", {"a": 1.0}), "read-only"),
            (numbers("a", perm="rw"), newNumberVector("Dev", "n"), "holds no members"),
            (numbers("a", perm="rw"), newNumberVector("Dev", "n", {"x": 1.0}), "no member x"),
            (switches("a"), newSwitchVector("Dev", "s", {"a": SwitchState.OFF}), "no switch is On"),
            (
                LightVector("l", lightmembers=[LightMember("a")]),
                newTextVector("Dev", "l", {"a": "Ok"}),
                "Light vector",
            ),
            (
                BLOBVector("b", blobmembers=[BLOBMember("a")]),
                newBLOBVector("Dev", "b", {"a": b""}),
                "read-only",
            ),
        ],
    )
    def test_refusals(self, vector: Any, event: Any, reason: str) -> None:
        with pytest.raises(RefusedError, match=reason):
            vector.check(event)

    @pytest.mark.parametrize("perm", ["rw", "wo"])
    def test_what_may_be_written_is_taken(self, perm: str) -> None:
        assert _taken(numbers("a", perm=perm), newNumberVector("Dev", "n", {"a": 1.5})) == {
            "a": 1.5
        }

    @pytest.mark.parametrize(
        ("rule", "asked", "reason"),
        [
            ("OneOfMany", {"a": "On", "b": "On"}, "too many switches are On: a, b"),
            ("AtMostOne", {"a": "On", "b": "On"}, "too many switches are On: a, b"),
            ("OneOfMany", {"a": "Off", "b": "Off"}, "no switch is On"),
        ],
    )
    def test_switch_rules_bind_clients(self, rule: str, asked: Any, reason: str) -> None:
        with pytest.raises(RefusedError, match=reason):
            switches("a", rule=rule).check(_asked(asked))

    @pytest.mark.parametrize(
        ("rule", "asked"),
        [
            ("OneOfMany", {"b": "On"}),
            ("OneOfMany", {"a": "Off", "b": "On", "c": "Off"}),
            ("AtMostOne", {"a": "Off"}),
            ("AnyOfMany", {"a": "On", "b": "On"}),
            ("AnyOfMany", {"a": "Off"}),
        ],
    )
    def test_what_keeps_the_rule_is_taken(self, rule: str, asked: Any) -> None:
        vector = switches("a", rule=rule)
        assert _taken(vector, _asked(asked)).items() >= _asked(asked).items()

    @pytest.mark.parametrize("value", [-1.0, 10.0, 4.5])
    def test_limits_are_within(self, value: float) -> None:
        assert _taken(_limited(-1, 10), newNumberVector("Dev", "n", {"a": value})) == {"a": value}

    @pytest.mark.parametrize("value", [-1.5, 10.1])
    def test_limits_bind_clients(self, value: float) -> None:
        with pytest.raises(RefusedError, match="not within -1 and 10"):
            _limited(-1, 10).check(newNumberVector("Dev", "n", {"a": value}))

    def test_equal_limits_are_none(self) -> None:
        assert _taken(_limited(3, 3), newNumberVector("Dev", "n", {"a": 1e9})) == {"a": 1e9}


def _taken(vector: Any, event: Any) -> dict[str, Any]:
    """Check a request, take its values, and return those of the vector."""
    vector.check(event)
    vector.update(event)
    return dict(vector)


def _asked(members: Any) -> newSwitchVector:
    return newSwitchVector("Dev", "s", {name: SwitchState(v) for name, v in members.items()})


def _limited(low: float, high: float) -> NumberVector:
    return NumberVector("n", perm="rw", numbermembers=[NumberMember("a", min=low, max=high)])


class TestSize:
    """What is shown to clients can be sent to them: a definition has a bound, as its reader has."""

    @staticmethod
    def texts() -> Any:
        members = [TextMember("a", membervalue="old"), TextMember("b")]
        return driver_of(TextVector("t", perm="rw", textmembers=members))["Dev"]["t"]

    @pytest.mark.parametrize("character", ["&", "<", "é", "🔭", "]]>"])
    def test_texts_that_are_too_large_together_are_not_taken(self, character: str) -> None:
        vector = self.texts()
        # One such text can be sent, two cannot.
        text = character * (500_000 // len(encode_text(character)))
        for wrong in ({"b": text}, {"a": "short", "b": text * 2}):
            vector["a"] = text
            with pytest.raises(ConfigurationError, match=r"'t': .* 983040 at most: use shorter"):
                vector.update(wrong)
            assert dict(vector) == {"a": text, "b": ""}
        with pytest.raises(RefusedError, match=r"could not be sent: 983040 at most"):
            vector.check(newTextVector("Dev", "t", {"b": text}))
        vector.check(newTextVector("Dev", "t", {"a": "short", "b": text}))
        vector.update({"a": "short", "b": text})
        assert len(encode(vector.definition())) <= MAX_DEFINITION_BYTES

    def test_a_text_of_a_member_or_an_item_that_is_too_large_is_not_taken(self) -> None:
        vector = self.texts()
        text = "x" * MAX_ELEMENT_BYTES
        with pytest.raises(ConfigurationError, match="use shorter texts"):
            vector["a"] = text
        with pytest.raises(ConfigurationError, match="use shorter texts"):
            vector.member("a").membervalue = text
        assert vector["a"] == "old"

    def test_the_largest_definition_leaves_room_for_the_largest_message(self) -> None:
        vector = self.texts()
        vector["a"] = "x" * (MAX_DEFINITION_BYTES - len(encode(vector.definition())) + len("old"))
        assert len(encode(vector.definition())) == MAX_DEFINITION_BYTES
        with pytest.raises(ConfigurationError):
            vector["b"] = "x" * 100
        message = '"' * 2 * MAX_MESSAGE_BYTES
        for event in (vector.definition(message), vector.report(vector, message)):
            assert len(encode(event)) < MAX_ELEMENT_BYTES

    @pytest.mark.parametrize("kind", [SwitchMember, LightMember, TextMember, NumberMember])
    def test_labels_count(self, kind: Any) -> None:
        vectors: Any = {
            SwitchMember: partial(SwitchVector, "v", rule="AnyOfMany"),
            LightMember: partial(LightVector, "v"),
            TextMember: partial(TextVector, "v"),
            NumberMember: partial(NumberVector, "v"),
        }
        members = [kind(str(number), "x" * 60_000) for number in range(20)]
        with pytest.raises(ConfigurationError, match=r"'v': its definition of \d+ bytes"):
            vectors[kind](**{f"{vectors[kind].func.kind.lower()}members": members})

    async def test_new_labels_that_are_too_large_are_not_sent(self, nursery: trio.Nursery) -> None:
        driver = driver_of(numbers(*map(str, range(20))))
        publisher = await start(nursery, driver)
        vector = driver["Dev"]["n"]
        for member in vector.members.values():
            member.label = "x" * 60_000
        with pytest.raises(ConfigurationError, match="use shorter texts and labels"):
            await vector.send_defVector()
        assert publisher.events == []


class TestDevice:
    def test_maps_names_to_vectors(self) -> None:
        vector = numbers("a")
        device = Device("Dev", [vector], port="/dev/ttyUSB0")
        assert dict(device) == {"n": vector}
        assert len(device) == 1
        assert device.devicedata == {"port": "/dev/ttyUSB0"}
        assert (device.enable, device.driver) == (True, None)
        assert repr(device) == "<Device Dev: n>"

    def test_unknown_vector_is_a_key_error_that_names_the_others(self) -> None:
        with pytest.raises(KeyError, match="no vector 'x', only n"):
            Device("Dev", [numbers("a")])["x"]

    def test_bad_declarations_are_refused_at_once(self) -> None:
        with pytest.raises(ValueError, match=r"^'\*' means every device: give it another"):
            Device("*", [])
        with pytest.raises(ValueError, match="name of a device"):
            Device("Gerät", [])
        with pytest.raises(ValueError, match="two vectors named 'n'"):
            Device("Dev", [numbers("a"), numbers("a")])
        with pytest.raises(TypeError, match="are Vector instances, not NumberMember"):
            Device("Dev", [NumberMember("a")])  # type: ignore[list-item]
        vector = numbers("a")
        Device("Dev", [vector])
        with pytest.raises(ValueError, match="part of device 'Dev'"):
            Device("Other", [vector])

    def test_two_devices_are_two(self) -> None:
        assert len({Device("Dev", []), Device("Dev", [])}) == 2
        assert Device("Dev", []) != Device("Dev", [])

    async def test_hooks_are_there_to_be_called(self) -> None:
        device: Any = Device("Dev", [])
        assert await device.devclientevent(newNumberVector("Dev", "n"), 1, two=2) is None
        assert await device.devsnoopevent(setNumberVector("Dev", "n"), 1, two=2) is None
        assert await device.devhardware(1, two=2) is None

    def test_disabling_a_device_disables_its_vectors(self) -> None:
        vector = numbers("a")
        Device("Dev", [vector]).enable = False
        assert [vector.enabled, vector.enable] == [False, True]

    async def test_cannot_send_without_a_driver(self) -> None:
        with pytest.raises(RuntimeError, match="put its device into an IPyDriver"):
            await Device("Dev", []).send_device_message("hello")


def test_a_driver_takes_each_device_once() -> None:
    device = Device("Dev", [])
    IPyDriver([device])
    with pytest.raises(ValueError, match="part of driver IPyDriver: make another device"):
        IPyDriver([device])
