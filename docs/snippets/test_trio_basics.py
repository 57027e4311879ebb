import trio
from trio_basics import average


async def test_the_average_takes_three_virtual_seconds(autojump_clock):
    assert await average() == 21.0
    assert trio.current_time() == 3
