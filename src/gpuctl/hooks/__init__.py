"""Those who want to hear of events: a command on this computer, or an address that is posted to.

`base.py` is the protocol, `opening.py` makes a hook of what the config says.
"""
