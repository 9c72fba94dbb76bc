"""Documents made from the code: the wire as text and as AsyncAPI; `manage.py generate_docs` writes them."""
