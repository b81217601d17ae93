#!/usr/bin/python3
"""libgit2, through pygit2, as a client of the matrix: see tests/clients/README.md."""
import os
import sys

import pygit2

what, url, directory, *rest = sys.argv[1:]


class Login(pygit2.RemoteCallbacks):
    """A token as password, or a key."""

    def credentials(self, url, username, allowed):
        if allowed & pygit2.credentials.GIT_CREDENTIAL_SSH_KEY:
            key = os.environ["FORGE_KEY"]
            return pygit2.Keypair(username or "any", key + ".pub", key, "")
        if allowed & pygit2.credentials.GIT_CREDENTIAL_USERNAME:
            return pygit2.Username(username or "any")
        return pygit2.UserPass("any", os.environ["FORGE_TOKEN"])

    def certificate_check(self, certificate, valid, host):
        return True

    def push_update_reference(self, refname, message):
        if message is not None:
            raise SystemExit(f"{refname}: {message}")


def cannot(why):
    print(f"cannot: {why}")
    raise SystemExit(77)


def remote():
    """The remote that the clone left behind; its URL is ours."""
    return pygit2.Repository(directory).remotes["origin"]


if what == "clone":
    pygit2.clone_repository(url, directory, bare=True, callbacks=Login())
elif what == "shallow":
    cannot("libgit2 has it from 1.7 on, which Debian 12 lacks")
elif what == "partial":
    cannot("libgit2 knows no filters")
elif what == "fetch":
    remote().fetch(["+refs/heads/*:refs/remotes/origin/*"], callbacks=Login())
elif what == "tags":
    remote().fetch(["+refs/tags/*:refs/tags/*"], callbacks=Login())
elif what == "push":
    remote().push([f"{rest[0]}:{rest[1]}"], callbacks=Login())
elif what == "delete":
    remote().push([f":{rest[0]}"], callbacks=Login())
