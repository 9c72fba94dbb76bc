"""The log: streams, events, receipts, one transaction for many commands.

A room is a log. `execute()` is the only way in; `replay`, `snapshot` and `visible` are the only ways out.
Nothing here knows a socket, a room or a product: subjects register commands, events, access and snapshots
(`registry`), and this package runs them.
"""
