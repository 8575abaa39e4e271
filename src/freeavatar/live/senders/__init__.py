"""One file per protocol; `live/protocols.py` lists them."""
