"""PostgreSQL's way for statements that carry a batch: prepared once, sent together, in the database's own format.

`base.py` is the Django engine that the settings name; `link.py` what its connections can do beside a cursor.
"""
