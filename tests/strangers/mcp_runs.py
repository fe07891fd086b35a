"""A run that is cancelled ends, and what it did is on record; a unit is found by its serial number."""

import os
import sys

from mcp_client import answer, play, refusal, station, to_its_end

RECIPE = sys.argv[4]


async def script():
    async with station("--root", os.path.dirname(RECIPE)) as session:
        # Boards are swapped until somebody says stop.
        run = (await answer(session, "esp_batch_program", recipe=RECIPE, virtual=2, units=1000))["run"]
        seen, serial = 0, None
        while serial is None:
            page = await answer(session, "run_events", run=run, since=seen, wait="5s")
            seen = page["next"]
            for event in page["events"]:
                if event["kind"] == "attempt_finished" and event["data"]["outcome"] == "pass":
                    serial = event["data"]["serial"]
        assert (await answer(session, "run_status", run=run))["live"]
        refused = await refusal(session, "journal_rebuild")
        assert refused["code"] == "run-live", refused

        assert (await answer(session, "run_cancel", run=run, mode="stop"))["asked"]
        events = await to_its_end(session, run)
        asked = [event["data"] for event in events if event["kind"] == "cancel_requested"]
        assert [one["mode"] for one in asked] == ["stop"], asked
        status = await answer(session, "run_status", run=run)
        assert status["over"] and not status["live"], status
        assert not (await answer(session, "run_cancel", run=run))["asked"]

        trace = await answer(session, "unit_trace", unit=serial)
        assert serial in str(trace), trace
        assert trace["attempts"][0]["attempt"]["outcome"] == "pass", trace
        verified = await answer(session, "journal_verify")
        assert not verified["findings"], verified

        # The record can be made anew now, and is open again for the next run.
        await answer(session, "journal_rebuild")
        again = await answer(session, "esp_batch_program", recipe=RECIPE, bays=["b=virtual:2"])
        await to_its_end(session, again["run"])


play(script)
