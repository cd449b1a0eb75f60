"""Processes that share work, memory, queues and locks."""

import multiprocessing as mp
import os
from multiprocessing import shared_memory


def square(number):
    with open(f"square-{number}", "w") as file:
        file.write(str(number * number))
    os.rename(f"square-{number}", f"done-{number}")
    return number * number


def writer(name, queue, lock):
    memory = shared_memory.SharedMemory(name)
    with lock:
        memory.buf[0] += 1
    queue.put(os.getpid())
    memory.close()


def main(method):
    context = mp.get_context(method)
    with context.Pool(3) as pool:
        assert sum(pool.map(square, range(20))) == 2470
    memory = shared_memory.SharedMemory(create=True, size=4096)
    queue, lock = context.Queue(), context.Lock()
    workers = [context.Process(target=writer, args=(memory.name, queue, lock)) for _ in range(3)]
    for worker in workers:
        worker.start()
    pids = {queue.get() for _ in workers}
    for worker in workers:
        worker.join()
    assert len(pids) == 3 and memory.buf[0] == 3
    memory.close()
    memory.unlink()


if __name__ == "__main__":
    for method in ["fork", "spawn", "forkserver"]:
        main(method)
