"""A headless Chromium, spoken to over a pipe in the DevTools protocol; it never goes online."""

import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
SWITCHES = (
    "--headless",
    "--no-sandbox",  # for root in a container; it is given pages of our own alone
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-sync",
    "--remote-debugging-pipe",
)
PATIENCE_S = 30.0
ABOVE_STANDARD = 10
COMMANDS_IN, REPLIES_OUT = 3, 4
"""The descriptors that --remote-debugging-pipe reads and writes."""


def found():
    """Return the path of a Chromium, None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Chromium:
    """One browser and one of its tabs. ``events`` holds all that the tab told, in order."""

    def __init__(self, folder):
        to_browser, self._commands = _pipe()
        self._replies, from_browser = _pipe()

        def take_descriptors():
            os.dup2(to_browser, COMMANDS_IN)
            os.dup2(from_browser, REPLIES_OUT)

        self._process = subprocess.Popen(
            [found(), *SWITCHES, f"--user-data-dir={folder}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=take_descriptors,
            pass_fds=(COMMANDS_IN, REPLIES_OUT),
            start_new_session=True,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._unread, self._number, self._session = b"", 0, None
        self.events = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        """Return the result of a command; raises RuntimeError where it fails."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        while True:
            message = self._message()
            if message.get("id") == self._number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self.events.append(message)

    def load(self, url):
        """Load a page, and forget the events of the one before."""
        self.events.clear()
        self.call("Page.navigate", url=url)
        while not any(each.get("method") == "Page.loadEventFired" for each in self.events):
            self.events.append(self._message())

    def look(self, *, width, media="", scheme="light"):
        """Show the page at a width, on screen or on paper, light or dark."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)

    def value(self, expression):
        """Return the value of an expression of JavaScript in the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def complaints(self):
        """Return the errors and warnings of the console since the page was loaded."""
        told = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        return [each for each in self.events if each.get("method") in told]

    def requests(self):
        """Return the addresses that the page asked for."""
        return [
            each["params"]["request"]["url"]
            for each in self.events
            if each.get("method") == "Network.requestWillBeSent"
        ]

    def close(self):
        """End the browser and all of its processes."""
        os.close(self._commands)
        os.close(self._replies)
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _message(self):
        until = time.monotonic() + PATIENCE_S
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._replies], [], [], until - time.monotonic())
            assert ready, "Chromium says nothing"
            read = os.read(self._replies, 1 << 20)
            assert read, "Chromium ended"
            self._unread += read
        message, _, self._unread = self._unread.partition(b"\0")
        return json.loads(message)


def _pipe():
    """Return the ends of a pipe, beyond the descriptors that the browser is to have."""
    ends = os.pipe()
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, ABOVE_STANDARD) for end in ends)
    for end in ends:
        os.close(end)
    return moved
