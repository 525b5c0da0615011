"""Prints every attempt to reach somebody on this network: TCP SYN and UDP, a line each."""
import socket

watch = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
watch.bind(("lo", 0))
print("ready", flush=True)
while True:
    packet, (_, kind, direction, *_) = watch.recvfrom(65535)
    if direction == socket.PACKET_OUTGOING:
        continue  # seen again as it arrives
    if kind == 0x0800:
        protocol, to, rest = packet[9], socket.inet_ntop(socket.AF_INET, packet[16:20]), packet[(packet[0] & 15) * 4 :]
    elif kind == 0x86DD:
        protocol, to, rest = packet[6], socket.inet_ntop(socket.AF_INET6, packet[24:40]), packet[40:]
    else:
        continue
    port = int.from_bytes(rest[2:4], "big")
    if protocol == 6 and rest[13] & 0x12 == 0x02:
        print("tcp", to, port, flush=True)
    elif protocol == 17:
        print("udp", to, port, flush=True)
