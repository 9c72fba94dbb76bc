"""A subject that the log and the wire have never heard of: one command, one event, one part of the snapshot.

What a newcomer writes to add one, and what tests use to make trouble inside a batch.
"""
