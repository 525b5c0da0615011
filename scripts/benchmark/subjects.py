"""Who serves: the gateway, the limits, and other gateways."""

import json
import pathlib
import signal
import subprocess
import tempfile
import time
import urllib.request

from .machine import BIN, GATEWAY_CORE, LOAD_CORE, free_port, pinned, wait_for

FPS = 25
FRAME = 20_000  # 4 Mbit/s
VIEWERS = 200
SMALL_FRAME, FEWER = 10_000, 100  # 2 Mbit/s
PASSWORD = "a password for the bench"


class Subject:
    """Something that serves viewers."""

    children = ()

    def stop(self):
        for child in self.children:
            child.send_signal(signal.SIGTERM)
        for child in self.children:
            child.wait(20)


class Limit(Subject):
    """A bare loop: one write per frame and viewer, or one per packet."""

    def __init__(self, write=None, frame=FRAME, viewers=VIEWERS):
        self.port, self.viewers = free_port(), viewers
        extra = ["--write", write] if write else []
        limit = pinned(GATEWAY_CORE, BIN / "load", "limit", "--listen", f"127.0.0.1:{self.port}",
                       "--fps", FPS, "--bytes", frame, *extra)
        self.children, self.pid = [limit], limit.pid
        wait_for(self.port)

    def load(self, seconds):
        return ["drain", "--address", f"127.0.0.1:{self.port}", "--count", self.viewers, "--seconds", seconds]


class UdpLimit(Subject):
    """A bare loop: seal a frame's packets, one call per frame and viewer, or one per packet."""

    def __init__(self, each=False):
        self.port = free_port()
        limit = pinned(GATEWAY_CORE, BIN / "load", "udp-limit", "--listen", f"127.0.0.1:{self.port}",
                       "--fps", FPS, "--bytes", SMALL_FRAME, *(["--each"] if each else []))
        self.children, self.pid = [limit], limit.pid
        time.sleep(0.5)

    def load(self, seconds):
        return ["udp-drain", "--address", f"127.0.0.1:{self.port}", "--count", FEWER, "--seconds", seconds]


class Gateway(Subject):
    """The gateway with one camera, registered through its own API."""

    def __init__(self, folder, gop_seconds=2, frame=FRAME, clip=None, database=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=folder))
        http, self.port, cameras = free_port(), free_port(), free_port()
        self.http = http
        (self.folder / "config.toml").write_text(
            f'[http]\nlisten = "127.0.0.1:{http}"\n[rtsp]\nlisten = "127.0.0.1:{self.port}"\n'
            f'[webrtc]\nlisten = "127.0.0.1:{free_port()}"\n'
            f'[database]\nurl = "{database or f"sqlite:{self.folder}/db"}"\n[secrets]\nkey_file = "{self.folder}/key"\n'
            f'[cameras]\nallow_networks = ["127.0.0.0/8"]\n[log]\nfilter = "warn"\n')
        clip = clip or f"synthetic:{FPS}:{FPS * gop_seconds}:{frame}"
        self.camera_log = self.folder / "camsim.log"
        camera = pinned(LOAD_CORE, BIN / "camsim", "--listen", f"127.0.0.1:{cameras}", "--camera", f"a={clip}",
                        stderr=self.camera_log.open("w"))
        gateway = pinned(GATEWAY_CORE, BIN / "sharp-eyes", "serve", "--config", self.folder / "config.toml",
                         stdout=subprocess.PIPE, text=True)
        self.children, self.pid = [gateway, camera], gateway.pid
        gateway.stdout.readline()
        token = gateway.stdout.readline().strip().split("#")[1]
        wait_for(http)
        self.base, self.cookie = f"http://127.0.0.1:{http}/api/v1", None
        self.post("/setup", token=token, login="bench", name="bench", password=PASSWORD)
        self.site = self.post("/sites", name="bench", kind="compound", time_zone="UTC", resident_policy="off")
        self.place = self.post("/places", site_id=self.site["id"], name="bench", kind="gate")
        self.camera = self.post("/cameras", place_id=self.place["id"], name="bench", purpose="bench",
                                responsible_unit="bench", main_url=f"rtsp://127.0.0.1:{cameras}/a")["id"]
        key = self.post("/viewer-keys", name="bench")
        self.key_file = self.folder / "viewer-key"
        self.key_file.write_text(f"{key['login']}:{key['key']}")
        self.cookie_file = self.folder / "cookie"
        self.cookie_file.write_text(self.cookie)
        time.sleep(0.3)

    def post(self, path, **body):
        request = urllib.request.Request(self.base + path, json.dumps(body).encode(), method="POST")
        request.add_header("Content-Type", "application/json")
        if self.cookie:
            request.add_header("Cookie", self.cookie)
        with urllib.request.urlopen(request) as answer:
            cookie = answer.headers.get("Set-Cookie")
            self.cookie = cookie.split(";")[0] if cookie else self.cookie
            return json.load(answer)

    def target(self):
        return ["--address", f"127.0.0.1:{self.port}", "--path", f"{self.camera}/main", "--key-file", self.key_file]

    def load(self, seconds):
        return ["viewers", *self.target(), "--count", VIEWERS, "--seconds", seconds]


