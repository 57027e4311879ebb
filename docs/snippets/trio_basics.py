"""What a driver needs of Trio: nurseries, deadlines, cancelling, channels."""

import trio
from trio.testing import MockClock


async def blink(name: str, seconds: float, times: int) -> None:
    for count in range(times):
        await trio.sleep(seconds)
        print(f"{trio.current_time():g} s: {name} {count + 1}")


async def side_by_side() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(blink, "slow", 3.5, 2)
        nursery.start_soon(blink, "fast", 2, 3)
    print("both have returned")


async def read_sensor(delay: float) -> float:
    await trio.sleep(delay)
    return 21.5


async def read_in_time(delay: float) -> str:
    try:
        with trio.fail_after(5):
            return f"{await read_sensor(delay)} degrees"
    except trio.TooSlowError:
        return "no answer within 5 s"


async def read_or_go_on(delay: float) -> str:
    with trio.move_on_after(5):
        return f"{await read_sensor(delay)} degrees"
    return "the old value"


async def stop_after_a_while() -> None:
    move = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(turn, move)
        await trio.sleep(2.5)
        move.cancel()


async def turn(move: trio.CancelScope) -> None:
    with move:
        await blink("turn", 1, 100)
    if move.cancelled_caught:
        print("stopped")


async def measure(send: trio.MemorySendChannel[float]) -> None:
    async with send:
        for value in (20.5, 21.0, 21.5):
            await trio.sleep(1)
            await send.send(value)


async def average() -> float:
    send, receive = trio.open_memory_channel[float](10)
    values = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(measure, send)
        async for value in receive:
            values.append(value)
    return sum(values) / len(values)


if __name__ == "__main__":
    for example in (side_by_side, stop_after_a_while):
        trio.run(example, clock=MockClock(autojump_threshold=0))
