"""Takes pictures with a camera, and saves each of them to a file."""

import trio

from trindi import IPyClient, Progress


def show(progress: Progress) -> None:
    print(f"\r{progress.received} of {progress.total or '?'} bytes", end="")


async def take(client: IPyClient, name: str, seconds: float, count: int, directory: str) -> None:
    exposure = await client.wait_defined(name, "CCD_EXPOSURE")
    await client.enable_blobs(name, "CCD1")
    saved = client.save_frames(name, "CCD1", directory, show)
    for _ in range(count):
        await exposure.set_and_wait(CCD_EXPOSURE_VALUE=seconds)
        path = await anext(saved)
        print(f"\rsaved as {path.name}")


async def main(host: str = "localhost", port: int = 7624, directory: str = ".") -> None:
    async with IPyClient(host, port) as client:
        await take(client, "Camera", 2.0, 3, directory)


if __name__ == "__main__":
    trio.run(main)
