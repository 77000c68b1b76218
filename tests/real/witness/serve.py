"""A witness that somebody else wrote (PyPI `aics-witness`), watching one log.

    exec witness/serve.py --name witness.test/w1 --origin ORIGIN --vkey KEY

The first line says where it is and its key. It stops on SIGTERM and when standard input closes.
"""

import argparse
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--name", required=True)
parser.add_argument("--origin", required=True)
parser.add_argument("--vkey", required=True, help="of the log")
asked = parser.parse_args()

with tempfile.TemporaryDirectory() as home:
    config = str(pathlib.Path(home) / "witness.json")

    def run(command, *arguments):
        done = subprocess.run(
            [sys.executable, "-m", "aics_witness", command, "--config", config, *arguments],
            check=True, capture_output=True, text=True, timeout=60,
        )
        return done.stdout.strip()

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    key = run("init", "--name", asked.name, "--listen", f"127.0.0.1:{port}")
    run("add-log", "--origin", asked.origin, "--vkey", asked.vkey)
    server = subprocess.Popen(
        [sys.executable, "-m", "aics_witness", "serve", "--config", config],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > deadline or server.poll() is not None:
                    raise
                time.sleep(0.05)
        ready = {"ready": True, "pid": os.getpid(), "url": f"http://127.0.0.1:{port}", "vkey": key}
        print(json.dumps(ready), flush=True)
        sys.stdin.read()
    finally:
        server.terminate()
        server.wait(timeout=20)
