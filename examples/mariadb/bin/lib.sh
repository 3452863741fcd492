# shellcheck shell=bash
# What the scripts of this folder share: settings, log lines, keys of the catalog, SQL, positions.
# It is sourced, never run. Every function fails (returns other than 0) and says why on standard
# error; none of them exits, so that the caller decides.

set -euo pipefail

# Who this member is and where it keeps its things. Only MEMBER and the ports need to differ where
# several members share a machine.
MEMBER=${MEMBER:-$(hostname)}
HOME_DIR=${MARIADB_HOME:-/var/lib/regrow-mariadb/$MEMBER}
HOST=${MARIADB_HOST:-${CONTAINERPILOT_MARIADB_IP:-127.0.0.1}}
PORT=${MARIADB_PORT:-3306}
BACKUPS=${MARIADB_BACKUPS:-/var/lib/regrow-mariadb/backups}
CLUSTER=${MARIADB_CLUSTER:-mariadb}
REPLICA_PASSWORD=${MARIADB_REPLICA_PASSWORD:-change-me}
CATALOG=${CONSUL_HTTP_ADDR:-127.0.0.1:8500}
[[ $CATALOG == *://* ]] || CATALOG=http://$CATALOG
SERVER_ID=${MARIADB_SERVER_ID:-$(($(printf %s "$MEMBER" | cksum | cut -d' ' -f1) % 4294967294 + 1))}

BIN=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
DATA=$HOME_DIR/data
SOCKET=$HOME_DIR/mariadb.sock
PID_FILE=$HOME_DIR/mariadb.pid
WHY_FILE=$HOME_DIR/why
RECLONE_FILE=$HOME_DIR/reclone
OWNER=$(id -un)

# The scripts for people run anywhere, and need no folder.
mkdir -p "$HOME_DIR" 2>/dev/null || true

# say TEXT: one line for the log.
say() { printf '%s: %s\n' "$MEMBER" "$*" >&2; }

# because TEXT: why this member is not of use yet; said when it changes, and shown by the checks.
because() {
    [[ -f $WHY_FILE && $(<"$WHY_FILE") == "$*" ]] || say "$*"
    printf '%s\n' "$*" >"$WHY_FILE"
}

# fine: there is nothing to be said any more.
fine() { rm -f "$WHY_FILE"; }

# replace FILE TEXT: whole or not at all, and on disk.
replace() {
    printf '%s\n' "$2" >"$1.new"
    sync "$1.new"
    mv "$1.new" "$1"
}

# recall FILE [DEFAULT]: what it holds.
recall() { if [[ -r $1 ]]; then cat "$1"; else printf '%s' "${2:-}"; fi; }

# --- keys -----------------------------------------------------------------------------------------
# A value is one line of words NAME=VALUE: bash reads it, and so does a person.
#
#   CLUSTER/primary        who leads, or stands for it: fence state member host port cluster start last lastfence
#   CLUSTER/backup         the newest backup:           name kind gtid fence cluster at
#   CLUSTER/backup-wanted  it is of no use to a member: member
#   CLUSTER/switchover     a planned one:               from to until
#   CLUSTER/members/NAME   what a member has:           member id host port cluster term seq fence role beat

# parse ARRAY TEXT: the words into an associative array.
parse() {
    local -n into=$1
    local word
    into=()
    for word in $2; do into[${word%%=*}]=${word#*=}; done
}

# kv_read KEY: sets KV_VALUE and KV_INDEX, which is 0 where there is no such key.
kv_read() {
    local out last
    KV_VALUE='' KV_INDEX=0
    out=$(curl -sS -m 5 -H "X-Consul-Token: ${CONSUL_HTTP_TOKEN:-}" \
        -w '\n%{http_code} %header{x-consul-index}' "$CATALOG/v1/kv/$CLUSTER/$1?raw&consistent") || return 1
    last=${out##*$'\n'}
    case $last in
        200\ *) KV_VALUE=${out%$'\n'*} KV_INDEX=${last#* } ;;
        404\ *) ;;
        *) say "read key $CLUSTER/$1: the catalog answered $last" && return 1 ;;
    esac
}

# kv_write KEY VALUE [INDEX]: with INDEX only if that is still the index of the key's last change.
kv_write() {
    local answer
    answer=$(curl -sS -m 5 -H "X-Consul-Token: ${CONSUL_HTTP_TOKEN:-}" \
        -X PUT --data-binary "$2" "$CATALOG/v1/kv/$CLUSTER/$1${3:+?cas=$3}") || return 1
    [[ $answer == true* ]]
}

# kv_delete KEY
kv_delete() {
    curl -sS -m 5 -H "X-Consul-Token: ${CONSUL_HTTP_TOKEN:-}" -X DELETE "$CATALOG/v1/kv/$CLUSTER/$1" >/dev/null
}

# members: the names of all members that have data, one a line.
members() {
    local out
    out=$(curl -sS -m 5 -H "X-Consul-Token: ${CONSUL_HTTP_TOKEN:-}" \
        "$CATALOG/v1/kv/$CLUSTER/members/?keys&consistent") || return 1
    tr ',' '\n' <<<"$out" | sed -n 's|.*members/\([^"]*\)".*|\1|p'
}

# --- SQL ------------------------------------------------------------------------------------------

# sql TEXT [SECONDS]: on the own server, as the user who owns the data folder.
sql() {
    timeout -k 1 "${2:-10}" mariadb --no-defaults --socket="$SOCKET" --user="$OWNER" --connect-timeout=3 -NBe "$1"
}

# status: asks the own server for everything at once, into the array ST.
declare -A ST=()
status() {
    local out line
    ST=()
    out=$(timeout -k 1 5 mariadb --no-defaults --socket="$SOCKET" --user="$OWNER" --connect-timeout=3 -E -e '
        SELECT @@gtid_current_pos AS Current_Pos, @@read_only AS Read_Only;
        SHOW SLAVE STATUS' 2>/dev/null) || return 1
    while IFS= read -r line; do
        line=${line#"${line%%[![:space:]]*}"}
        [[ $line == *:* ]] && ST[${line%%:*}]=${line#*: }
    done <<<"$out"
    [[ ${ST[Gtid_IO_Pos]:-} == *-* ]] || ST[Gtid_IO_Pos]=''
    ST[applied]=$(sequence "${ST[Current_Pos]:-}")
    ST[received]=$(sequence "${ST[Gtid_IO_Pos]}")
    ((ST[received] >= ST[applied])) || ST[received]=${ST[applied]}
}

# sequence GTID: its last number. There is one domain, and strict mode keeps its numbers growing.
sequence() { printf '%s' "$((10#0${1##*-}))"; }

# term: the fence of the last primary whose log this member is known to hold up to its start.
# Positions are compared by term first: a primary that died with commits nobody acknowledged may
# well have the higher number, and must not win against those who followed its successor.
term() { recall "$DATA/regrow.term" 0; }

# publish ROLE [FENCE]: what this member has, after `status`; FENCE is the election it answers.
publish() {
    kv_write "members/$MEMBER" "member=$MEMBER id=$SERVER_ID host=$HOST port=$PORT\
 cluster=$(recall "$DATA/regrow.cluster") term=$(term) seq=${ST[received]} fence=${2:-0} role=$1 beat=$(date +%s)"
}

# hold: receive nothing and accept no writes, until it is clear who leads. Commits that still wait
# for a replica were not acknowledged to anybody, and must not be by being let go: they keep the
# switch to read-only waiting, and then the server is killed.
hold() {
    [[ ${ST[Slave_IO_Running]:-No} == No ]] || sql 'STOP SLAVE IO_THREAD' || return 1
    [[ ${ST[Read_Only]:-0} == 1 ]] || read_only || return 1
}

# read_only: no more writes, or no more server. A server that has just died is not blamed.
read_only() {
    local server
    server=$(server_pid) || return 0
    ! sql 'SET GLOBAL read_only = 1' 3 2>/dev/null || return 0
    [[ $server == "$(server_pid)" ]] || return 0
    say 'writes wait for a replica that does not come: they end with the server'
    kill -KILL "$server" 2>/dev/null || true
    return 1
}

# server_pid: the own server, while it runs.
server_pid() {
    local server
    server=$(recall "$PID_FILE")
    [[ -n $server && $(recall "/proc/$server/comm") == mariadbd ]] && printf '%s' "$server"
}

# kill_server: at once; it starts again by the rule of its job.
kill_server() { local server; ! server=$(server_pid) || kill -KILL "$server" 2>/dev/null || true; }

# point_to HOST PORT SEMISYNC: replicate from there, from what this server has, whatever role it had.
# What was received and not applied is dropped and asked for again, so the caller must know that
# the other has it.
point_to() {
    sql "STOP SLAVE; SET GLOBAL rpl_semi_sync_master_enabled = 0;
        SET GLOBAL rpl_semi_sync_slave_enabled = $3; SET GLOBAL gtid_slave_pos = @@gtid_current_pos;
        CHANGE MASTER TO MASTER_HOST='$1', MASTER_PORT=$2, MASTER_USER='replica',
        MASTER_PASSWORD='$REPLICA_PASSWORD', MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1,
        MASTER_HEARTBEAT_PERIOD=2; START SLAVE" 30
}

# restore_position: after a clone the server does not know where in the history it stands, and its
# log, which begins there, must say so to those who follow it from the same clone.
restore_position() {
    local gtid
    [[ -f $DATA/regrow.gtid ]] || return 0
    gtid=$(<"$DATA/regrow.gtid")
    sql "RESET MASTER; SET GLOBAL gtid_binlog_state = '$gtid'; SET GLOBAL gtid_slave_pos = '$gtid'" || return 1
    rm "$DATA/regrow.gtid"
    status
}

# diverged: does the server we follow say that our history is not its own, or not to be had any more?
diverged() { [[ ${ST[Last_IO_Errno]:-0} == 1236 || ${ST[Last_SQL_Errno]:-0} =~ ^(1032|1062|1236|1950)$ ]]; }

# reclone WHY: leave this data aside and begin again from the newest backup. Where this data is that
# very backup and nothing more, another one is asked for and waited for.
reclone() {
    local -A backup
    kv_read backup || return 1
    parse backup "$KV_VALUE"
    if [[ -z ${backup[name]:-} ]] || { [[ ${backup[name]} == "$(recall "$DATA/regrow.from")" ]] &&
        ((ST[received] <= $(sequence "${backup[gtid]:-}"))); }; then
        because "$1; waits for a newer backup than ${backup[name]:-none}"
        kv_write backup-wanted "member=$MEMBER"
        return 1
    fi
    because "$1; begins again from backup ${backup[name]}"
    replace "$RECLONE_FILE" "$1"
    kv_delete "members/$MEMBER" || true
    kill_server
}
