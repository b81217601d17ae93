#!/usr/bin/python3
"""dulwich as a client of the matrix: see tests/clients/README.md."""
import os
import sys

from dulwich import porcelain
from dulwich.client import get_transport_and_path
from dulwich.repo import Repo

what, url, directory, *rest = sys.argv[1:]
login = {}
if "FORGE_TOKEN" in os.environ:
    login = {"username": "any", "password": os.environ["FORGE_TOKEN"]}


def cannot(why):
    print(f"cannot: {why}")
    raise SystemExit(77)


def fetch(prefix, to):
    """Fetches every ref below `prefix` and names it below `to`."""
    repo = Repo(directory)
    client, path = get_transport_and_path(url, **login)
    wanted = lambda refs, depth=None: [i for name, i in refs.items() if name.startswith(prefix) and not name.endswith(b"^{}")]
    found = client.fetch(path, repo, determine_wants=wanted).refs
    for name, value in found.items():
        if name.startswith(prefix) and not name.endswith(b"^{}"):
            repo.refs[to + name[len(prefix):]] = value


def push(name, value):
    """Sets `name` on the server to `value`, 40 zeros to delete it; says so when the server refuses."""
    repo = Repo(directory)
    client, path = get_transport_and_path(url, **login)
    done = client.send_pack(path, lambda refs: {name: value}, repo.object_store.generate_pack_data)
    refused = {ref: why for ref, why in (done.ref_status or {}).items() if why is not None}
    if refused:
        raise SystemExit(str(refused))


if what in ("clone", "shallow"):
    depth = 1 if what == "shallow" else None
    porcelain.clone(url, directory, bare=True, depth=depth, errstream=open(os.devnull, "wb"), **login)
elif what == "partial":
    cannot("dulwich 0.21 knows no filters")
elif what == "fetch":
    fetch(b"refs/heads/", b"refs/remotes/origin/")
elif what == "tags":
    fetch(b"refs/tags/", b"refs/tags/")
elif what == "push":
    push(rest[1].encode(), Repo(directory).refs[rest[0].encode()])
elif what == "delete":
    push(rest[0].encode(), b"0" * 40)
