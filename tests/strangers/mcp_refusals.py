"""Whatever is wrong is told in a result with a code and, where that is known, what to do."""

import asyncio
import os

from mcp import MCPError
from mcp_client import JOURNAL, ROOT, answer, play, refusal, station

RECIPE = """
format = 1
product = "p"
chip = "esp32c3"
[images]
app = { file = "%s", at = 0x10000 }
[[step]]
name = "flash"
flash = { images = ["app"] }
"""


def write(name, text):
    path = os.path.join(ROOT, name)
    with open(path, "w") as file:
        file.write(text)
    return path


async def paths(session):
    """Files outside the root are out of reach: by name, through a link, through a recipe."""
    outside = [
        await refusal(session, "recipe_check", recipe="/etc/passwd"),
        await refusal(session, "recipe_check", recipe=ROOT + "/../../../../../etc/passwd"),
        await refusal(session, "esp_flash_firmware", port="virtual:1", file="/etc/passwd", at="0x0"),
        await refusal(session, "esp_flash_read", port="virtual:1", at="0x0", size="4KB", out="/tmp/x"),
        await refusal(session, "journal_backup", file="/tmp/x"),
    ]
    link = os.path.join(ROOT, "link.bin")
    os.symlink("/etc/passwd", link)
    outside.append(await refusal(session, "esp_flash_verify", port="virtual:1", file=link, at="0x0"))
    for file in ("/etc/passwd", "../../../../../../etc/passwd", "link.bin", "/no/such/file"):
        recipe = write("recipe.toml", RECIPE % file)
        outside.append(await refusal(session, "recipe_check", recipe=recipe))
        outside.append(await refusal(session, "esp_batch_program", recipe=recipe, virtual=1))
    for error in outside:
        assert error["code"] == "path-outside-roots", error
        assert "--root" in error["hint"], error
    out = [JOURNAL, link, os.path.join(ROOT, "new.toml"), ROOT]
    for path in out:
        error = await refusal(session, "esp_flash_read", port="virtual:1", at="0x0", size="4KB", out=path)
        assert error["code"] in ("file-unwritable", "path-outside-roots"), error


async def script():
    async with station() as session:
        codes = {
            "port-invalid": ("esp_detect_chip", {"port": "nonsense"}),
            "parameters-unknown": ("esp_detect_chip", {"port": "virtual:1", "prot": 1}),
            "parameters-invalid": ("esp_detect_chip", {}),
            "number-invalid": ("esp_flash_erase", {"port": "virtual:1", "at": "65536", "size": "4KB"}),
            "range-missing": ("esp_flash_erase", {"port": "virtual:1"}),
            "duration-invalid": ("esp_serial_monitor", {"port": "virtual:1", "for": "5"}),
            "pattern-invalid": ("esp_serial_monitor", {"port": "virtual:1", "until": "("}),
            "bauds-invalid": ("esp_connect_advanced", {"port": "virtual:1", "bauds": [0]}),
            # It names a file that is not there.
            "recipe-refused": ("esp_batch_program", {"recipe": write("r.toml", RECIPE % "a")}),
        }
        for code, (tool, parameters) in codes.items():
            error = await refusal(session, tool, **parameters)
            assert error["code"] == code, (code, error)
        # The journal exists from the first thing that is recorded.
        await answer(session, "esp_reset_chip", port="virtual:1", listen="100ms")
        for tool in ("run_status", "run_events", "run_cancel"):
            for run in (99, 2**64 - 1):
                error = await refusal(session, tool, run=run)
                assert error["code"] == "run-unknown" and error["hint"], error
        error = await refusal(session, "run_events", run=1, limit=0)
        assert error["code"] == "parameters-invalid", error
        error = await refusal(session, "unit_trace", unit="SN1")
        assert error["code"] == "unit-unknown", error
        await paths(session)

        # One port, two who want it: requests are taken in the order they come.
        listening = asyncio.create_task(
            answer(session, "esp_serial_monitor", port="virtual:1", **{"for": "4s"})
        )
        await session.list_tools()
        error = await refusal(session, "esp_detect_chip", port="virtual:1")
        assert error["code"] == "port-in-use", error
        await listening

        try:
            await session.call_tool("no_such_tool", {})
            raise AssertionError("a tool that is not there was called")
        except MCPError as error:
            assert "no_such_tool" in str(error), error


play(script)
