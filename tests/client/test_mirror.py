"""The mirror of a server: definitions, reports, deletions, messages and bounds."""

from __future__ import annotations

import gc
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.kit.client import OFF, ON, blobs, lights, numbers, report, switches, texts
from trindi import (
    Limits,
    Message,
    NumberLabel,
    Permission,
    Rule,
    SizeFormat,
    State,
    defNumberVector,
    delProperty,
    setBLOBVector,
    setLightVector,
    setNumberVector,
    setSwitchVector,
    setTextVector,
)
from trindi.client.mirror import Mirror
from trindi.client.remote import MAX_MESSAGES, RemoteVector
from trindi.protocol import Kind

NOW = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)
THEN = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)


def make(**bounds: int) -> Mirror:
    operations: Any = None
    return Mirror(operations, now=lambda: NOW, **bounds)


def told(*events: Any, **bounds: int) -> Mirror:
    mirror = make(**bounds)
    for event in events:
        mirror.apply(event)
    return mirror


def found(mirror: Mirror, name: str, device: str = "Dev") -> RemoteVector:
    vector = mirror.find(device, name)
    assert vector is not None
    return vector


# Definitions -----------------------------------------------------------------------------------


def test_a_definition_sets_all_attributes() -> None:
    event = numbers({"x": 1.5}, timeout=7.0, message="hello", timestamp=THEN, state=State.BUSY)
    vector = found(told(event), "target")
    assert dict(vector) == {"x": 1.5}
    assert (vector.devicename, vector.name, vector.kind) == ("Dev", "target", Kind.NUMBER)
    assert (vector.label, vector.group) == ("Target", "Main")
    assert (vector.perm, vector.rule, vector.state) == (Permission.RW, None, State.BUSY)
    assert (vector.timeout, vector.timestamp, vector.message) == (7.0, THEN, "hello")
    assert vector.defined
    assert not vector.stale
    member: Any = vector.members["x"]
    assert (member.name, member.label, member.value) == ("x", "X", 1.5)
    assert (member.format, member.min, member.max, member.step) == ("%5.2f", 0, 100, 0)
    assert member.limits == Limits(0, 100, 0)
    assert member.formatted == " 1.50"


@pytest.mark.parametrize(
    ("event", "values", "shown"),
    [
        (switches(), {"slow": ON, "fast": OFF}, "On"),
        (texts(), {"a": "one", "b": "two"}, "one"),
        (lights(), {"power": State.BUSY}, "Busy"),
        (blobs(), {"file": None}, ""),
    ],
    ids=["switches", "texts", "lights", "blobs"],
)
def test_each_kind_has_values_of_its_own_type(
    event: Any, values: dict[str, Any], shown: str
) -> None:
    vector = found(told(event), event.vectorname)
    assert dict(vector) == values
    assert [type(value) for value in vector.values()] == [type(v) for v in values.values()]
    assert next(iter(vector.members.values())).formatted == shown


def test_switches_have_a_rule_and_labels() -> None:
    vector = found(told(switches(Rule.AT_MOST_ONE)), "mode")
    assert vector.rule is Rule.AT_MOST_ONE
    assert [member.label for member in vector.members.values()] == ["Slow", "Fast"]


def test_lights_are_read_only_and_never_time_out() -> None:
    vector = found(told(lights()), "lamp")
    assert (vector.perm, vector.timeout) == (Permission.RO, 0)


def test_a_definition_without_a_timestamp_gets_the_present_time() -> None:
    assert found(told(numbers()), "target").timestamp == NOW


def test_a_second_definition_changes_the_same_vector() -> None:
    mirror = told(numbers({"x": 1.0, "y": 2.0}))
    vector = found(mirror, "target")
    mirror.apply(numbers({"x": 3.0}))
    assert found(mirror, "target") is vector
    assert dict(vector) == {"x": 3.0}


def test_a_second_definition_may_be_of_another_kind() -> None:
    mirror = told(numbers(), switches(name="target"))
    vector = found(mirror, "target")
    assert vector.kind is Kind.SWITCH
    assert vector["slow"] == "On"


def test_devices_and_vectors_keep_the_order_of_their_definitions() -> None:
    mirror = told(numbers(device="B"), numbers(device="A"), texts(device="B"))
    assert list(mirror.devices) == ["B", "A"]
    assert list(mirror.devices["B"]) == ["target", "note"]


