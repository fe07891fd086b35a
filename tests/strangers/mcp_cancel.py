"""A long write that is cancelled stops, and the port can be used again at once."""

import asyncio
import os
import time

from mcp_client import ROOT, answer, play, station

LONG = os.path.join(ROOT, "long.bin")
SHORT = os.path.join(ROOT, "short.bin")


async def script():
    with open(LONG, "wb") as image:
        image.write(os.urandom(2 * 1024 * 1024))
    with open(SHORT, "wb") as image:
        image.write(os.urandom(8 * 1024))
    under_way = asyncio.Event()

    async def note(progress, total, message):
        if "writ" in message:
            under_way.set()

    async with station(discover=True) as session:
        # At this rate the whole image takes three minutes.
        write = asyncio.create_task(
            session.call_tool(
                "esp_flash_firmware",
                {"port": "virtual:1", "file": LONG, "at": "0x10000", "baud": 115200},
                progress_callback=note,
            )
        )
        await under_way.wait()
        started = time.monotonic()
        write.cancel()
        try:
            await write
            raise AssertionError("the write was not cancelled")
        except asyncio.CancelledError:
            pass
        chip = await answer(session, "esp_detect_chip", port="virtual:1")
        assert chip["chip"] == "esp32c3", chip
        short = {"port": "virtual:1", "file": SHORT, "at": "0x10000"}
        written = await answer(session, "esp_flash_firmware", **short)
        assert written["images"][0]["verified"], written
        verified = await answer(session, "esp_flash_verify", **short)
        assert verified["matches"], verified
        assert time.monotonic() - started < 30


play(script)