class WebGateway(Gateway):
    """The same for browsers, watched by `load`'s `viewers` at the camera's address and what is `below` it."""

    def __init__(self, folder, viewers=None, below="", **camera):
        super().__init__(folder, **{"frame": SMALL_FRAME, **camera})
        self.viewers, self.below = viewers, below

    def target(self):
        return ["--address", f"127.0.0.1:{self.http}", "--path", f"/api/v1/cameras/{self.camera}{self.below}",
                "--cookie-file", self.cookie_file]

    def load(self, seconds):
        return [self.viewers, *self.target(), "--count", FEWER, "--seconds", seconds]


class Peer(Subject):
    """Another gateway, given by its binary; its stream needs no login."""

    frame, nobody = FRAME, ":"

    def __init__(self, folder, name, binary, gop_seconds=2):
        self.folder, self.name = pathlib.Path(tempfile.mkdtemp(dir=folder)), name
        self.port, cameras = free_port(), free_port()
        camera = pinned(LOAD_CORE, BIN / "camsim", "--listen", f"127.0.0.1:{cameras}",
                        "--camera", f"a=synthetic:{FPS}:{FPS * gop_seconds}:{self.frame}", stderr=subprocess.DEVNULL)
        config = self.folder / "config.yml"
        config.write_text(getattr(self, name.lower())(f"rtsp://127.0.0.1:{cameras}/a"))
        command = [binary, config] if name == "MediaMTX" else [binary, "-config", config]
        peer = pinned(GATEWAY_CORE, *command, stdout=subprocess.DEVNULL)
        self.children, self.pid = [peer, camera], peer.pid
        self.no_key = self.folder / "no-key"
        self.no_key.write_text(self.nobody)
        wait_for(self.port)
        time.sleep(2)

    def mediamtx(self, source):
        return (f"rtspAddress: 127.0.0.1:{self.port}\nrtspTransports: [tcp]\nrtmp: no\nhls: no\nwebrtc: no\nsrt: no\n"
                f"logLevel: error\npaths:\n  main:\n    source: {source}\n    rtspTransport: tcp\n")

    def go2rtc(self, source):
        return (f"rtsp:\n  listen: 127.0.0.1:{self.port}\napi:\n  listen: ''\nwebrtc:\n  listen: ''\n"
                f"streams:\n  main: {source}\n")

    def target(self):
        return ["--address", f"127.0.0.1:{self.port}", "--path", "main", "--key-file", self.no_key]

    def load(self, seconds):
        return ["viewers", *self.target(), "--count", VIEWERS, "--seconds", seconds]


class WhepPeer(Peer):
    """The same for browsers: offers go to its HTTP port."""

    frame, nobody = SMALL_FRAME, ""

    def mediamtx(self, source):
        return (f"rtsp: no\nrtmp: no\nhls: no\nsrt: no\nwebrtcAddress: 127.0.0.1:{self.port}\nwebrtcEncryption: no\n"
                f"webrtcLocalUDPAddress: 127.0.0.1:{free_port()}\nwebrtcIPsFromInterfaces: no\n"
                f"webrtcAdditionalHosts: [127.0.0.1]\nlogLevel: error\n"
                f"paths:\n  main:\n    source: {source}\n    rtspTransport: tcp\n")

    def go2rtc(self, source):
        webrtc = f"127.0.0.1:{free_port()}"
        return (f"rtsp:\n  listen: ''\napi:\n  listen: 127.0.0.1:{self.port}\n"
                f"webrtc:\n  listen: {webrtc}\n  candidates: [{webrtc}]\nstreams:\n  main: {source}\n")

    def target(self):
        path = "/main/whep" if self.name == "MediaMTX" else "/api/webrtc?src=main"
        return ["--address", f"127.0.0.1:{self.port}", "--path", path, "--cookie-file", self.no_key]

    def load(self, seconds):
        return ["whep-viewers", *self.target(), "--count", FEWER, "--seconds", seconds]
