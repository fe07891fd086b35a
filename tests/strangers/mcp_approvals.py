"""What cannot be undone, over MCP: plans are shown, approvals are a person's, everything else is refused."""

import os

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import ElicitResult
from mcp_client import JOURNAL, ROOT, STATION, answer, play, refusal, station

WISH = {"port": "virtual:1", "set": ["UART_PRINT_CONTROL=1"]}


async def subject_of(session, **wish):
    error = await refusal(session, "esp_efuse_burn", **wish)
    assert error["code"] == "approval-needed", error
    assert "approval grant" in error["hint"], error
    detail = error["detail"]
    assert detail["subject"] == "burn:" + detail["digest"], detail
    assert "UART_PRINT_CONTROL" in detail["plan"], detail
    return detail["subject"]


async def value(session):
    read = await answer(session, "esp_efuse_read", port="virtual:1", fields=["UART_PRINT_CONTROL"])
    return read["fields"][0]["value"]


def person(says, asked):
    """A person who types what `says` makes of the question."""

    async def typing(_context, params):
        asked.append(params.message)
        typed = says(params.message)
        if typed is None:
            return ElicitResult(action="decline")
        return ElicitResult(action="accept", content={"digits": typed})

    return typing


async def with_person(says, script, discover=False):
    asked = []
    server = StdioServerParameters(
        command=STATION, args=["mcp", "--db", JOURNAL, "--virtual", "2", "--root", ROOT]
    )
    async with stdio_client(server) as (read, write):
        async with ClientSession(read, write, elicitation_callback=person(says, asked)) as session:
            await (session.discover() if discover else session.initialize())
            await script(session, asked)
    return asked


def digits(message):
    """The first digits of the digest in the question, as somebody reads them off it."""
    subject = next(line for line in message.splitlines() if line.startswith("subject: "))
    return subject.split(":")[-1].strip()[:8]


async def grant(session, subject, asked):
    """Grants; without a session the question comes as an incomplete result, answered by calling again."""
    result = await session.call_tool("approval_grant", {"subject": subject}, allow_input_required=True)
    if result.result_type == "input_required":
        listed = await answer(session, "approval_list")
        assert listed["approvals"] == [], "nothing is granted before the answer"
        [(name, request)] = result.input_requests.items()
        asked.append(request.params.message)
        typed = {"action": "accept", "content": {"digits": digits(request.params.message)}}
        result = await session.call_tool(
            "approval_grant", {"subject": subject}, input_responses={name: typed}, allow_input_required=True
        )
    assert not result.is_error, result
    return result.structured_content


async def burned(session, asked):
    subject = await subject_of(session, **WISH)
    granted = await grant(session, subject, asked)
    error = await refusal(session, "esp_efuse_burn", port="virtual:1", set=["UART_PRINT_CONTROL=2"],
                          approval=granted["approval"])
    assert error["code"] == "approval-mismatch", error
    done = await answer(session, "esp_efuse_burn", approval=granted["approval"], **WISH)
    assert [pulse["verdict"] for pulse in done["pulses"]] == ["done"], done
    assert await value(session) == "0x1"
    listed = await answer(session, "approval_list")
    assert listed["approvals"][-1]["state"] == "used", listed


async def declined(session, _asked):
    for code in ("confirmation-declined", "confirmation-wrong"):
        subject = await subject_of(session, **WISH)
        error = await refusal(session, "approval_grant", subject=subject)
        assert error["code"] == code, error
        assert await value(session) == "0x0"


async def script():
    async with station() as session:
        # This client cannot ask anybody.
        subject = await subject_of(session, **WISH)
        error = await refusal(session, "approval_grant", subject=subject)
        assert error["code"] == "confirmation-impossible" and "command line" in error["hint"], error
        error = await refusal(session, "approval_grant", subject=subject, yes=True)
        assert error["code"] == "confirmation-not-yours", error
        error = await refusal(session, "esp_efuse_burn", approval="0" * 32, **WISH)
        assert error["code"] == "approval-unknown", error
        assert await value(session) == "0x0"
        keys = os.path.splitext(JOURNAL)[0] + ".keys"
        await answer(session, "esp_key_generate", name="hmac", kind="hmac")
        for path in (os.path.join(keys, "identity.txt"), keys):
            error = await refusal(session, "esp_flash_verify", port="virtual:1", file=path, at="0x0")
            assert error["code"] in ("path-outside-roots", "file-unreadable"), error

    # A person who says no, and one who types something else.
    answers = iter([None, "yes"])
    asked = await with_person(lambda _message: next(answers), declined)
    assert len(asked) == 2 and all("cannot be undone" in message for message in asked), asked

    # A person who reads the digest and types it; in the lifecycle with sessions, and in the one without.
    asked = await with_person(digits, burned)
    assert len(asked) == 1 and "UART_PRINT_CONTROL" in asked[0], asked
    os.rename(JOURNAL, JOURNAL + ".first")
    for more in ("-wal", "-shm"):
        if os.path.exists(JOURNAL + more):
            os.rename(JOURNAL + more, JOURNAL + ".first" + more)
    asked = await with_person(digits, burned, discover=True)
    assert len(asked) == 1, asked


play(script)
