"""MMFA: portraits moved by clips, with independent control of rotation, translation, scale and expression.

The command is ``mmfa`` (``mmfa --help``); the packages behind it are described in docs/architecture.md.
"""

from importlib.metadata import version

from mmfa import rooms

__version__ = version("mmfa")

rooms.install()
