#!/usr/bin/env python3
"""Watches a camera by WHEP with aiortc, a WebRTC that is nobody's of us, and decodes.

    watch.py BASE PATH COOKIE FRAMES

Prints one line of JSON: how many pictures were decoded, their size, and whether each
came after the one before.
"""

import asyncio
import json
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


async def main(base, path, cookie, wanted):
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
        if track.kind == "video":
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


base, path, cookie, wanted = sys.argv[1:]
asyncio.run(asyncio.wait_for(main(base, path, cookie, int(wanted)), 60))
