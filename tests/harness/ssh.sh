#!/bin/sh
# An agent's `ssh`: names the configuration, then calls the next `ssh` on the path.
PATH=${PATH#*:}
exec ssh -F "$SSH_CONFIG" "$@"
