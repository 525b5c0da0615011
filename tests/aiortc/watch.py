#!/usr/bin/env python3
"""Watches a camera by WHEP with aiortc, a WebRTC that is nobody's of us, and decodes.

    watch.py BASE PATH COOKIE FRAMES SOUND

Prints one line of JSON: how many pictures were decoded, their size, and whether each
came after the one before. With SOUND (pcma or pcmu) one second of sound instead, and
whether the bytes that it was decoded from count up by one, from 255 to 0.
"""

import asyncio
import json
import struct
import sys
import urllib.request

from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaBlackhole


def post(url, cookie, body):
    request = urllib.request.Request(url, body.encode(), method="POST")
    request.add_header("Content-Type", "application/sdp")
    request.add_header("Cookie", cookie)
    with urllib.request.urlopen(request) as answer:
        return answer.status, answer.headers["Location"], answer.read().decode()


def delete(url, cookie):
    request = urllib.request.Request(url, method="DELETE")
    request.add_header("Cookie", cookie)
    with urllib.request.urlopen(request) as answer:
        return answer.status


def pcma(code):
    """ITU-T G.711, A-law: the sample that a byte stands for."""
    code ^= 0x55
    exponent, mantissa = code >> 4 & 7, code & 15
    value = (mantissa << 4) + 8 if exponent == 0 else (mantissa << 4) + 0x108 << exponent - 1
    return value if code & 0x80 else -value


def pcmu(code):
    """ITU-T G.711, mu-law."""
    code ^= 0xFF
    value = ((code & 15) << 3) + 0x84 << (code >> 4 & 7)
    return 0x84 - value if code & 0x80 else value - 0x84


async def listen(track, law):
    """A second of sound, and whether it is what bytes that count up are decoded to."""
    samples = []
    while len(samples) < 8000:
        frame = await track.recv()
        samples += struct.unpack(f"<{frame.samples}h", bytes(frame.planes[0])[: 2 * frame.samples])
    heard = samples[:8000]
    table = [law(code) for code in range(256)]
    counts_on = any(
        all(sample == table[first + at & 255] for at, sample in enumerate(heard)) for first in range(256)
    )
    return {"samples": len(heard), "rate": frame.sample_rate, "format": frame.format.name, "counts_on": counts_on}


async def main(base, path, cookie, wanted, sound_codec):
    peer = RTCPeerConnection()
    tracks, sound = asyncio.Queue(), MediaBlackhole()
    peer.addTransceiver("video", direction="recvonly")
    peer.addTransceiver("audio", direction="recvonly")
    peer.on("track", tracks.put_nowait)
    await peer.setLocalDescription(await peer.createOffer())
    status, location, answer = await asyncio.to_thread(post, base + path, cookie, peer.localDescription.sdp)
    await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    video = None
    while video is None:
        track = await tracks.get()
        if sound_codec:
            if track.kind == "audio":
                said = {"status": status, **await listen(track, globals()[sound_codec])}
                said["ended"] = await asyncio.to_thread(delete, base + location, cookie)
                await peer.close()
                print(json.dumps(said))
                return
        elif track.kind == "video":
            video = track
        else:
            sound.addTrack(track)
    times, size = [], None
    while len(times) < wanted:
        frame = await video.recv()
        times.append(frame.pts)
        size = [frame.width, frame.height]
    steady = all(b > a for a, b in zip(times, times[1:]))
    ended = await asyncio.to_thread(delete, base + location, cookie)
    await peer.close()
    print(json.dumps({"status": status, "frames": len(times), "size": size, "steady": steady, "ended": ended}))


base, path, cookie, wanted, sound_codec = sys.argv[1:]
asyncio.run(asyncio.wait_for(main(base, path, cookie, int(wanted), sound_codec), 60))
