"""Runs `esptool` many times in one process, as its documentation shows it for scripts.

Each line of the file named first is a list of arguments in JSON. What a run makes it writes itself; a run that
fails leaves its reason in `<number of the line>.error` in the folder named second.
"""

import contextlib
import io
import json
import pathlib
import sys

import esptool

lines = pathlib.Path(sys.argv[1]).read_text().splitlines()
for number, line in enumerate(lines):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            esptool.main(json.loads(line))
        except BaseException as error:
            reason = f"{type(error).__name__}: {error}"
            pathlib.Path(sys.argv[2], f"{number}.error").write_text(reason)