@pytest.mark.parametrize("display", ["", "%d", "%s%s", "%*d", "%100000f", "%"])
def test_an_invalid_format_shows_the_plain_number(display: str) -> None:
    label = NumberLabel("x", display, 0, 0, 0)
    event = defNumberVector("Dev", "n", "n", "", State.OK, Permission.RO, {"x": 1.25}, {"x": label})
    assert found(told(event), "n").members["x"].formatted == "1.25"


def test_a_member_without_a_label_has_its_name() -> None:
    event = defNumberVector("Dev", "n", "n", "", State.OK, Permission.RO, {"x": 1.0})
    assert found(told(event), "n").members["x"].label == "x"


# Reports ---------------------------------------------------------------------------------------


def test_a_report_changes_what_it_says() -> None:
    mirror = told(numbers({"x": 1.0, "y": 2.0}, timeout=5.0))
    changed = mirror.apply(
        setNumberVector("Dev", "target", {"y": 4.0}, State.OK, 9.0, THEN, "there")
    )
    vector = found(mirror, "target")
    assert changed == (vector,)
    assert dict(vector) == {"x": 1.0, "y": 4.0}
    assert (vector.state, vector.timeout, vector.timestamp) == (State.OK, 9.0, THEN)
    assert vector.message == "there"


def test_a_report_leaves_the_rest_as_it_was() -> None:
    mirror = told(numbers(timeout=5.0, state=State.BUSY), setNumberVector("Dev", "target"))
    vector = found(mirror, "target")
    assert (vector.state, vector.timeout) == (State.BUSY, 5.0)
    assert dict(vector) == {"x": 1.0, "y": 2.0}


def test_a_report_without_a_state_ends_a_request() -> None:
    mirror = told(numbers(state=State.OK))
    vector = found(mirror, "target")
    states = []
    vector.state = State.BUSY
    states.append(vector.state)
    mirror.apply(setNumberVector("Dev", "target", {"x": 5.0}))
    states.append(vector.state)
    assert states == [State.BUSY, State.OK]


def test_a_report_may_bring_new_limits() -> None:
    limits = {"x": Limits(-5, 5, 1), "other": Limits(0, 1, 0)}
    mirror = told(numbers({"x": 1.0, "y": 2.0}), report(members={"x": 3.0}, limits=limits))
    members: Any = found(mirror, "target").members
    assert (members["x"].limits, members["y"].limits) == (Limits(-5, 5, 1), Limits(0, 100, 0))


def test_members_that_were_not_defined_are_passed_over() -> None:
    mirror = told(numbers({"x": 1.0}), report(members={"z": 3.0, "x": 2.0}))
    assert dict(found(mirror, "target")) == {"x": 2.0}


@pytest.mark.parametrize(
    "event",
    [
        report(name="other", members={"x": 9.0}),
        report(device="Other", members={"x": 9.0}),
        setTextVector("Dev", "target", {"x": "nine"}),
        delProperty("Dev", "other"),
        delProperty("Other", "target"),
    ],
    ids=["vector", "device", "kind", "deletion", "deletion of a device's"],
)
def test_events_about_unknown_properties_are_counted(event: Any) -> None:
    mirror = told(numbers({"x": 1.0}))
    assert mirror.apply(event) == ()
    assert dict(found(mirror, "target")) == {"x": 1.0}
    assert mirror.ignored == 1


@pytest.mark.parametrize(
    ("definition", "event", "value"),
    [
        (switches(), setSwitchVector("Dev", "mode", {"slow": OFF}), OFF),
        (texts(), setTextVector("Dev", "note", {"a": "three"}), "three"),
        (lights(), setLightVector("Dev", "lamp", {"power": State.ALERT}), State.ALERT),
    ],
    ids=["switches", "texts", "lights"],
)
def test_each_kind_is_reported(definition: Any, event: Any, value: Any) -> None:
    vector = found(told(definition, event), definition.vectorname)
    assert next(iter(vector.values())) == value


# BLOBs -----------------------------------------------------------------------------------------


def frame(data: bytes, name: str = "image") -> setBLOBVector:
    about = {"file": SizeFormat(len(data), ".fits")}
    return setBLOBVector("Dev", name, {"file": data}, about, State.OK)


def test_the_newest_frame_is_kept() -> None:
    vector = found(told(blobs(), frame(b"one"), frame(b"second")), "image")
    member: Any = vector.members["file"]
    assert vector["file"] == b"second"
    assert (member.format, member.formatted) == (".fits", "6 bytes .fits")


