#!/usr/bin/env python3
"""Records the terminal of the provisioner with simulated boards, as animated SVG.

    cargo build --bins && pip install pyte==0.8.2 && python3 tests/record/record.py

Writes out-of-the-box.svg, monitor.svg, one-board.svg and watch.svg in provisioner/docs. For the first two, pip downloads
Microchip's images. The programs run as users run them, on a pseudo terminal, with boards at the speed of real ones; what they
print goes through a terminal emulator (pyte), and each different screen becomes a frame.
"""

import contextlib
import html
import json
import os
import pathlib
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from fcntl import ioctl

import pyte

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "target" / os.environ.get("PROFILE", "debug")
DOCS = ROOT / "provisioner" / "docs"
ENDPOINT = "a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com"
COLUMNS, FONT, WIDTH, HEIGHT = 100, 14, 8.43, 18
COLORS = {"red": "#e06c75", "green": "#7ec87e", "brown": "#d9b15f", "cyan": "#56b6c2", "default": "#d8dee9"}
LAST_FRAME = 4.0  # seconds that the end stays on the screen
PAUSE = 0.3  # seconds that a frame stays at least


class Recording:
    """A program on a pseudo terminal, and its screen over time."""

    def __init__(self, command, rows, environment):
        self.screen = pyte.Screen(COLUMNS, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.frames, self.started = [], time.monotonic()
        # The prompt with what the user types.
        self.stream.feed(("$ " + " ".join(command) + "\r\n").encode())
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(environment)
            os.execv(PROGRAMS / command[0], command)
        ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, COLUMNS, 0, 0))

    def run_for(self, seconds):
        """Takes in what is printed; True when the program has ended."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self.fd], [], [], min(left, 0.05))[0]:
                try:
                    printed = os.read(self.fd, 65536)
                except OSError:
                    printed = b""
                if not printed:
                    self.keep(last=True)
                    return True
                self.stream.feed(printed)
            self.keep()
        return False

    def type(self, text):
        os.write(self.fd, text.encode())

    def show(self, text):
        """What another program prints on the same terminal, after the first has ended."""
        self.stream.feed(text.replace("\n", "\r\n").encode())
        self.keep(last=True)

    def keep(self, last=False):
        now = time.monotonic() - self.started
        if self.frames and not last and now - self.frames[-1][0] < PAUSE:
            return
        rows = [self.screen.buffer[y] for y in range(self.screen.lines)]
        frame = tuple(tuple((row[x].data, row[x].fg, row[x].bold) for x in range(COLUMNS)) for row in rows)
        if not self.frames or self.frames[-1][1] != frame:
            self.frames.append((now, frame))

    def exit_code(self):
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def runs(row):
    """The row as (column, text, colour, bold), without blanks at its end."""
    found = []
    for column, (data, color, bold) in enumerate(row):
        if found and found[-1][2:] == (color, bold):
            found[-1] = (found[-1][0], found[-1][1] + data, color, bold)
        else:
            found.append((column, data, color, bold))
    return [run for run in found if run[1].strip()]


def svg(recording):
    """Every frame is shown from its time on until the next one's."""
    frames = recording.frames
    total = frames[-1][0] + LAST_FRAME
    width, height = COLUMNS * WIDTH + 24, recording.screen.lines * HEIGHT + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" font-family="monospace" font-size="{FONT}">',
        f'<rect width="100%" height="100%" rx="8" fill="#20242c"/><g transform="translate(12 {12 + FONT})">',
    ]
    for number, (begin, frame) in enumerate(frames):
        end = frames[number + 1][0] if number + 1 < len(frames) else total
        # The first frame is what a viewer without animation shows last: the end of the recording is drawn by default.
        shown = "visible" if number + 1 == len(frames) else "hidden"
        times = f"0;{begin / total:.5f};{min(end / total, 1):.5f}"
        parts.append(
            f'<g visibility="{shown}"><animate attributeName="visibility" values="hidden;visible;hidden" keyTimes="{times}" '
            f'calcMode="discrete" dur="{total:.2f}s" repeatCount="indefinite"/>'
        )
        for y, row in enumerate(frame):
            for column, text, color, bold in runs(row):
                weight = ' font-weight="bold"' if bold else ""
                text = html.escape(text.rstrip())
                parts.append(
                    f'<text x="{column * WIDTH:.1f}" y="{y * HEIGHT}" fill="{COLORS.get(color, COLORS["default"])}"{weight} '
                    f'textLength="{len(html.unescape(text)) * WIDTH:.1f}" xml:space="preserve">{text}</text>'
                )
        parts.append("</g>")
    return "\n".join(parts + ["</g></svg>\n"])


