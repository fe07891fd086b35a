"""Every tool that only reads answers as its schema says, on a session opened either way."""

import os
import sys

import jsonschema
from mcp_client import ROOT, play, station, to_its_end, answer

RECIPE = sys.argv[4]

ON_A_CHIP = {"port": "virtual:1"}
QUESTIONS = {
    "esp_scan_ports": {"probe": True},
    "esp_detect_chip": ON_A_CHIP,
    "esp_chip_info": ON_A_CHIP,
    "esp_connect_advanced": ON_A_CHIP,
    "esp_test_connection": {"port": "virtual:1", "count": 20},
    "esp_mac_address_read": ON_A_CHIP,
    "esp_serial_monitor": {"port": "virtual:1", "for": "300ms", "reset": True},
    "esp_flash_read": {"port": "virtual:1", "at": "0x8000", "size": "4KB"},
    "esp_flash_id": ON_A_CHIP,
    "esp_flash_verify": {"port": "virtual:1", "at": "0x8000"},
    "esp_verify_flash": {"port": "virtual:1", "at": "0x9000"},
    "esp_flash_encrypt": {"at": "0x10000", "chip": "esp32c3"},
    "esp_partition_read": {"port": "bay"},
    "esp_security_audit": ON_A_CHIP,
    "esp_security_validate": {"port": "virtual:1", "policy": "production"},
    "esp_efuse_read": ON_A_CHIP,
    "esp_efuse_plan": {"port": "virtual:1", "set": ["UART_PRINT_CONTROL=1"]},
    "esp_public_key_digest": {"key": "boot"},
    "esp_image_verify_signature": {},
    "esp_key_list": {},
    "recipe_release_list": {},
    "approval_list": {},
    "unit_quarantine_list": {},
    "recipe_check": {"recipe": RECIPE},
    "run_status": {"run": 1},
    "run_events": {"run": 1},
    "run_list": {},
    "yield": {},
    "failure_pareto": {},
    "journal_verify": {},
}


async def ask(session, made):
    tools = (await session.list_tools()).tools
    names = [tool.name for tool in tools]
    assert len(names) == len(set(names)), names
    await answer(session, "esp_batch_program", recipe=RECIPE, bays=["b=virtual:2"])
    events = await to_its_end(session, 1)
    finished = [event["data"] for event in events if event["kind"] == "attempt_finished"]
    assert [one["outcome"] for one in finished] == ["pass"], finished
    boot = await answer(session, "esp_key_generate", name="boot", kind="ecdsa-p256")
    assert boot["public"].startswith("-----BEGIN PUBLIC KEY"), boot
    key = os.path.join(made, "flash.key")
    with open(key, "wb") as file:
        file.write(bytes(range(32)))
    asked = 0
    for tool in tools:
        if not tool.annotations.read_only_hint:
            continue
        parameters = dict(QUESTIONS.get(tool.name, {}))
        if tool.name == "unit_trace":
            parameters = {"unit": finished[0]["serial"]}
        elif tool.name == "esp_flash_read":
            parameters["out"] = os.path.join(made, "read.bin")
        elif tool.name == "esp_flash_encrypt":
            parameters |= {"file": os.path.join(made, "read.bin"), "key_file": key, "out": os.path.join(made, "enc")}
        elif tool.name in ("esp_flash_verify", "esp_verify_flash", "esp_image_verify_signature"):
            parameters["file"] = os.path.join(made, "read.bin")
        elif tool.name == "esp_partition_read":
            parameters = {"port": "virtual:2"}
        elif tool.name == "journal_backup":
            parameters = {"file": os.path.join(made, "backup.db")}
        else:
            assert tool.name in QUESTIONS, f"say here how {tool.name} is asked"
        got = await answer(session, tool.name, **parameters)
        schema = tool.output_schema
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(got, schema, jsonschema.Draft202012Validator)
        asked += 1
        if tool.name == "unit_trace":
            assert finished[0]["mac"] in str(got), got
        if tool.name == "esp_scan_ports":
            boards = {port["port"]: port for port in got["ports"]}
            assert boards["virtual:1"]["chip"] == boards["virtual:2"]["chip"] == "esp32c3", boards
        if tool.name == "esp_chip_info":
            assert got["security"]["download_mode"] == "open", got
    assert asked >= 20, asked


async def script():
    made = os.path.join(ROOT, "made")
    os.makedirs(made, exist_ok=True)
    async with station("--root", os.path.dirname(RECIPE), discover=True) as session:
        assert session.protocol_version == "2026-07-28", session.protocol_version
        await ask(session, made)


play(script)
