#!/usr/bin/env bash
# The whole example on one machine, without root and without a container: a catalog, an application
# that writes numbered lines, its shipper and one collector, in the folder REGROW_TRY (./logs-try
# without it). `try.sh collector N` runs another collector, number N, until it is told to end.
# Needs `regrow` in PATH, and Debian's rsyslog, rsyslog-relp and socat.

set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
folder=${REGROW_TRY:-$PWD/logs-try}
export CONSUL_HTTP_ADDR=${CONSUL_HTTP_ADDR:-127.0.0.1:8500} LOGS_SCRIPTS=$here COLLECTOR_ADDRESS=127.0.0.1

collector() {
    mkdir -p "$folder/collector-$1"
    export COLLECTOR_HOME=$folder/collector-$1 COLLECTOR_PORT=$((${LOGS_PORT_BASE:-25140} + $1))
    exec regrow supervise -c "$here/collector.json5"
}

if [[ ${1:-} == collector ]]; then
    collector "${2:?which number}"
fi

export LOGS_HOME=$folder/shipper LOGS_FILE=$folder/app.log LOGS_RELAY_PORT=${LOGS_PORT_BASE:-25140}
mkdir -p "$LOGS_HOME"
children=()
# The catalog last: the others tell it that they end.
trap 'kill "${children[@]}" 2>/dev/null || true; wait "${children[@]}" || true; kill "$catalog"; wait' EXIT
trap 'exit 0' INT TERM
regrow catalog --dev --state "$folder/catalog" --http "$CONSUL_HTTP_ADDR" --dns none >"$folder/catalog.log" 2>&1 &
catalog=$!
{ n=0; while sleep 0.01; do echo "line $((n += 1))"; done } >>"$LOGS_FILE" &
children+=($!)
collector 1 &
children+=($!)
regrow supervise -c "$here/shipper.json5" &
children+=($!)
wait
