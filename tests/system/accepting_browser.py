"""Stands in for the browser that edmgr opens (BROWSER): signs in and accepts the licence shown.

Usage: accepting_browser.py URL, with VISITOR_EMAIL and VISITOR_PASSWORD in the environment.
"""

import os
import sys

from entrepot.daemon.demo.visitor import accept_licence

if __name__ == "__main__":
    accept_licence(sys.argv[1], os.environ["VISITOR_EMAIL"], os.environ["VISITOR_PASSWORD"])
