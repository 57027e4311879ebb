"""A server and a client on a small machine: every bound that can be set, set."""

from thermo import make_driver

from trindi import IPyClient, IPyServer

MIB = 1024 * 1024


def make_server(port: int = 7624) -> IPyServer:
    return IPyServer(
        [make_driver()],
        port=port,
        maxconnections=3,
        high_water=MIB,
        bound=8 * MIB,
        max_element_bytes=64 * 1024,
        max_blob_bytes=16 * MIB,
        max_upload_bytes=32 * MIB,
        max_restarts=3,
        restart_delay=5.0,
    )


def make_client(port: int = 7624) -> IPyClient:
    return IPyClient(
        port=port,
        ask_for=["Thermostat"],
        reconnect=True,
        reconnect_delay=5.0,
        max_delay=300.0,
        max_element_bytes=64 * 1024,
        max_blob_bytes=16 * MIB,
        max_mirror_bytes=4 * MIB,
    )
