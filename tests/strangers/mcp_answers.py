"""Every tool that only reads answers as its schema says, on a session opened either way."""

import datetime
import os
import struct
import sys

import jsonschema
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from mcp_client import ROOT, play, station, to_its_end, answer

RECIPE = sys.argv[4]

ON_A_CHIP = {"port": "virtual:1"}
TABLE = "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,0xd000,0x2000\nota_0,app,ota_0,0x10000,1M\nota_1,app,ota_1,0x110000,1M\n"


def a_program_for_ram():
    """An ELF for the C3 whose one section lies in its RAM and jumps to itself."""
    names, code, at = b"\0.text\0.shstrtab\0", b"\x6f\x00\x00\x00", 0x4038_0000
    ident = b"\x7fELF\x01\x01\x01" + bytes(9)
    head = ident + struct.pack("<HHIIIIIHHHHHH", 2, 0xF3, 1, at, 52, 52 + 32 + 4 + len(names), 0, 52, 32, 1, 40, 3, 2)
    load = struct.pack("<8I", 1, 84, at, at, 4, 4, 5, 4)
    text = struct.pack("<10I", 1, 1, 6, at, 84, 4, 0, 0, 4, 0)
    strings = struct.pack("<10I", 7, 3, 0, 0, 88, len(names), 0, 0, 1, 0)
    return head + load + code + names + bytes(40) + text + strings


def a_device():
    """A certificate and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "unit 1")])
    start = datetime.datetime(2026, 1, 1)
    built = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    built = built.serial_number(1).not_valid_before(start).not_valid_after(start + datetime.timedelta(days=9000))
    pem = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return built.sign(key, hashes.SHA256()).public_bytes(pem), key.private_bytes(pem, *plain)


def written(made, name, content):
    """A file with that content."""
    path = os.path.join(made, name)
    with open(path, "wb") as file:
        file.write(content)
    return path


def questions(made):
    """What each tool is asked; a tool finds the files that those before it made."""
    elf = os.path.join(os.path.dirname(RECIPE), "demo/selftest.elf")
    certificate, private = a_device()
    key = written(made, "flash.key", bytes(range(32)))
    ram = written(made, "ram.elf", a_program_for_ram())
    table = written(made, "table.csv", TABLE.encode())
    values = written(made, "values.csv", b"key,type,encoding,value\nid,namespace,,\nserial,data,string,SN1\n")
    device, device_key = written(made, "device.pem", certificate), written(made, "device.key", private)
    otadata = written(made, "otadata.bin", b"\xff" * 0x2000)

    def out(name):
        return os.path.join(made, name)

    for_the_chip = {"chip": "esp32c3"}
    app = out("app.bin")
    return {
        "esp_scan_ports": {"probe": True},
        "esp_detect_chip": ON_A_CHIP,
        "esp_chip_info": ON_A_CHIP,
        "esp_connect_advanced": ON_A_CHIP,
        "esp_test_connection": {"port": "virtual:1", "count": 20},
        "esp_mac_address_read": ON_A_CHIP,
        "esp_serial_monitor": {"port": "virtual:1", "for": "300ms", "reset": True},
        "esp_flash_read": {"port": "virtual:1", "at": "0x8000", "size": "4KB", "out": out("read.bin")},
        "esp_flash_id": ON_A_CHIP,
        "esp_flash_verify": {"port": "virtual:1", "at": "0x8000", "file": out("read.bin")},
        "esp_verify_flash": {"port": "virtual:1", "at": "0x9000", "file": out("read.bin")},
        "esp_flash_encrypt": {
            "at": "0x10000",
            "file": out("read.bin"),
            "key_file": key,
            "out": out("enc"),
            **for_the_chip,
        },
        "esp_elf_to_binary": {"file": elf, "out": app, **for_the_chip},
        "esp_elf_to_ram_binary": {"file": ram, "out": out("ram.bin"), **for_the_chip},
        "esp_binary_merge": {"files": [f"ota_0={app}"], "partitions": table, "out": out("all.hex")},
        "esp_binary_split": {"file": out("all.hex"), "partitions": table, "out_dir": out("pieces"), **for_the_chip},
        "esp_firmware_analyze": {"file": app},
        "esp_bootloader_build": {"out": out("bootloader.bin"), "flash_size": "4MB", **for_the_chip},
        "esp_binary_optimize": {"file": app, "board_flash": "4MB"},
        "esp_size_analysis": {"file": elf, "partitions": table, "symbols": 5, **for_the_chip},
        "esp_partition_read": {"port": "virtual:2"},
        "esp_partition_show": {"file": table},
        "esp_partition_convert": {"file": table, "out": out("table.bin")},
        "esp_partition_create_ota": {"flash_size": "4MB", "slots": 2},
        "esp_partition_custom": {"rows": ["nvs,data,nvs,,24K"]},
        "esp_partition_analyze": {"port": "virtual:2"},
        "esp_nvs_partition_create": {"csv": values, "out": out("nvs.bin"), "size": "0x6000"},
        "esp_nvs_partition_read": {"file": out("nvs.bin")},
        "esp_nvs_keys": {"out": out("nvs-keys.bin")},
        "esp_cert_partition_create": {
            "device": device,
            "key_file": device_key,
            "home": "flash",
            "out": out("cert.bin"),
        },
        "esp_cert_partition_read": {"file": out("cert.bin")},
        "esp_matter_partition_create": {
            "vendor_id": "0xFFF1",
            "product_id": "0x8000",
            "serial": "SN1",
            "out": out("matter.bin"),
        },
        "esp_ota_validate": {"package": out("update.ota"), "unsigned": True},
        "esp_ota_status": {"file": otadata, "partitions": table},
        "esp_ota_partition_setup": {"package": out("update.ota"), "unsigned": True, "flash_size": "4MB"},
        "esp_ota_flash_prepare": {
            "package": out("update.ota"),
            "unsigned": True,
            "partitions": table,
            "image": out("slot.bin"),
            "otadata": out("chosen.bin"),
        },
        "esp_security_audit": ON_A_CHIP,
        "esp_security_validate": {"port": "virtual:1", "policy": "production"},
        "esp_efuse_read": ON_A_CHIP,
        "esp_efuse_plan": {"port": "virtual:1", "set": ["UART_PRINT_CONTROL=1"]},
        "esp_public_key_digest": {"key": "boot"},
        "esp_image_verify_signature": {"file": out("read.bin")},
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
        "journal_backup": {"file": out("backup.db")},
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
    asks = questions(made) | {"unit_trace": {"unit": finished[0]["serial"]}}
    image, package = (os.path.join(made, name) for name in ("released.bin", "update.ota"))
    await answer(session, "esp_elf_to_binary", **asks["esp_elf_to_binary"] | {"out": image})
    await answer(session, "esp_ota_package_create", image=image, product="demo", version="1", out=package)
    asked = 0
    for tool in tools:
        if not tool.annotations.read_only_hint:
            continue
        assert tool.name in asks, f"say here how {tool.name} is asked"
        parameters = asks[tool.name]
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
    assert asked >= 45, asked


async def script():
    made = os.path.join(ROOT, "made")
    os.makedirs(made, exist_ok=True)
    async with station("--root", os.path.dirname(RECIPE), discover=True) as session:
        assert session.protocol_version == "2026-07-28", session.protocol_version
        await ask(session, made)


play(script)
