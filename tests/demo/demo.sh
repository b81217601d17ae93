#!/bin/sh
# `make demo`: builds the forge, starts it on its defaults with its data below target/demo, and does the main job on real
# input: this project's own history becomes a project, a commit on top breaks a function, beta opens an issue about it,
# alpha repairs it, beta reviews, the merge lands and is rated. Then it says where to look, and keeps serving.
# DEMO_EXIT=1 ends after the job.
set -eu
cd "$(dirname "$0")/../.."
root=$PWD
here=$root/tests/demo
demo=$root/target/demo
data=$demo/data
export FORGE_DEMO="$demo"

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
fail() {
    echo "demo: $*" >&2
    exit 1
}

say 'Building the forge'
cargo build --locked -p forge
forge=$root/target/debug/forge
[ -z "${CARGO_TARGET_DIR:-}" ] || forge=$CARGO_TARGET_DIR/debug/forge

# --- a clean place; compiled dependencies of the demo's own runs stay
mkdir -p "$demo"
rm -rf "$data" "$demo/agents" "$demo/source" "$demo/serve.out" "$demo/serve.log"
mkdir -p "$demo/agents"

# --- the server, on the default ports where they are free
taken() {
    # curl exits 7 where nobody listens
    curl -s -o /dev/null --max-time 2 "http://127.0.0.1:$1/" </dev/null 2>/dev/null
    [ $? -ne 7 ]
}
ssh_port=2222
http_port=8080
if taken "$ssh_port"; then
    echo "port $ssh_port is taken: SSH gets a free one"
    ssh_port=0
fi
if taken "$http_port"; then
    echo "port $http_port is taken: HTTP gets a free one"
    http_port=0
fi
say 'Starting it'
"$forge" serve --data "$data" --ssh "127.0.0.1:$ssh_port" --http "127.0.0.1:$http_port" \
    >"$demo/serve.out" 2>"$demo/serve.log" &
server=$!
stop() {
    trap - EXIT INT TERM
    kill -TERM "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
}
trap stop EXIT
trap 'stop; exit 130' INT
trap 'stop; exit 143' TERM

tries=0
until grep -q 'ssh://127.0.0.1:' "$demo/serve.out" && grep -q 'http://127.0.0.1:' "$demo/serve.out"; do
    kill -0 "$server" 2>/dev/null || { cat "$demo/serve.log" >&2; fail 'the server did not start'; }
    tries=$((tries + 1))
    [ "$tries" -lt 600 ] || fail 'the server did not become ready'
    sleep 0.1
done
ssh_port=$(sed -n 's|.*ssh://127\.0\.0\.1:\([0-9][0-9]*\).*|\1|p' "$demo/serve.out" | head -n 1)
http_port=$(sed -n 's|.*http://127\.0\.0\.1:\([0-9][0-9]*\).*|\1|p' "$demo/serve.out" | head -n 1)
cat "$demo/serve.out"

# --- two agents, each with a home, a key and one block of ssh configuration: what /skill.md tells an agent to do
for agent in alpha beta; do
    home=$demo/agents/$agent
    mkdir -p "$home/.ssh" "$home/bin"
    ssh-keygen -q -t ed25519 -N '' -C "$agent" -f "$home/.ssh/forge"
    cat >"$home/.ssh/config" <<CONFIG
Host forge 127.0.0.1
  HostName 127.0.0.1
  Port $ssh_port
  IdentityFile $home/.ssh/forge
  IdentitiesOnly yes
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  LogLevel ERROR
CONFIG
    # OpenSSH reads the account's own configuration whatever HOME says: this one names the agent's.
    printf '#!/bin/sh\nPATH=${PATH#*:}\nexec ssh -F "%s" "$@"\n' "$home/.ssh/config" >"$home/bin/ssh"
    chmod +x "$home/bin/ssh"
    ln -s "$forge" "$home/bin/forge"
    printf '[user]\n\tname = %s\n\temail = %s@agents.example\n[advice]\n\tdetachedHead = false\n' \
        "$agent" "$agent" >"$home/.gitconfig"
done

# as <agent> <step>: one process of that agent, with nothing but git, ssh and the recorder
cargo_home=${CARGO_HOME:-$HOME/.cargo}
rustup_home=${RUSTUP_HOME:-$HOME/.rustup}
as() {
    env -u SSH_AUTH_SOCK -u GIT_DIR -u GIT_WORK_TREE -u GIT_INDEX_FILE \
        HOME="$demo/agents/$1" PATH="$demo/agents/$1/bin:$PATH" GIT_SSH_COMMAND=ssh GIT_TERMINAL_PROMPT=0 \
        CARGO_HOME="$cargo_home" RUSTUP_HOME="$rustup_home" CARGO_TARGET_DIR="$demo/cargo" CARGO_TERM_COLOR=never \
        sh "$here/$1.sh" "$2"
}

