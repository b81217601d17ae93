#!/bin/sh
# Installs what building and testing need beside Rust: quiet and fast where everything is there already.
# Prints what is missing, and fails, where it may not install.
set -eu

missing=''
need() { # need <program> <Debian package>
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}

need git git
need ssh openssh-client
need ssh-keygen openssh-client
need curl curl
need openssl openssl
need make make
need cc gcc
need timeout coreutils
need node nodejs
need npm npm
need chromium chromium
[ -d /usr/share/fonts/truetype/dejavu ] || missing="$missing fonts-dejavu-core"
[ -e /etc/ssl/certs/ca-certificates.crt ] || [ -d /etc/pki ] || [ "$(uname)" = Darwin ] || missing="$missing ca-certificates"
if command -v cc >/dev/null 2>&1 && ! printf '#include <stdlib.h>\n' | cc -E - >/dev/null 2>&1; then
    missing="$missing libc6-dev"
fi
case "$missing" in *gcc*) missing="$missing libc6-dev" ;; esac

# Other clients than git, and what the server is measured against: installed where that is easy; without them their tests
# say that they are skipped. sshd is not brought to a machine on which its package would start a service.
wished=''
for module in pygit2 dulwich; do
    /usr/bin/python3 -c "import $module" 2>/dev/null || wished="$wished python3-$module"
done
# gix's client speaks HTTP through the system's libcurl; without it, the crate builds its own.
command -v pkg-config >/dev/null 2>&1 && pkg-config --exists libcurl || wished="$wished pkg-config libcurl4-openssl-dev"
[ -x /usr/sbin/sshd ] || [ -d /run/systemd/system ] || wished="$wished openssh-server"
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    missing="$missing$wished"
elif [ -n "$wished" ]; then
    echo "setup: tests of other clients will be skipped; as root on Debian: apt-get install$wished" >&2
fi

if [ -n "$missing" ]; then
    missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "setup: missing here: $missing(names of Debian packages); install them and run this again" >&2
        exit 1
    elif [ "$(id -u)" = 0 ]; then
        as_root=''
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        as_root='sudo -n'
    else
        echo "setup: missing here; run: sudo apt-get install -y $missing" >&2
        exit 1
    fi
    echo "setup: installing $missing"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # both are lists of words
    { $as_root apt-get update -qq && $as_root apt-get install -y -qq --no-install-recommends $missing; } >/dev/null
fi

# What drives the browser, at the versions that the lock file names.
browser=$(dirname "$0")/browser
if [ ! "$browser/node_modules/.package-lock.json" -nt "$browser/package-lock.json" ]; then
    echo 'setup: installing what drives the browser'
    npm ci --prefix "$browser" --silent --no-audit --no-fund
fi

if ! command -v cargo >/dev/null 2>&1; then
    echo "setup: cargo is missing; install Rust from https://rustup.rs and run this again" >&2
    exit 1
fi
for tool in fmt clippy; do
    cargo "$tool" --version >/dev/null 2>&1 && continue
    component=$tool
    [ "$tool" = fmt ] && component=rustfmt
    if command -v rustup >/dev/null 2>&1; then
        rustup --quiet component add "$component"
    else
        echo "setup: cargo $tool is missing; install the Rust component $component" >&2
        exit 1
    fi
done
