"""A write that takes seconds reports progress that rises and ends with the result."""

import os

from mcp_client import ROOT, answer, play, station

IMAGE = os.path.join(ROOT, "image.bin")


async def script():
    with open(IMAGE, "wb") as image:
        image.write(os.urandom(64 * 1024))
    reports = []

    async def note(progress, total, message):
        reports.append((progress, message))

    async with station() as session:
        result = await session.call_tool(
            "esp_flash_firmware",
            {"port": "virtual:1", "file": IMAGE, "at": "0x10000", "baud": 460800},
            progress_callback=note,
        )
        assert not result.is_error, result
        assert result.structured_content["images"][0]["verified"], result
        until_result = list(reports)
        # Messages are in order: whatever followed the result would come before these answers.
        await session.list_tools()
        await answer(session, "esp_flash_id", port="virtual:1")
    assert reports == until_result, reports[len(until_result) :]
    numbers = [number for number, _ in reports]
    assert len(numbers) >= 3, reports
    assert numbers == sorted(set(numbers)), numbers
    assert any("%" in message for _, message in reports), reports


play(script)
