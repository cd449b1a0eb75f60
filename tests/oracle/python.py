"""A Python workload: imports, files, processes, sockets, and what fails of them."""

import contextlib
import csv
import glob
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile  # noqa: F401  (imported for what importing opens)
import zipfile

port, path = int(sys.argv[1]), sys.argv[2]

with open("data") as data:
    rows = [line.split() for line in data]
with open("rows.csv", "w", newline="") as table:
    csv.writer(table).writerows(rows)
pathlib.Path("rows.json").write_text(json.dumps(rows))
with contextlib.suppress(FileNotFoundError):
    open("nowhere")
with contextlib.suppress(IsADirectoryError):
    open("directory", "w")
with contextlib.suppress(FileExistsError):
    open("data", "x")
os.chdir("link")
print(open("../../data").read(), open("file").read(), file=open("../../out", "w"))
os.chdir("../..")
directory = os.open("directory", os.O_RDONLY)
os.close(os.open("below/file", os.O_RDWR, dir_fd=directory))
os.close(directory)
shutil.copytree("directory", "copy")
with zipfile.ZipFile("all.zip", "w") as archive:
    for name in sorted(glob.glob("*.json")):
        archive.write(name)

subprocess.run(["cat", "data"], check=True, stdout=subprocess.DEVNULL)
subprocess.run("sort data | uniq > unique", shell=True, check=True)
with contextlib.suppress(FileNotFoundError):
    subprocess.run(["no-such-program", "argument"])
subprocess.run([sys.executable, "-S", "-c", "open('child', 'w').write('x')"], check=True)
child = os.fork()
if child == 0:
    os.execv("/bin/cat", ["cat", "rows.csv"])
os.waitpid(child, 0)

with socket.create_connection(("127.0.0.1", port)) as connection:
    connection.sendall(b"hello")
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(path)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
    datagrams.connect(("127.0.0.1", port))
with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(FileNotFoundError):
    connection.connect(path + "-nobody")
with socket.socket() as connection:
    connection.setblocking(False)
    connection.connect_ex(("127.0.0.1", port))
with socket.socket() as connection:
    connection.connect_ex(("127.0.0.1", 1))  # nobody listens there: refused
