"""Events of doors: how many are durable a second, and how fast a day's list is read."""

import json
import os
import random
import sqlite3
import statistics
import subprocess
import time
import urllib.request

from .machine import BIN, LOAD_CORE
from .subjects import Gateway

CONNECTIONS, DEVICES = 64, 64
ROWS, PLACES, DAYS = 1_000_000, 50, 30


class DoorGateway(Gateway):
    """A gateway with doors; on PostgreSQL where SHARP_EYES_BENCH_POSTGRES names an empty database."""

    def __init__(self, folder, database=None):
        super().__init__(folder, database=database)
        # Nobody goes through one door a thousand times a second: no camera is there.
        place = self.post("/places", site_id=self.site["id"], name="doors", kind="lobby")["id"]
        tokens = []
        for n in range(DEVICES):
            device = self.post("/devices", place_id=place, name=f"door {n}", kind="door")
            tokens.append(self.post(f"/devices/{device['id']}/token")["token"])
        self.token_file = self.folder / "tokens"
        self.token_file.write_text("\n".join(tokens) + "\n")


def load(*arguments):
    ran = subprocess.run(["taskset", "-c", LOAD_CORE, BIN / "load", *map(str, arguments)],
                         check=True, capture_output=True, text=True)
    return json.loads(ran.stdout)


def events(folder, options):
    """Durable events a second, each POST with one event, beside appending and waiting for the disk."""
    databases = {"SQLite": None}
    if os.environ.get("SHARP_EYES_BENCH_POSTGRES"):
        databases["PostgreSQL"] = os.environ["SHARP_EYES_BENCH_POSTGRES"]
    gateways = {name: DoorGateway(folder, database) for name, database in databases.items()}
    rows = {name: [] for name in ["limit", *gateways]}
    for _ in range(options.rounds):
        rows["limit"].append(load("append", "--file", f"{folder}/append", "--count", CONNECTIONS,
                                  "--seconds", options.seconds))
        for name, gateway in gateways.items():
            rows[name].append(load("doors", "--address", f"127.0.0.1:{gateway.http}", "--token-file",
                                   gateway.token_file, "--count", CONNECTIONS, "--seconds", options.seconds))
    for gateway in gateways.values():
        gateway.stop()
    print(f"\ndurable door events, one a POST, {CONNECTIONS} connections, medians of {options.rounds} rounds\n")
    print("| subject | events/s | of the limit | p50 ms | p99 ms |\n|---|---|---|---|---|")
    of = lambda name, key: statistics.median(row[key] for row in rows[name])
    for name in rows:
        rate = of(name, "events_per_second")
        share = rate / of("limit", "events_per_second")
        print(f"| {name} | {rate:.0f} | {share:.0%} | {of(name, 'p50_ms'):.1f} | {of(name, 'p99_ms'):.1f} |")
    return {"events": rows}


def doors(folder, options):
    """The day's list of a place, with a million events in the database."""
    gateway = DoorGateway(folder)
    site, place = gateway.site["id"], gateway.place["id"]
    others = [gateway.post("/places", site_id=site, name=f"door {n}", kind="lobby")["id"] for n in range(1, PLACES)]
    places = [place, *others]
    device = gateway.post("/devices", place_id=place, name="door", kind="door")["id"]
    now, day = time.time_ns() // 1_000, 24 * 3_600 * 1_000_000
    row = lambda n: (f"{n:032x}", "/door", str(n), device, site, random.choice(places), "door.access.granted",
                     "live", now - DAYS * day + n * (DAYS * day // ROWS))
    database = sqlite3.connect(gateway.folder / "db", timeout=60)
    with database:
        database.executemany(
            "insert into door_events (id, source, event_id, device_id, site_id, place_id, kind, quality, received_at)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?)", (row(n) for n in range(ROWS)))
    database.close()
    since = time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime())
    times = []
    for n in range(300):
        url = f"{gateway.base}/door-events?limit=200&since={since}&place_id={places[n % PLACES]}"
        request = urllib.request.Request(url, headers={"Cookie": gateway.cookie})
        began = time.perf_counter()
        with urllib.request.urlopen(request) as answer:
            items = json.load(answer)["items"]
        times.append((time.perf_counter() - began) * 1_000)
        assert items, "nothing of today"
    gateway.stop()
    times.sort()
    p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
    print(f"\n{ROWS} door events in SQLite, a place's list of today, {len(times)} tries: "
          f"p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    return {"doors": {"p50_ms": p50, "p99_ms": p99}}
