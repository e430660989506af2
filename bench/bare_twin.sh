#!/usr/bin/env bash
# The floor of `twin_up`: only the steps without which four Swarm nodes cannot stand.
# usage: bare_twin.sh up IMAGE SUBNET_PREFIX MTU RUN_OPTIONS… | down
# Prints the seconds from the first `docker run` to 4 x Ready. DOCKER_HOST names the engine.
set -euo pipefail

nodes=(gmktec hppavilion wsasus hpr)
label=cutover=bench-bare

down() {
    ids=$(docker ps -aq --filter label=$label)
    [ -z "$ids" ] || docker rm -fv $ids >/dev/null
    volumes=$(docker volume ls -q --filter label=$label)
    [ -z "$volumes" ] || docker volume rm $volumes >/dev/null
    networks=$(docker network ls -q --filter label=$label)
    [ -z "$networks" ] || docker network rm $networks >/dev/null
}

on() { docker exec "bench-bare-$1" "${@:2}"; }

case $1 in
down) down ;;
up)
    image=$2 prefix=$3 mtu=$4
    shift 4
    down
    docker network create --subnet "$prefix.0/24" --label $label \
        -o com.docker.network.driver.mtu="$mtu" bench-bare >/dev/null
    start=$EPOCHREALTIME
    address=80
    for node in "${nodes[@]}"; do
        docker volume create --label $label "bench-bare-$node" >/dev/null
        docker run -d --name "bench-bare-$node" --hostname "$node" --label $label \
            --network bench-bare --ip "$prefix.$address" --cgroupns private \
            --tmpfs /run:exec --tmpfs /tmp:exec -v "bench-bare-$node:/var/lib/docker" \
            "$@" "$image" >/dev/null &
        address=$((address + 1))
    done
    wait
    until on gmktec docker info >/dev/null 2>&1; do sleep 0.05; done
    on gmktec docker swarm init --advertise-addr "$prefix.80" \
        --default-addr-pool 198.19.0.0/16 >/dev/null
    manager=$(on gmktec docker swarm join-token -q manager)
    worker=$(on gmktec docker swarm join-token -q worker)
    join() {
        until on "$1" docker info >/dev/null 2>&1; do sleep 0.05; done
        on "$1" docker swarm join --token "$3" --advertise-addr "$prefix.$2" "$prefix.80:2377" \
            >/dev/null
    }
    join hpr 83 "$worker" &
    join hppavilion 81 "$manager"
    join wsasus 82 "$manager"
    wait
    until [ "$(on gmktec docker node ls --format '{{.Status}}' | grep -c Ready)" = 4 ]; do
        sleep 0.05
    done
    end=$EPOCHREALTIME
    echo "$start $end" | awk '{ printf "%.3f\n", $2 - $1 }'
    ;;
esac
