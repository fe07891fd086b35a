"""Espressif's programs as libraries, on the input of `station bench files`; prints how long each took.

Modules are loaded before the clock starts, and everything runs in one process.
"""

import contextlib
import hashlib
import io
import json
import os
import sys
import time
import zlib

import esptool
from esp_idf_nvs_partition_gen import nvs_partition_gen

folder, units, size, conversions, chip, elf = sys.argv[1:]
os.chdir(folder)


def timed(count, once):
    start = time.perf_counter(), time.process_time()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for number in range(count):
            once(number)
    return {"wall_s": time.perf_counter() - start[0], "cpu_s": time.process_time() - start[1]}


def partition(number):
    arguments = ["generate", f"unit{number}.csv", f"unit{number}.bin", size]
    command.main(args=arguments, standalone_mode=False)


def image(_):
    with contextlib.suppress(SystemExit):
        esptool.main(["--chip", chip, "elf2image", "--output", "image.bin", elf])
    with open("image.bin", "rb") as file:
        content = file.read()
    zlib.compress(content, 9)
    hashlib.md5(content).hexdigest()


command = nvs_partition_gen._build_cli()
print(json.dumps({"partitions": timed(int(units), partition), "images": timed(int(conversions), image)}))
