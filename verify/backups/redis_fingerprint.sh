# Prints a line for each key of each database: number, hex(key), type, expiry in ms, digest.
# The Lua script comes on standard input. The password goes through the environment of redis-cli
# only: a command line can be read by anyone in the container.
set -eu
if [ -r /run/secrets/redis_password ]; then
    REDISCLI_AUTH=$(cat /run/secrets/redis_password)
    export REDISCLI_AUTH
fi
sha=$(redis-cli --raw -x SCRIPT LOAD)
for number in $(redis-cli --raw INFO keyspace | sed -n 's/^db\([0-9]*\):.*/\1/p'); do
    cursor=0
    while :; do
        step=$(redis-cli --raw -n "$number" EVALSHA "$sha" 0 "$cursor")
        case "$step" in ERR*|NOSCRIPT*|WRONGTYPE*) echo "$step" >&2; exit 1 ;; esac
        printf '%s\n' "$step" | sed "1d; s/^/$number /"
        cursor=$(printf '%s\n' "$step" | head -n 1)
        [ "$cursor" != 0 ] || break
    done
done
echo end
