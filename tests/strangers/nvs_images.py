"""Runs esp-idf-nvs-partition-gen once per line of a list, in one process.

A line is a JSON list of command line arguments. Each gives one line of output: `ok`, or what went wrong.
"""

import json
import os
import sys

from esp_idf_nvs_partition_gen import nvs_partition_gen

folder, jobs = sys.argv[1:]
os.chdir(folder)
command = nvs_partition_gen._build_cli()
answers = []
with open(jobs, encoding="utf8") as lines:
    stdout = os.dup(1)
    for line in lines:
        try:
            command.main(args=json.loads(line), standalone_mode=False)
            answers.append("ok")
        except BaseException as error:  # it also leaves by exit
            answers.append(f"{type(error).__name__} {error}".replace("\n", " ") or "failed")
with open("answers", "w", encoding="utf8") as out:
    out.write("\n".join(answers) + "\n")
