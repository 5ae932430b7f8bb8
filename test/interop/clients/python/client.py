"""A service in Python that talks to Troupe's actors, with nats-py and PROTOCOL.md.

The class is the client; what is below it lets a test call its methods by lines of JSON (child.ts).
"""

import asyncio
import base64
import json
import os
import sys
import uuid

import nats
from nats.errors import NoRespondersError, TimeoutError
from nats.js.errors import APIError, NotFoundError

SAFE = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:@/+=,;~-")


def encode_token(text):
    """A text as one token of a subject."""
    token = "".join(chr(byte) if byte in SAFE else f"%{byte:02X}" for byte in text.encode())
    return f"{token[:600]}~cut" if len(token) > 600 else token or "%"


def outcome(message):
    headers = message.headers or {}
    return {"status": headers.get("Troupe-Status", ""), "headers": headers, "body": message.data}


class Client:
    def __init__(self, nc, namespace, name="shop"):
        self.nc = nc
        self.js = nc.jetstream()
        self.namespace = namespace
        self.name = name

    def subject(self, kind, actor, *tokens):
        return ".".join([self.namespace, kind, actor, *tokens])

    def reply_subject(self):
        return self.subject("reply", encode_token(self.name), uuid.uuid4().hex)

    async def tell(self, kind, actor, message, headers, body):
        await self.nc.publish(self.subject(kind, actor, message), body, headers=headers or None)
        await self.nc.flush()

    async def send(self, kind, actor, message, headers, body):
        ack = await self.js.publish(self.subject(kind, actor, message), body, headers=headers or None)
        return {"stream": ack.stream, "seq": ack.seq, "duplicate": bool(ack.duplicate)}

    async def ask(self, kind, actor, message, headers, body):
        reply = self.reply_subject()
        subscription = await self.nc.subscribe(reply, max_msgs=1)
        await self.send(kind, actor, message, {**headers, "Troupe-Reply": reply}, body)
        return outcome(await subscription.next_msg(timeout=15))

    async def result(self, actor, sender, id, timeoutMs):
        subject = self.subject("result", actor, encode_token(sender), encode_token(id))
        subscription = await self.nc.subscribe(subject)
        left = timeoutMs / 1000
        try:
            # Listen, look, and look again: what is heard may not be stored yet, what was told before we listened is not heard.
            while True:
                try:
                    return outcome(await self.js.get_last_msg(f"{self.namespace}-results", subject, direct=True))
                except NotFoundError:
                    pass
                try:
                    return outcome(await subscription.next_msg(timeout=min(left, 1)))
                except TimeoutError:
                    left -= 1
                    if left <= 0:
                        return None
        finally:
            await subscription.unsubscribe()

    async def call(self, actor, message, headers, body):
        try:
            answer = await self.nc.request(self.subject("call", actor, message), body, timeout=15, headers=headers or None)
        except NoRespondersError:
            return {"error": {"code": 503, "description": "nobody is there"}, "body": b""}
        code = (answer.headers or {}).get("Nats-Service-Error-Code")
        if code is None:
            return {"body": answer.data}
        return {"error": {"code": int(code), "description": answer.headers["Nats-Service-Error"]}, "body": answer.data}

    async def cancel(self, actor, request, timeoutMs):
        reply = self.reply_subject()
        subscription = await self.nc.subscribe(reply, max_msgs=1)
        await self.js.publish(self.subject("cancel", actor), json.dumps(request).encode(), headers={"Troupe-Reply": reply})
        return json.loads((await subscription.next_msg(timeout=timeoutMs / 1000)).data)

    async def letter(self, actor, message, id):
        stream = f"{self.namespace}-dead"
        subject = self.subject("dead", actor, encode_token(message), encode_token(id))
        try:
            head = await self.js.get_last_msg(stream, subject)
        except NotFoundError:
            return None
        body = head.data or b""
        tail = (head.headers or {}).get("Troupe-Tail")
        if tail is not None:
            body += (await self.js.get_msg(stream, int(tail))).data
        return {"headers": head.headers, "body": body}

    async def events(self, actor):
        async def hear(message):
            say({"event": {"subject": message.subject, "body": message.data}})

        await self.nc.subscribe(self.subject("event", actor, ">"), cb=hear)
        await self.nc.flush()

    async def ready(self):
        pass


def say(line):
    """A line of JSON, bytes as base64. A header that is not ASCII is an object of its own in nats-py."""
    text = json.dumps(line, default=lambda value: base64.b64encode(value).decode() if isinstance(value, bytes) else str(value))
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def carry_out(client, n, verb, given):
    if "body" in given:
        given["body"] = base64.b64decode(given["body"])
    try:
        say({"n": n, "value": await getattr(client, verb)(**given)})
    except TimeoutError:
        # Nobody said so in time: for result and cancel that is an answer.
        say({"n": n, "value": None})
    except APIError as error:
        say({"n": n, "value": {"error": {"code": error.code, "err_code": error.err_code, "description": error.description}}})
    except Exception as error:
        say({"n": n, "error": repr(error)})


async def main():
    nc = await nats.connect(os.environ["NATS_URL"])
    client = Client(nc, os.environ["NAMESPACE"])
    lines = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    running = set()
    while line := await lines.readline():
        given = json.loads(line)
        task = asyncio.create_task(carry_out(client, given.pop("n"), given.pop("verb"), given))
        running.add(task)
        task.add_done_callback(running.discard)
    await nc.close()


asyncio.run(main())
