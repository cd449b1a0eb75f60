"""A Python workload: bytes in every way that programs move them, and programs of every kind of connection."""

import asyncio
import ctypes
import mmap
import multiprocessing
import os
import platform
import pty
import socket
import struct
import subprocess
import tempfile
import threading
import zlib

LETTERS = b"abcdefgh" * 1000


def files():
    """Whole, in vectors, at positions, inside the kernel, after a rename, without a name."""
    with open("data", "r+b", buffering=0) as data, open("copy", "w+b", buffering=0) as copy:
        data.write(LETTERS)
        os.preadv(data.fileno(), [bytearray(10), bytearray(20)], 5)
        os.pwritev(copy.fileno(), [LETTERS, b"more"], 100)
        os.sendfile(copy.fileno(), data.fileno(), 0, 5000)
        os.copy_file_range(data.fileno(), copy.fileno(), 3000, 0, 100)
        os.lseek(data.fileno(), 0, os.SEEK_SET)
        copy.write(data.read(777))
        os.unlink("copy")
        copy.write(data.read(333))
        os.ftruncate(copy.fileno(), 10)
    with open("first", "wb", buffering=0) as renamed:
        renamed.write(LETTERS[:10])
        os.rename("first", "second")
        renamed.write(LETTERS[:5])
    with tempfile.TemporaryFile(dir=".") as nameless:
        nameless.write(LETTERS)
        nameless.seek(0)
        nameless.read()
    with open("/dev/zero", "rb", buffering=0) as zero, open("/dev/null", "wb", buffering=0) as null:
        null.write(zero.read(4321))
    shared = os.memfd_create("shared")
    os.write(shared, LETTERS)
    with mmap.mmap(shared, 4096) as memory:
        memory[:5] = b"12345"
    os.close(shared)


def descriptors():
    """Duplicated, inherited, closed on exec, replaced, passed on."""
    read, write = os.pipe()
    again = os.dup(write)
    os.write(write, b"1" * 10)
    os.write(again, b"2" * 20)
    os.read(read, 100)
    if os.fork() == 0:
        os.write(again, b"3" * 30)
        os.dup2(again, 1)
        os.execvp("echo", ["echo", "from a program that inherited its output"])
    os.wait()
    os.read(read, 1000)
    child = subprocess.Popen(["cat"], stdin=read, stdout=subprocess.PIPE)
    os.write(write, LETTERS[:100])
    for descriptor in (write, again, read):
        os.close(descriptor)
    child.communicate()
    event = os.eventfd(7)
    os.eventfd_read(event)
    os.eventfd_write(event, 3)
    os.close(event)
    one, other = socket.socketpair()
    socket.send_fds(one, [b"take"], [os.open("data", os.O_RDONLY)])
    _, (taken, *_), *_ = socket.recv_fds(other, 100, 3)
    os.read(taken, 55)
    os.splice(taken, os.pipe()[1], 66)
    os.close(taken)


def threads():
    """Several that use the same descriptors, one of which executes a program in a child."""
    descriptor = os.open("shared", os.O_RDWR | os.O_CREAT | os.O_APPEND)

    def write(number):
        for _ in range(20):
            os.write(descriptor, bytes(number))

    running = [threading.Thread(target=write, args=(n,)) for n in range(1, 5)]
    for thread in running:
        thread.start()
    subprocess.run(["wc", "-c"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    for thread in running:
        thread.join()
    os.close(descriptor)


def terminal():
    """A program on a terminal of its own."""

    def read(descriptor):
        return os.read(descriptor, 100)

    pty.spawn(["echo", "on a terminal"], read)


async def echo(reader, writer):
    writer.write(await reader.readexactly(100))
    await writer.drain()
    writer.close()


async def connections():
    """Both ends of connections in one process, over TCP and Unix sockets."""
    for start, connect in (
        (asyncio.start_server(echo, "127.0.0.1", 0), None),
        (asyncio.start_unix_server(echo, "socket"), "socket"),
    ):
        server = await start
        async with server:
            if connect:
                reader, writer = await asyncio.open_unix_connection(connect)
            else:
                reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(LETTERS[:100])
            await reader.readexactly(100)
            writer.close()
            await writer.wait_closed()


def datagrams():
    """With and without addresses, several at once, looked at before they are taken."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        one.bind(("127.0.0.1", 0))
        other.connect(one.getsockname())
        for length in (0, 1, 1000):
            other.send(LETTERS[:length])
            one.recvfrom(10, socket.MSG_PEEK)
            one.recvfrom(10, socket.MSG_TRUNC)
        other.sendmsg([LETTERS[:10], LETTERS[:20]])
        one.recvmsg_into([bytearray(5), bytearray(100)])
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        netlink.bind((0, 0))


def by_handle():
    """A file opened without a name."""
    libc = ctypes.CDLL(None)
    handle, mount = (ctypes.c_uint * 34)(128), ctypes.c_int()
    with open("handled", "wb", buffering=0) as handled:
        handled.write(LETTERS)
    if libc.name_to_handle_at(-100, b"handled", handle, ctypes.byref(mount), 0) == 0:
        directory = os.open(".", os.O_RDONLY)
        data = libc.open_by_handle_at(directory, handle, os.O_RDONLY)
        os.close(directory)
        if data >= 0:
            os.read(data, 44)
            os.close(data)


def refused():
    """A filter that refuses a call: PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP; load the number, compare, return."""
    number = 83 if platform.machine() == "x86_64" else 34
    steps = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7FFF0000)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code))
    libc = ctypes.CDLL(None)
    if os.fork() == 0:
        libc.prctl(38, 1, 0, 0, 0)
        libc.prctl(22, 2, program, 0, 0)
        try:
            os.mkdir("refused")
        except PermissionError:
            os._exit(0)
        os._exit(1)
    _, status = os.wait()
    assert status == 0, status


def pools():
    with multiprocessing.Pool(2) as pool:
        pool.map(zlib.crc32, [LETTERS] * 8)


open("data", "w").close()
files()
descriptors()
threads()
terminal()
asyncio.run(connections())
datagrams()
by_handle()
refused()
pools()
