"""What every client script shares: a session with `station mcp`, answers and refusals."""

import asyncio
import contextlib
import json
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

STATION, JOURNAL, ROOT = sys.argv[1:4]


@contextlib.asynccontextmanager
async def station(*more, discover=False):
    """A session with a server of its own, opened in the old way (initialize) or the new (discover)."""
    server = StdioServerParameters(
        command=STATION, args=["mcp", "--db", JOURNAL, "--virtual", "2", "--root", ROOT, *more]
    )
    async with stdio_client(server) as (read, write):
        async with ClientSession(read, write) as session:
            await (session.discover() if discover else session.initialize())
            yield session


async def answer(session, tool, **parameters):
    """The structured answer of a call that succeeds."""
    result = await session.call_tool(tool, parameters)
    assert not result.is_error, result
    assert result.structured_content is not None, result
    return result.structured_content


async def refusal(session, tool, **parameters):
    """The error of a call that is refused: a result, not an error of the protocol."""
    result = await session.call_tool(tool, parameters)
    assert result.is_error, result
    assert result.structured_content is None, result
    error = json.loads(result.content[0].text)
    assert error["code"] and error["message"], error
    return error


async def to_its_end(session, run):
    """Every event of a run, followed until it has ended."""
    seen, events = 0, []
    while not events or events[-1]["kind"] != "run_finished":
        page = await answer(session, "run_events", run=run, since=seen, wait="5s")
        events += page["events"]
        seen = page["next"]
    return events


def play(script):
    """Runs a script with a deadline of its own."""

    async def bounded():
        async with asyncio.timeout(80):
            await script()

    asyncio.run(bounded())
    print("done")
