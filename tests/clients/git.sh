#!/bin/sh
# Stock git as a client of the matrix. $GIT_VERSION is the protocol version; the rest as tests/clients/README.md says.
set -eu
what=$1 url=$2 dir=$3
run() { git -c protocol.version="$GIT_VERSION" ${FORGE_TOKEN:+-c "http.extraHeader=Authorization: Bearer $FORGE_TOKEN"} "$@"; }
case $what in
    clone) run clone -q --bare "$url" "$dir" ;;
    shallow) run clone -q --bare --depth 1 "$url" "$dir" ;;
    partial) run clone -q --bare --filter=blob:none "$url" "$dir" ;;
    fetch) run -C "$dir" fetch -q "$url" '+refs/heads/*:refs/remotes/origin/*' ;;
    tags) run -C "$dir" fetch -q "$url" '+refs/tags/*:refs/tags/*' ;;
    push) run -C "$dir" push -q "$url" "$4:$5" ;;
    delete) run -C "$dir" push -q "$url" ":$4" ;;
esac