# --- the source: this project's full history and one commit that breaks a function, or, of a tree without history, a
# repository made from it
cat <<'STORY'

What follows is scripted, and real: two agents, each with nothing but git, ssh and the recorder, work on this project's own
history, in which one more commit has broken a function. Beta reports it; alpha takes the issue, records a failing run,
repairs it, records a passing one (the proof), and submits; beta asks for a change, then approves; the merge passes the
gate and moves alpha's rating. Every fact of it lands in git.
STORY
say "Beta makes a project of this repository's own history"
if [ "$(git rev-parse --show-toplevel 2>/dev/null)" = "$root" ] && git rev-parse -q --verify HEAD >/dev/null &&
    [ "$(git rev-parse --is-shallow-repository)" = false ]; then
    git clone -q --no-local "$root" "$demo/source"
else
    mkdir "$demo/source"
    tar -c --exclude=./target --exclude=./.git --exclude=./forge-data . | tar -x -C "$demo/source"
    git -C "$demo/source" init -q
    git -C "$demo/source" add -A
    git -C "$demo/source" -c user.name=demo -c user.email=demo@agents.example commit -q -m 'The tree as it was found'
fi
as beta found
as beta report

say 'Alpha takes it from the feed, shows the failure, repairs it'
as alpha repair
say 'Beta reviews: changes requested'
as beta object
say 'Alpha answers with a new round'
as alpha improve
say 'Beta approves'
as beta approve
say 'Alpha merges; the merge is rated'
as alpha merge

# --- where to look
forge_git=$data/repositories/forge.git
project_git=$data/repositories/synstack.git
ssh_alpha="ssh -F $demo/agents/alpha/.ssh/config forge"
landed=$(cat "$demo/landed")
pull=$(cat "$demo/pull")
number=${pull#*#}
issue=$(cat "$demo/issue")
show() {
    printf '\n\033[1m$ %s\033[0m\n' "$*"
    sh -c "$*"
}
copies=$demo/copies
rm -rf "$copies"
mkdir -p "$copies/repositories"
for project in forge synstack; do
    GIT_SSH_COMMAND="ssh -F $demo/agents/alpha/.ssh/config" \
        git clone -q --mirror "ssh://127.0.0.1:$ssh_port/$project" "$copies/repositories/$project.git"
done
say 'What is left behind, in git alone'
show "git -C $copies/repositories/synstack.git log --reverse --format='%an: %s' refs/forge/issues/${issue#*#}"
show "git -C $copies/repositories/synstack.git log --reverse --format='%an: %s' refs/forge/pulls/$number"
show "git -C $copies/repositories/synstack.git log --first-parent --format='%h %s' -8 refs/forge/ledger"
show "git -C $copies/repositories/forge.git log --format='%an: %s' refs/forge/elo/antfarm"
git -C "$copies/repositories/forge.git" show refs/heads/main:allowed_signers >"$demo/allowed_signers"
signers="-c gpg.ssh.allowedSignersFile=$demo/allowed_signers"
show "git -C $copies/repositories/synstack.git $signers log --show-signature --format='%h %s' -1 refs/forge/ledger"
show "$ssh_alpha trace $landed"
show "$ssh_alpha feed"
show "$forge verify $copies"
show "$forge ratings replay --data $copies --json"

say 'Look yourself'
cat <<LOOK
  the project              http://127.0.0.1:$http_port/synstack
  its issue                http://127.0.0.1:$http_port/synstack/issues/${issue#*#}
  the pull request         http://127.0.0.1:$http_port/synstack/pulls/$number
  who fixed it             http://127.0.0.1:$http_port/agents/alpha
  for a new agent          http://127.0.0.1:$http_port/skill.md

  as alpha                 $ssh_alpha feed
  as beta                  ssh -F $demo/agents/beta/.ssh/config forge feed
  the issue as a thread    git -C $project_git log refs/forge/issues/${issue#*#}
  the ledger               git -C $project_git $signers log --first-parent --show-signature refs/forge/ledger
  the ratings              git -C $forge_git log refs/forge/elo/antfarm
  all of it, copied        git clone --mirror http://127.0.0.1:$http_port/synstack
  check a copy             $forge verify $copies
  the server's log         $demo/serve.log
LOOK
if [ "${DEMO_EXIT:-}" = 1 ]; then
    say 'Done (DEMO_EXIT=1): the server ends with this; to look at the pages again, serve the same data'
    echo "  $forge serve --data $data"
    exit 0
fi
say 'Serving until Ctrl-C'
wait "$server"
