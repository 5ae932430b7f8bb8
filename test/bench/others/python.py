"""What Celery and Dramatiq do in some measures of `npm run bench`, for the comparison in README. Not dependencies, any of them:

    redis-server --appendonly yes --appendfsync everysec
    pip install celery dramatiq "redis<6.5" packaging && python test/bench/others/python.py redis://127.0.0.1:6379

200-byte payloads, tasks that do nothing, acked when they have run (Celery: acks_late; Dramatiq always), no results.
"""

import os
import subprocess
import sys
import time

URL = os.environ.setdefault("REDIS", sys.argv[-1] if sys.argv[-1].startswith("redis") else "redis://127.0.0.1:6379")

import celery
import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

app = celery.Celery("python", broker=f"{URL}/1")
app.conf.update(task_ignore_result=True, task_acks_late=True, worker_send_task_events=False)
dramatiq.set_broker(RedisBroker(url=f"{URL}/2"))


@app.task(name="celery_noop")
def celery_noop(text):
    """Does nothing."""


@dramatiq.actor
def dramatiq_noop(text):
    """Does nothing."""


COUNT = 10_000
TEXT = "x" * 180
HERE = os.path.dirname(os.path.abspath(__file__))
WORKERS = {
    "celery, 2 processes": (1, "celery", celery_noop.delay, ["celery", "-A", "python", "worker", "-P", "prefork", "-c", "2", "-l", "error"]),
    "celery, solo": (1, "celery", celery_noop.delay, ["celery", "-A", "python", "worker", "-P", "solo", "-l", "error"]),
    "dramatiq, 2 processes": (2, "dramatiq:default", dramatiq_noop.send, ["dramatiq", "python", "--processes", "2", "--threads", "8"]),
}


def drain(store, queue, command):
    """Messages a second, from when a fifth is gone: by then its processes are up."""
    worker = subprocess.Popen([f"{os.path.dirname(sys.executable)}/{command[0]}", *command[1:]], cwd=HERE, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        while (left := store.llen(queue)) > 0.8 * COUNT:
            time.sleep(0.005)
        begun = time.time()
        while store.llen(queue) > 0:
            time.sleep(0.005)
        return left / (time.time() - begun)
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    for name, (db, queue, send, command) in WORKERS.items():
        store = redis.Redis.from_url(f"{URL}/{db}")
        store.flushdb()
        begun = time.time()
        for _ in range(COUNT):
            send(TEXT)
        print(f"{name:24} send, one after the other {COUNT / (time.time() - begun):,.0f}/s")
        print(f"{name:24} drain {drain(store, queue, command):,.0f}/s")
