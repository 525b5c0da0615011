"""What is measured: one chapter for each way to watch."""

import json
import os
import subprocess
import time

from . import doors
from .machine import LOAD_CORE, ROOT, cpu_seconds, memory_mb
from .rounds import median, quantiles, rounds, table, tries
from .subjects import (FEWER, FPS, FRAME, PASSWORD, SMALL_FRAME, VIEWERS, Gateway, Limit, Peer, UdpLimit, WebGateway,
                       WhepPeer)


def idle_cpu(folder, seconds):
    """CPU-seconds a second and packets from the camera, with nobody watching."""
    gateway = Gateway(folder)
    time.sleep(2)
    before = cpu_seconds(gateway.pid)
    time.sleep(seconds)
    used = (cpu_seconds(gateway.pid) - before) / seconds
    memory = memory_mb(gateway.pid)
    gateway.stop()
    return used, memory


def peers(folder, kind):
    """The other gateways whose binaries are named: how each is started."""
    named = (("MediaMTX", "MEDIAMTX_BIN"), ("go2rtc", "GO2RTC_BIN"))
    there = {name: os.environ[variable] for name, variable in named if os.environ.get(variable)}
    return {name: lambda name=name, binary=binary, **camera: kind(folder, name, binary, **camera)
            for name, binary in there.items()}


def rtsp(folder, options):
    subjects = {
        "limit: one write per frame": lambda: Limit(),
        "naive: one write per packet": lambda: Limit(write=1_400),
        "Sharp Eyes": lambda: Gateway(folder),
        **peers(folder, Peer),
    }
    results = rounds(subjects, options, VIEWERS, FRAME)
    first = tries(Gateway(folder, gop_seconds=4), "first")
    idle, memory = idle_cpu(folder, options.seconds)
    print(f"\n1 camera at 4 Mbit/s, {VIEWERS} RTSP/TCP viewers, medians of {options.rounds} rounds\n")
    summary = table(results)
    print(f"\ntime to the first frame, warm stream, GOP 4 s: {quantiles(first)}")
    print(f"on-demand camera, nobody watching: {idle:.4%} of a core, {memory:.0f} MB (PSS)")
    return {"s1": summary, "first_frame": first, "idle_core_share": idle, "idle_memory_mb": memory}


def whep(folder, options):
    subjects = {
        "limit: AES-128-GCM, one send per frame": lambda: UdpLimit(),
        "naive: one send per packet": lambda: UdpLimit(each=True),
        "Sharp Eyes": lambda: WebGateway(folder, "whep-viewers", "/main/whep"),
        **peers(folder, WhepPeer),
    }
    results = rounds(subjects, options, FEWER, SMALL_FRAME)
    first = tries(WebGateway(folder, below="/main/whep", gop_seconds=4), "whep-first")
    of_peers = {name: tries(peer(gop_seconds=4), "whep-first") for name, peer in peers(folder, WhepPeer).items()}
    print(f"\n1 camera at 2 Mbit/s, {FEWER} WHEP viewers, medians of {options.rounds} rounds\n")
    summary = table(results)
    latency(results["Sharp Eyes"])
    for name, times in {"Sharp Eyes": first, **of_peers}.items():
        print(f"{name}: time from the offer to the first frame, GOP 4 s: {quantiles(times)}")
    return {"w1": summary, "whep_first_frame": first, "whep_first_frame_of_peers": of_peers}


def live(folder, options):
    """fMP4 over WebSocket, beside the TCP limit."""
    subjects = {
        "limit: one write per frame": lambda: Limit(frame=SMALL_FRAME, viewers=FEWER),
        "Sharp Eyes": lambda: WebGateway(folder, "live-viewers"),
    }
    results = rounds(subjects, options, FEWER, SMALL_FRAME)
    first = tries(WebGateway(folder, gop_seconds=4), "live-first")
    print(f"\n1 camera at 2 Mbit/s, {FEWER} WebSocket viewers, medians of {options.rounds} rounds\n")
    summary = table(results)
    latency(results["Sharp Eyes"])
    print(f"time from connecting to the first frame, GOP 4 s: {quantiles(first)}")
    return {"live": summary, "live_first_frame": first}


def latency(rows):
    if rows:
        print(f"\nlatency p50 {median(rows, 'latency_p50_ms'):.1f} ms, p99 {median(rows, 'latency_p99_ms'):.1f} ms; "
              f"memory {median(rows, 'memory_kib_per_viewer'):.0f} KiB per viewer")


def hls(folder, options):
    first = tries(WebGateway(folder, gop_seconds=4), "hls-first")
    print(f"\nLL-HLS, time from opening the index to the first part that can be shown, GOP 4 s: {quantiles(first)}")
    return {"hls_first_frame": first}


def stills(folder, options):
    clip = ROOT / "tests/media/gate-h264-aac.mp4"  # 1280 x 720, a key frame every 2 s
    times = tries(WebGateway(folder, clip=clip), "stills")
    for kind in ("cold", "cached"):
        of_kind = {key: times[f"{kind}_{key}"] for key in ("p50_ms", "p99_ms", "count")}
        print(f"\nstill pictures of 1280 x 720, {kind}, {of_kind['count']} tries: {quantiles(of_kind)}")
    return {"stills": times}


def glass(folder, options):
    """From the camera's clock to a picture that Chromium has decoded."""
    gateway = WebGateway(folder, clip=f"marked:1:{FPS}:{FPS * 4}")
    world = {"url": f"http://127.0.0.1:{gateway.http}", "login": "bench", "password": PASSWORD,
             "camera": gateway.camera, "log": str(gateway.camera_log), "fps": FPS}
    ran = subprocess.run(["node", ROOT / "tests/e2e/glass.mjs", json.dumps(world)],
                         check=True, capture_output=True, text=True)
    gateway.stop()
    times = json.loads(ran.stdout)
    print(f"\nfrom the camera to a picture decoded in Chromium by {times['way']}, {times['count']} frames: "
          f"{quantiles(times)}")
    return {"glass": times}


def alarms(folder, options):
    """From a press for help to the pages of the patrol and of ten households."""
    ran = subprocess.run(["cargo", "bench", "--locked", "--bench", "alarms"], cwd=ROOT, check=True,
                         capture_output=True, text=True)
    print(f"\n{ran.stdout.strip()}")
    return {"alarms": ran.stdout.strip().splitlines()}


CHAPTERS = {"rtsp": rtsp, "whep": whep, "live": live, "hls": hls, "stills": stills, "glass": glass,
            "events": doors.events, "doors": doors.doors, "alarms": alarms}
