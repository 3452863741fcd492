#!/usr/bin/env bash
# The whole example on one machine, without root and without a container: a catalog, nginx on port
# 8080 and N backends (2 without an argument) from port 8081 on, each under its own supervisor, in the
# folder REGROW_TRY (./nginx-try without it). Ends all of them when it is told to end.
# Needs `regrow` in PATH, nginx and python3.

set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
folder=${REGROW_TRY:-$PWD/nginx-try}
base=${NGINX_PORT:-8080}
export NGINX_SCRIPTS=$here NGINX_HOME=$folder/nginx WEB_HOME=$folder
export NGINX_PORT=$base NGINX_ADDRESS=127.0.0.1 WEB_ADDRESS=127.0.0.1
export CONSUL_HTTP_ADDR=${CONSUL_HTTP_ADDR:-127.0.0.1:8500}
mkdir -p "$NGINX_HOME"

children=()
# The catalog last: the others tell it that they end.
trap 'kill "${children[@]}" 2>/dev/null || true; wait "${children[@]}" || true; kill "$catalog"; wait' EXIT
trap 'exit 0' INT TERM

regrow catalog --dev --state "$folder/catalog" --http "$CONSUL_HTTP_ADDR" --dns none >"$folder/catalog.log" 2>&1 &
catalog=$!
regrow supervise -c "$here/nginx.json5" &
children+=($!)
for n in $(seq "${1:-2}"); do
    WEB_PORT=$((base + n)) regrow supervise -c "$here/web.json5" &
    children+=($!)
done
wait
