"""Channel layers that lose 30 % and repeat 10 % of what is sent to groups."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

LOST, REPEATED = 0.3, 0.1

# what this process has done to its messages; `/counted` tells
dice = random.Random()
counted = {"sent": 0, "lost": 0, "repeated": 0}


async def lossily(send: Callable[[], Awaitable[None]]) -> None:
    """Send once, not at all, or twice."""
    counted["sent"] += 1
    throw = dice.random()
    if throw < LOST:
        counted["lost"] += 1
        return
    await send()
    if throw < LOST + REPEATED:
        counted["repeated"] += 1
        await send()


class LossyQueues(RedisChannelLayer):
    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        await lossily(lambda: super(LossyQueues, self).group_send(group, message))


class LossyPubSub(RedisPubSubChannelLayer):
    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        # the layer proper is another object, one per event loop
        await lossily(lambda: self._get_layer().group_send(group, message))
