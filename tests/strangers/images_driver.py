"""Runs many esptool command lines in one process.

Each line of the file named by the first argument is one command line; what it prints goes to
`<file>.<line>.txt`, its end as a last line `end 0` or `end <reason>`.
"""

import contextlib
import io
import os
import sys

import esptool

os.environ["COLUMNS"] = "400"


def main(cases):
    with open(cases, encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            said = io.StringIO()
            end = "0"
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                try:
                    esptool.main(line.split())
                except SystemExit as leaving:
                    end = str(leaving.code or 0)
                except Exception as error:
                    end = type(error).__name__
            with open(f"{cases}.{number}.txt", "w", encoding="utf-8") as out:
                out.write(f"{said.getvalue()}\nend {end}\n")


main(sys.argv[1])