def test_a_frame_that_was_compressed_on_its_way_has_its_plain_format() -> None:
    about = {"file": SizeFormat(3, ".fits.z")}
    vector = found(told(blobs(), setBLOBVector("Dev", "image", {"file": b"one"}, about)), "image")
    member: Any = vector.members["file"]
    assert (member.value, member.format, member.formatted) == (b"one", ".fits", "3 bytes .fits")


def test_a_definition_leaves_the_newest_frame() -> None:
    vector = found(told(blobs(), frame(b"one"), blobs()), "image")
    assert vector["file"] == b"one"


def test_a_blob_without_bytes_says_that_the_state_has_changed() -> None:
    vector = found(told(blobs(), frame(b"one"), frame(b"")), "image")
    assert (vector["file"], vector.state) == (b"one", State.OK)


def test_the_oldest_frames_go_beyond_the_bound() -> None:
    mirror = told(blobs("one"), blobs("two"), blobs("three"), max_frame_bytes=100)
    for name in ("one", "two", "one", "three"):
        mirror.apply(frame(b"x" * 40, name))
    assert found(mirror, "two")["file"] is None
    assert len(found(mirror, "one")["file"]) == len(found(mirror, "three")["file"]) == 40
    # Frames of a deleted vector are no longer counted.
    mirror.apply(delProperty("Dev", "one"))
    mirror.apply(frame(b"x" * 60, "two"))
    assert len(found(mirror, "three")["file"]) == 40


def test_a_definition_of_another_kind_forgets_the_frames() -> None:
    mirror = told(blobs("one"), frame(b"x" * 60, "one"), blobs("two"), max_frame_bytes=100)
    mirror.apply(numbers({"file": 1.0}, name="one"))
    mirror.apply(frame(b"x" * 60, "two"))
    assert found(mirror, "one")["file"] == 1.0
    assert len(found(mirror, "two")["file"]) == 60


# Deletions -------------------------------------------------------------------------------------


def test_a_property_that_is_deleted_is_gone() -> None:
    mirror = told(numbers(), texts())
    vector = found(mirror, "target")
    assert mirror.apply(delProperty("Dev", "target")) == (vector,)
    assert list(mirror.devices["Dev"]) == ["note"]
    assert not vector.defined
    assert vector.stale
    assert "stale" in repr(vector)


def test_a_device_that_is_deleted_is_gone() -> None:
    mirror = told(numbers(), texts(), numbers(device="Other"))
    device = mirror.devices["Dev"]
    gone = mirror.apply(delProperty("Dev", message="the driver has failed"))
    assert {vector.name for vector in gone} == {"target", "note"}
    assert list(mirror.devices) == ["Other"]
    assert device.stale
    assert [message.message for message in mirror.messages] == ["the driver has failed"]


def test_one_deletion_may_delete_all_devices() -> None:
    mirror = told(numbers(), numbers(device="Other"))
    assert len(mirror.apply(delProperty())) == 2
    assert mirror.devices == {}


def test_a_vector_stays_the_same_object_when_it_is_defined_again() -> None:
    mirror = told(numbers({"x": 1.0}))
    device, vector = mirror.devices["Dev"], found(mirror, "target")
    mirror.apply(delProperty("Dev"))
    mirror.apply(numbers({"x": 7.0}))
    assert found(mirror, "target") is vector
    assert mirror.devices["Dev"] is device
    assert vector.device is device
    assert vector["x"] == 7.0
    assert not vector.stale


def test_vectors_without_references_are_forgotten() -> None:
    mirror = make(max_bytes=1_000_000)
    for number in range(1000):
        mirror.apply(numbers(name=f"n{number}"))
        mirror.apply(delProperty("Dev", f"n{number}"))
    gc.collect()
    assert sum(isinstance(one, RemoteVector) for one in gc.get_objects()) < 100
    assert mirror.ignored == 0


def test_a_vector_of_a_lost_connection_is_stale_until_it_is_defined_again() -> None:
    mirror = told(numbers(), texts())
    mirror.make_stale()
    assert mirror.devices["Dev"].stale
    mirror.apply(numbers())
    assert not found(mirror, "target").stale
    assert found(mirror, "note").stale
    assert not mirror.devices["Dev"].stale


# Messages --------------------------------------------------------------------------------------


