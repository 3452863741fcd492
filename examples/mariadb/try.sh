#!/usr/bin/env bash
# The whole example on one machine, without root and without a container, in the folder REGROW_TRY
# (./mariadb-try without it).
#
#   try.sh [N]            a catalog and the members db1 to dbN (3), with their logs; ends them all at its end
#   try.sh start db4 …    one more, or one that was ended; its log is mariadb-try/db4/log
#   try.sh stop db4 …     ends it, as a machine that shuts down does
#   try.sh restart db4 …  one after the other
#
# Each member has a supervisor and an address of its own, MARIADB_NET.N (127.0.0.N).
# Needs `regrow` in PATH, and Debian's mariadb-server, mariadb-backup and curl.

set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
folder=${REGROW_TRY:-$PWD/mariadb-try}
export MARIADB_SCRIPTS=$here MARIADB_BACKUPS=${MARIADB_BACKUPS:-$folder/backups}
export CONSUL_HTTP_ADDR=${CONSUL_HTTP_ADDR:-127.0.0.1:8500}

# The supervisor of a member, while it runs.
supervisor() {
    local pid
    read -r pid 2>/dev/null <"$folder/$1/supervise.pid" || return 1
    grep -qzx "MARIADB_HOME=$folder/$1" "/proc/$pid/environ" 2>/dev/null && printf %s "$pid"
}

start() {
    local home=$folder/$1 number=${1#db}
    [[ $1 =~ ^db[1-9][0-9]?$ ]] || { echo "$1: members are called db1, db2 …" >&2; return 2; }
    ! supervisor "$1" >/dev/null || { echo "$1 runs already" >&2; return 1; }
    mkdir -p "$home"
    MEMBER=$1 MARIADB_HOME=$home MARIADB_HOST=${MARIADB_NET:-127.0.0}.$number MARIADB_BIND=${MARIADB_NET:-127.0.0}.$number \
        MARIADB_PORT=$((${MARIADB_PORT_BASE:-33060} + number)) \
        regrow supervise -c "$here/app.json5" </dev/null >>"$home/log" 2>&1 &
    echo $! >"$home/supervise.pid"
}

# Tells all of them to end, then waits for each; what does not end in a minute is killed.
stop() {
    local member pid try
    for member; do
        ! pid=$(supervisor "$member") || kill "$pid" || true
    done
    for member; do
        for ((try = 0; try < 600; try++)); do
            supervisor "$member" >/dev/null || continue 2
            sleep 0.1
        done
        echo "$member did not end in a minute and is killed" >&2
        ! pid=$(supervisor "$member") || kill -KILL "$pid" || true
    done
}

# The catalog last: the others tell it that they end.
finish() {
    trap '' INT TERM
    stop $(cd "$folder" && ls -d db*)
    kill "${helpers[@]}" 2>/dev/null || true
    wait
}

run() {
    local number
    mkdir -p "$folder"
    helpers=()
    trap finish EXIT
    trap 'exit 0' INT TERM
    regrow catalog --dev --state "$folder/catalog" --http "$CONSUL_HTTP_ADDR" --dns none >"$folder/catalog.log" 2>&1 &
    helpers+=($!)
    for ((number = 1; number <= $1; number++)); do
        start "db$number"
        tail -n +1 -F "$folder/db$number/log" 2>/dev/null > >(exec sed -u "s/^/db$number /") &
        helpers+=($!)
    done
    wait
}

case ${1:-3} in
    start) for member in "${@:2}"; do start "$member"; done ;;
    stop) stop "${@:2}" ;;
    restart) for member in "${@:2}"; do stop "$member"; start "$member"; done ;;
    *[!0-9]*) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 2 ;;
    *) run "${1:-3}" ;;
esac
