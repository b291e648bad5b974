"""Deliver published issues by e-mail: who gets what, what an e-mail holds, the log, and the way to the server."""

from cxreport.deliver.run import Wish, preview, send
from cxreport.deliver.settings import Server

__all__ = ["Server", "Wish", "preview", "send"]
