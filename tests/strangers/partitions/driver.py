"""Reads and writes many partition tables with esp-idf-defs in one process.

esp-idf-defs carries the rules of ESP-IDF's gen_esp32part.py 1.5 as a package. A list of cases comes
as JSON on standard input, and a list of answers goes to standard output in the same order.
"""

import json
import sys

from esp_idf_defs.otadata import OtaDataSelectEntry, OtaImageState
from esp_idf_defs.partitions import PartitionTable


def table(case):
    """What the package makes of one table, in both forms."""
    if "binary" in case:
        parsed = PartitionTable.from_binary(bytes.fromhex(case["binary"]), case["md5"])
    else:
        parsed = PartitionTable.from_csv(
            case["text"], case["offset"], case["primary"], case["recovery"]
        )
    parsed.verify(case["offset"], case["secure"])
    if case["flash"]:
        parsed.verify_size_fits(case["flash"])
    return {"binary": parsed.to_binary(case["md5"]).hex(), "csv": parsed.to_csv()}


def record(case):
    """A record of the choice of a slot."""
    state = OtaImageState(case["state"])
    return {"binary": OtaDataSelectEntry(case["sequence"], state).to_bytes().hex()}


def answer(case):
    """An answer, or why there is none."""
    try:
        return record(case) if "sequence" in case else table(case)
    except Exception as error:  # whatever stops the package is a refusal
        return {"refused": f"{type(error).__name__}: {error}"}


json.dump([answer(case) for case in json.load(sys.stdin)], sys.stdout)
