"""Everything that a socket can do and read, by plain requests: the same commands, the same commit, the same answers."""
