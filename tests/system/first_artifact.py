"""The way a customer's script goes, from a product's code to its newest file.

This is the sequence of commands that the vendor's guide to scripted downloads shows; customers
have it in their build systems. What it relies on is the contract: each listing is one JSON array
on stdout, the wanted object is its first member, and `id` names it in the next command.

Usage: first_artifact.py COMMAND PRODUCT-CODE      (COMMAND is edmgr, or ours in its place)
"""

import json
import os
import sys
from pathlib import Path

command, product_code = sys.argv[1:]


def first_id(arguments: str, name: str) -> str:
    """Run a listing into NAME.json, as the guide does, and take the id of its first member."""
    os.system(f"{command} {arguments} -f json > {name}.json")
    found = json.loads(Path(f"{name}.json").read_text())[0]["id"]
    assert isinstance(found, str)
    return found


product_id = first_id(f"entitlements -p {product_code}", product_code)
print("ProductID =", product_id)
release_id = first_id(f"releases -e {product_id}", product_id)
print("ReleaseID =", release_id)
artifact_id = first_id(f"artifacts -e {product_id} -r {release_id}", release_id)
print("ArtifactID =", artifact_id)
os.system(f"{command} download-artifacts -e {product_id} -r {release_id} -a {artifact_id} -d .")
print("Download complete")
os.system("rm -rf *.json")
os.system("ls -l")
os.system(f"{command} logout")
