#!/usr/bin/env bash
# The whole example on one machine, without root and without a container: a catalog and N members
# (3 without an argument), each under its own supervisor, in the folder REGROW_TRY
# (./mariadb-try without it). Ends all of them when it is told to end.
# Needs `regrow` in PATH, and Debian's mariadb-server, mariadb-backup and curl.

set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
folder=${REGROW_TRY:-$PWD/mariadb-try}
export MARIADB_SCRIPTS=$here MARIADB_HOST=127.0.0.1 MARIADB_BACKUPS=$folder/backups
export CONSUL_HTTP_ADDR=${CONSUL_HTTP_ADDR:-127.0.0.1:8500}
mkdir -p "$folder"

children=()
# The catalog last: the others tell it that they end.
trap 'kill "${children[@]}" 2>/dev/null || true; wait "${children[@]}" || true; kill "$catalog"; wait' EXIT
trap 'exit 0' INT TERM

regrow catalog --dev --state "$folder/catalog" --http "$CONSUL_HTTP_ADDR" --dns none >"$folder/catalog.log" 2>&1 &
catalog=$!
for n in $(seq "${1:-3}"); do
    mkdir -p "$folder/db$n"
    MEMBER=db$n MARIADB_HOME=$folder/db$n MARIADB_PORT=$((${MARIADB_PORT_BASE:-33060} + n)) \
        regrow supervise -c "$here/app.json5" > >(exec sed -u "s/^/db$n /") 2>&1 &
    children+=($!)
done
wait
