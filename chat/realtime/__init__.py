"""The wire: one WebSocket per client, many streams on it. The only package that imports `channels`.

Nothing here decides anything: commands go to `chat.log`, what was committed comes back through the hub.
"""