def test_a_device_has_its_messages() -> None:
    mirror = told(
        numbers(),
        Message("Dev", "one", THEN),
        report(message="two"),
        Message(None, "of the server"),
        Message("Other", "of nobody known"),
        delProperty("Dev", "target", THEN, "three"),
    )
    messages = mirror.devices["Dev"].messages
    assert [message.message for message in messages] == ["one", "two", "three"]
    assert [message.timestamp for message in messages] == [THEN, NOW, THEN]
    assert [message.message for message in mirror.messages] == ["of the server", "of nobody known"]


def test_the_oldest_messages_go() -> None:
    mirror = told(numbers(), *(Message("Dev", str(n)) for n in range(3 * MAX_MESSAGES)))
    messages = mirror.devices["Dev"].messages
    assert len(messages) == MAX_MESSAGES
    assert messages[-1].message == str(3 * MAX_MESSAGES - 1)


# Bounds ----------------------------------------------------------------------------------------


def test_definitions_beyond_the_bound_are_refused() -> None:
    mirror = make(max_bytes=100_000)
    for number in range(1000):
        mirror.apply(numbers(name=f"n{number}", device=f"d{number % 10}"))
    kept = sum(map(len, mirror.devices.values()))
    assert 10 < kept < 1000
    assert mirror.ignored == 1000 - kept
    # A deletion makes room.
    mirror.apply(delProperty("d0"))
    mirror.apply(numbers(name="late"))
    assert "late" in mirror.devices["Dev"]


def test_texts_beyond_the_bound_are_refused() -> None:
    mirror = told(texts(), max_bytes=10_000)
    mirror.apply(setTextVector("Dev", "note", {"a": "x" * 5000}))
    mirror.apply(setTextVector("Dev", "note", {"b": "x" * 5000}))
    vector = found(mirror, "note")
    assert (len(vector["a"]), vector["b"]) == (5000, "two")
    assert mirror.ignored == 1
    mirror.apply(setTextVector("Dev", "note", {"a": ""}))
    mirror.apply(setTextVector("Dev", "note", {"b": "y" * 5000, "unknown": "z" * 9000}))
    assert len(vector["b"]) == 5000


def test_messages_beyond_the_bound_replace_older_ones() -> None:
    mirror = told(numbers(), max_bytes=20_000)
    for number in range(50):
        mirror.apply(Message("Dev", f"{number}" + "x" * 5000))
    mirror.apply(Message("Dev", "x" * 30_000))
    messages = mirror.devices["Dev"].messages
    assert len(messages) == 0
    assert mirror.ignored == 1
    mirror.apply(Message("Dev", "short"))
    assert messages[-1].message == "short"


def test_deleted_properties_make_room() -> None:
    mirror = make(max_bytes=20_000)
    for number in range(1000):
        mirror.apply(texts(message="a"))
        mirror.apply(Message("Dev", f"{number}"))
        mirror.apply(setTextVector("Dev", "note", {"a": "x" * number}, message="longer"))
        mirror.apply(texts())
        mirror.apply(numbers())
        mirror.apply(delProperty("Dev", "target"))
        mirror.apply(delProperty("Dev"))
    mirror.apply(texts(members={"a": "x" * 15_000}))
    assert len(found(mirror, "note")["a"]) == 15_000
    assert mirror.ignored == 0


# What a user reads -----------------------------------------------------------------------------


def test_the_error_for_an_unknown_name_lists_the_known_ones() -> None:
    mirror = told(numbers({"x": 1.0}))
    device = mirror.devices["Dev"]
    with pytest.raises(KeyError, match="no vector 'note', only target"):
        device["note"]
    with pytest.raises(KeyError, match="no member 'z', only x"):
        device["target"]["z"]


def test_the_repr_of_devices_vectors_and_members() -> None:
    device = told(numbers({"x": 1.0})).devices["Dev"]
    assert repr(device) == "<RemoteDevice Dev of 1 vectors>"
    assert repr(device["target"]) == "<RemoteVector Dev target: Idle>"
    assert repr(device["target"].members["x"]) == "<RemoteNumber x:  1.00>"


def test_devices_and_vectors_are_equal_to_themselves_alone() -> None:
    one, two = told(numbers()).devices["Dev"], told(numbers()).devices["Dev"]
    assert one != two
    assert one["target"] != two["target"]
    assert len({one, two, one["target"], two["target"]}) == 4
