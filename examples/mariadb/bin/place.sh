# shellcheck shell=bash
# Where backups are kept: a folder that all members share, or a bucket of S3. It is sourced after lib.sh.
#
#   place_put NAME COMMAND …   keeps what the command prints, if it succeeds: whole, or not at all
#   place_get NAME             prints it; fails where it is not there or does not come whole
#   place_names                all names, one a line
#   place_drop NAME
#
# MARIADB_BACKUPS is the folder, or s3://BUCKET/PREFIX. The bucket is in the path of the address, as
# every server takes it; temporary keys (with a session token) are not supported.
#
# S3 takes no upload of unknown length, so a backup is sent in parts, each of which is in HOME_DIR while
# it is sent: MARIADB_BACKUP_PART MiB of room. Parts of 64 and the 10,000 that S3 takes make 625 GiB.
# An upload that fails is withdrawn. One whose member is killed stays behind: give the bucket a rule that
# removes incomplete uploads.

if [[ $BACKUPS != s3://* ]]; then
    place_put() {
        local part=$BACKUPS/.$1.part
        mkdir -p "$BACKUPS" && rm -f "$BACKUPS"/.*-"$MEMBER".*.part || return 1
        "${@:2}" >"$part" && sync "$part" && mv "$part" "$BACKUPS/$1" && sync "$BACKUPS" && return
        rm -f "$part"
        return 1
    }
    place_get() { cat "$BACKUPS/$1"; }
    place_names() { ls "$BACKUPS"; }
    place_drop() { rm -f "$BACKUPS/$1"; }
    return
fi

[[ $BACKUPS =~ ^s3://[a-z0-9.-]+(/[A-Za-z0-9._~/-]*)?$ ]] || { say "MARIADB_BACKUPS=$BACKUPS: s3://BUCKET/PREFIX with letters, digits and ._~- only"; exit 1; }
BUCKET=${BACKUPS#s3://} PREFIX=''
[[ $BUCKET != */* ]] || PREFIX=${BUCKET#*/} BUCKET=${BUCKET%%/*}
PREFIX=${PREFIX:+${PREFIX%/}/}
REGION=${AWS_REGION:-us-east-1}
ENDPOINT=${AWS_ENDPOINT_URL:-https://s3.$REGION.amazonaws.com}
PART=${MARIADB_BACKUP_PART:-64}

# s3 METHOD KEY?QUERY BODY [OPTION OF CURL …]: sends that file, prints the body of the answer. All of it is
# encoded and the query in order, for that is what is signed. The secret goes through a pipe, where nobody
# who lists processes sees it.
s3() {
    local secret=${AWS_SECRET_ACCESS_KEY:-} hash send=()
    [[ -z ${AWS_SECRET_ACCESS_KEY_FILE:-} ]] || secret=$(<"$AWS_SECRET_ACCESS_KEY_FILE") || return 1
    [[ -n ${AWS_ACCESS_KEY_ID:-} && -n $secret ]] || { say "$BACKUPS needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_SECRET_ACCESS_KEY_FILE"; return 1; }
    secret=${secret//\\/\\\\}
    hash=$(sha256sum <"$3") || return 1
    case $1 in PUT) send=(-T "$3") ;; POST) send=(--data-binary "@$3" -H 'Content-Type: text/xml') ;; esac
    printf 'user = "%s:%s"\n' "$AWS_ACCESS_KEY_ID" "${secret//\"/\\\"}" |
        curl --config - -sS --connect-timeout 10 --speed-limit 1 --speed-time 60 --aws-sigv4 "aws:amz:$REGION:s3" \
            -H "x-amz-content-sha256: ${hash%% *}" -X "$1" "${send[@]}" "${@:4}" "${ENDPOINT%/}/$BUCKET$2"
}

# ask_s3: the same for short answers; one that is a refusal is said.
ask_s3() {
    local answer
    answer=$(s3 "$@" --fail-with-body) && [[ $answer != *'<Error>'* ]] && printf %s "$answer" && return
    say "S3 at $ENDPOINT, $1 $BUCKET${2%%\?*}: ${answer:-no answer}"
    return 1
}

# inside ELEMENT: what the elements of this name hold, one a line.
inside() { grep -o "<$1>[^<]*" | sed "s|<$1>||; s|&quot;|\"|g; s|&amp;|\\&|g"; }

# Standard input in parts; prints what the end of the upload must list.
send_parts() {
    local part=$HOME_DIR/backup.part number tag
    printf '<CompleteMultipartUpload>'
    for ((number = 1; number <= 10000; number++)); do
        head -c "${PART}M" >"$part" || return 1
        [[ -s $part || $number == 1 ]] || break
        tag=$(ask_s3 PUT "$1?partNumber=$number&uploadId=$2" "$part" -D - -o /dev/null | tr -d '\r' | sed -n 's/^etag: *//Ip') || return 1
        printf '<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>' "$number" "$tag"
    done
    [[ ! -s $part ]] || { say "a backup has more than 10,000 parts of $PART MiB: raise MARIADB_BACKUP_PART"; return 1; }
    rm "$part"
    printf '</CompleteMultipartUpload>'
}

place_put() {
    local key=/$PREFIX$1 upload list=$HOME_DIR/backup.parts
    upload=$(ask_s3 POST "$key?uploads=" /dev/null | inside UploadId) || return 1
    upload=${upload//+/%2B} upload=${upload//\//%2F} upload=${upload//=/%3D}
    "${@:2}" | send_parts "$key" "$upload" >"$list" &&
        ask_s3 POST "$key?uploadId=$upload" "$list" >/dev/null && return
    s3 DELETE "$key?uploadId=$upload" /dev/null >/dev/null || true
    return 1
}

place_get() { s3 GET "/$PREFIX$1" /dev/null --fail; }

place_names() {
    local answer
    answer=$(ask_s3 GET "?list-type=2&prefix=${PREFIX//\//%2F}" /dev/null) || return 1
    inside Key <<<"$answer" | sed "s|^$PREFIX||"
}

place_drop() { ask_s3 DELETE "/$PREFIX$1" /dev/null >/dev/null; }
