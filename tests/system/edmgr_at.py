"""Runs the unmodified edmgr against the hub that EDMGR_AT_URL and EDMGR_AT_KEYS name.

edmgr has no option for the host, and rebuilds its settings from two module-level dicts when it
starts; so the dicts are what has to be changed, before its own `main` is called.
"""

import os

from edmgr import config, edmgrcli


def main() -> None:
    """Point both of edmgr's environments at the hub, then be edmgr."""
    url = os.environ["EDMGR_AT_URL"].rstrip("/")
    for environment in (config.PROD, config.QA):
        environment.update(
            base_url=f"{url}/",
            jwks_uri=os.environ["EDMGR_AT_KEYS"],
            authority=f"{url}/adfs",
        )
    edmgrcli.main()


if __name__ == "__main__":
    main()