def one_board(boards, environment):
    command = ["provisioner", "provision", "--endpoint", ENDPOINT]
    recording = Recording(command, 10, {**environment, "MICROCHIP_IOT_PORTS": f"{boards[0]}=MCHP3261021800001230"})
    while not recording.run_for(1):
        pass
    return recording


@contextlib.contextmanager
def demo_account(environment):
    """An account and a kit that runs its demo: the environment that finds them, and what the testbed tells."""
    serve = subprocess.Popen(
        [PROGRAMS / "testbed", "serve", "--ready", "--demo"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    try:
        served = json.loads(serve.stdout.readline())
        own = {
            "AWS_ENDPOINT_URL": served["endpoint_url"],
            "AWS_ENDPOINT_URL_IOT_DATA_PLANE": served["data_plane_url"],
            "AWS_REGION": served["region"],
            "AWS_ACCESS_KEY_ID": served["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": served["secret_access_key"],
            "AWS_CA_BUNDLE": served["server_ca"],
            **served["environment"],
        }
        yield {**environment, **own}, serve.stderr
    finally:
        serve.terminate()
        serve.wait()


def out_of_the_box(environment):
    """A kit that runs its demo, until its message is in the account."""
    with demo_account(environment) as (own, told):
        command = ["provisioner", "-c", "aws", "-m", "jitr", "--ssid", "Workshop"]
        recording = Recording(command, 28, own)
        recording.run_for(1.5)
        recording.type("correct horse\n")
        while not recording.run_for(1):
            pass
        message = next(line for line in told if "/sensors" in line)
        recording.show('$ grep sensors "$TESTBED_LOG"\n')
        recording.show(message)
        return recording


def monitor(environment):
    """What the account shows while a kit is provisioned and connects for the first time."""
    with demo_account(environment) as (own, _):
        own = {**own, "MICROCHIP_IOT_PSK": "correct horse"}

        def run(*arguments):
            command = [PROGRAMS / "provisioner", *arguments]
            subprocess.run(command, env={**os.environ, **own}, check=True, capture_output=True)

        run("ca", "create")
        run("setup")
        recording = Recording(["provisioner", "monitor"], 10, own)
        recording.run_for(2)
        run("provision", "--program", "--ssid", "Workshop")
        recording.run_for(4)
        os.kill(recording.pid, signal.SIGINT)
        while not recording.run_for(1):
            pass
        return recording


def watch(boards, environment, folder):
    ports = pathlib.Path(folder, "ports")
    entries = [f"{board}=MCHP326102180000123{number}" for number, board in enumerate(boards)]
    present = []

    def plug(*changed):
        present.extend(changed)
        ports.with_suffix(".new").write_text("\n".join(present))
        ports.with_suffix(".new").rename(ports)

    plug()
    command = ["provisioner", "provision", "--watch", "--endpoint", ENDPOINT]
    recording = Recording(command, 12, {**environment, "MICROCHIP_IOT_PORTS": f"@{ports}"})
    recording.run_for(1.5)
    plug(entries[0])
    recording.run_for(0.8)
    plug(entries[1], entries[2])
    recording.run_for(1.2)
    plug(entries[3])
    recording.run_for(4)
    present.remove(entries[0])
    plug()
    recording.run_for(1.5)
    plug(entries[0])
    recording.run_for(2)
    os.kill(recording.pid, signal.SIGINT)
    while not recording.run_for(1):
        pass
    return recording


def main():
    serve = subprocess.Popen(
        [PROGRAMS / "testbed", "serve", "--boards", "5"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        boards = json.loads(serve.stdout.readline())["boards"]
        with tempfile.TemporaryDirectory() as folder:
            environment = {"HOME": folder, "TERM": "xterm-256color", "MICROCHIP_IOT_STATION": "bench-1"}
            # No paths of the machine that records.
            environment["MICROCHIP_IOT_HOME"] = os.path.join(folder, "home")
            first = out_of_the_box({**environment, "MICROCHIP_IOT_HOME": os.path.join(folder, "first")})
            second = monitor({**environment, "MICROCHIP_IOT_HOME": os.path.join(folder, "second")})
            subprocess.run([PROGRAMS / "provisioner", "ca", "create"], env=environment, check=True, capture_output=True)
            for name, recording in [
                ("out-of-the-box", first),
                ("monitor", second),
                ("one-board", one_board(boards, environment)),
                ("watch", watch(boards[1:], environment, folder)),
            ]:
                code = recording.exit_code()
                if code != 0:
                    sys.exit(f"{name}: the provisioner ended with {code}")
                text = svg(recording).replace(folder, "~")
                (DOCS / f"{name}.svg").write_text(text)
                print(f"{name}.svg: {len(recording.frames)} frames, {len(text) // 1024} KiB")
    finally:
        serve.terminate()
        serve.wait()


if __name__ == "__main__":
    main()
