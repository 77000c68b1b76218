"""What the Python scripts here share: JSON lines on standard output, a watch on standard input, names led elsewhere.

Invariant: nothing but JSON lines is ever written to standard output; everything else goes to standard error.
"""

import argparse
import faulthandler
import json
import os
import signal
import socket
import sys
import threading
import time

_said = threading.Lock()


def say(value):
    """Writes one JSON line to standard output."""
    with _said:
        sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
        sys.stdout.flush()


def arguments(description, *specs):
    """Parses `--name value` arguments; each spec is (name, keyword arguments of add_argument)."""
    parser = argparse.ArgumentParser(description=description)
    for name, keywords in specs:
        parser.add_argument(name, **keywords)
    return parser.parse_args()


def give_up_after(seconds):
    """Ends the process with a trace of where it hangs when it is still there after `seconds`."""
    faulthandler.dump_traceback_later(seconds, exit=True)


def stop_on_request(clean=lambda: None, heed_stdin=True):
    """Ends this process on SIGTERM, on SIGINT and, unless told not to, when its standard input closes.

    Call it before any thread or server starts: it keeps both signals from everyone else. Servers whose own way to stop
    waits for streams that never end are thus not asked.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})

    def end():
        clean()
        os._exit(0)

    def await_signal():
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
        end()

    def await_stdin():
        while os.read(0, 4096):
            pass
        end()

    threading.Thread(target=await_signal, daemon=True).start()
    if heed_stdin:
        threading.Thread(target=await_stdin, daemon=True).start()


def say_ready_when_listening(port, ready, limit=60):
    """Says that we are up once the port on loopback takes connections; gives up after `limit` seconds."""

    def probe():
        end = time.monotonic() + limit
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                say({"ready": True, "pid": os.getpid(), **ready})
                return
        say({"ready": False, "error": f"not listening after {limit} s"})
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=probe, daemon=True).start()


def free_port():
    """A port on loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def lead(places):
    """Leads names elsewhere for this process; each place is HOST=ADDRESS:PORT. For people who pass no proxy."""
    led = {}
    for place in places:
        host, _, target = place.partition("=")
        address, _, port = target.rpartition(":")
        led[host] = (address, int(port))
    if not led:
        return
    resolve = socket.getaddrinfo

    def elsewhere(host, port, *rest, **keywords):
        name = host.decode() if isinstance(host, bytes) else host
        return resolve(*led.get(name, (host, port)), *rest, **keywords)

    socket.getaddrinfo = elsewhere


class Steps:
    """Runs named steps, says what each did, and remembers whether one failed."""

    def __init__(self, keep_going):
        self.keep_going = keep_going
        self.failed = False

    def run(self, did, act):
        try:
            say({"did": did, **(act() or {})})
        except Exception as error:  # whatever a library raises is what the step has to report
            self.failed = True
            say({"did": did, "error": f"{type(error).__name__}: {error}"[:2000]})
            if not self.keep_going:
                sys.exit(1)

    def end(self):
        sys.exit(1 if self.failed else 0)
