"""A whole client of the wire: sign in, join, say something, lose the link, come back, miss nothing."""

import json

from uuid_utils import uuid7
from websockets.asyncio.client import connect


async def talk(url: str, ticket: str, room: str, text: str) -> list[str]:
    command = {
        "type": "do",
        "id": str(uuid7()),
        "stream": room,
        "name": "message.send",
        "body": {"text": text},
    }
    sign_in, place, heard, done = {"type": "auth", "ticket": ticket}, {"stream": room}, [], False
    for lost_link in (True, False):
        async with connect(url) as socket:
            await socket.send(json.dumps(sign_in))
            await socket.send(json.dumps({"type": "join", "streams": [place]}))
            await socket.send(json.dumps(command))  # again after a lost link: the same id happens once
            async for line in socket:
                frame = json.loads(line)
                if frame["type"] == "hello" and frame.get("resume"):
                    sign_in = {"type": "auth", "resume": frame["resume"]}
                elif frame["type"] == "joined":
                    place |= (
                        {"after": frame["seq"], "epoch": frame["epoch"]} if frame["mode"] == "resync" else {}
                    )
                elif frame["type"] == "events":
                    heard += [e["body"]["text"] for e in frame["events"] if e["kind"] == "message.sent"]
                    place["after"] = frame["last"]
                elif frame["type"] == "ack":
                    done = True
                if done and (lost_link or text in heard):
                    break
    return heard
