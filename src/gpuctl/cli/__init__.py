"""The command line: the only package that imports Typer and Rich."""

import gc
import os

# Looking for pydantic's plugins reads the metadata of every installed distribution, at every start; we have none.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
# Loading makes many objects and no garbage; the console script collects again from where the command begins.
gc.disable()
