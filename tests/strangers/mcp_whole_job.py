"""A whole job over MCP: tools, a chip, the demo recipe to its end, the yield."""

import asyncio
import json
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

STATION, JOURNAL, RECIPE, ROOT = sys.argv[1:5]


def answer(result):
    """The structured answer of a call that succeeded."""
    is_error = getattr(result, "is_error", getattr(result, "isError", None))
    structured = getattr(result, "structured_content", getattr(result, "structuredContent", None))
    assert not is_error, result
    assert structured is not None, result
    return structured


async def whole_job(session):
    await session.initialize()
    tools = {tool.name: tool for tool in (await session.list_tools()).tools}
    for name in ("esp_detect_chip", "esp_batch_program", "run_status", "run_events", "yield"):
        assert name in tools, name
    for tool in tools.values():
        dumped = tool.model_dump(by_alias=True)
        assert dumped["outputSchema"], tool.name
        assert dumped["annotations"]["readOnlyHint"] is not None, tool.name

    chip = answer(await session.call_tool("esp_detect_chip", {"port": "virtual:1"}))
    assert chip["chip"] == "esp32c3", chip

    checked = answer(await session.call_tool("recipe_check", {"recipe": RECIPE}))
    assert checked["plan"], checked

    started = answer(await session.call_tool("esp_batch_program", {"recipe": RECIPE, "virtual": 4}))
    run, seen, events = started["run"], 0, []
    async with asyncio.timeout(120):
        while not events or events[-1]["kind"] != "run_finished":
            page = answer(
                await session.call_tool("run_events", {"run": run, "since": seen, "wait": "5s"})
            )
            events += page["events"]
            seen = page["next"]
    seqs = [event["seq"] for event in events]
    assert seqs == sorted(set(seqs)), seqs

    status = answer(await session.call_tool("run_status", {"run": run}))
    assert status["tally"]["pass"] == 4, status
    counted = answer(await session.call_tool("yield", {"run": run}))
    (group,) = counted["groups"]
    print("yield", round(100 * group["first_yield"]), json.dumps(group))


async def main():
    server = StdioServerParameters(
        command=STATION, args=["mcp", "--db", JOURNAL, "--virtual", "1", "--root", ROOT]
    )
    async with stdio_client(server) as (read, write):
        async with ClientSession(read, write) as session:
            await whole_job(session)


asyncio.run(main())
