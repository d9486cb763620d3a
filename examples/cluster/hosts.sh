#!/bin/sh
# Runs a command as R ranks on R hosts, host1 and so on, which are network namespaces of this machine
# and vanish afterwards. Root only.
#
#   hosts.sh R COMMAND...
set -eu
subnet=10.87.113

if [ "$1" = --at ]; then # by mpirun, in place of ssh: --at ADDRESS COMMAND...
    number=${2##*.}
    shift 2
    exec ip netns exec "$NNCLR_HOSTS-$number" unshare --uts sh -c "hostname host$number && $*"
fi

count=$1
shift
self=$(readlink -f "$0")
export NNCLR_HOSTS=nn$$ OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

remove() {
    for i in $(seq 0 "$count"); do
        ip netns del "$NNCLR_HOSTS-$i" 2>/dev/null || true
    done
}
trap remove EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Namespace 0 is the switch.
ip netns add "$NNCLR_HOSTS-0"
ip -n "$NNCLR_HOSTS-0" link add switch type bridge
ip -n "$NNCLR_HOSTS-0" link set switch up
addresses=
for i in $(seq "$count"); do
    host=$NNCLR_HOSTS-$i
    ip netns add "$host"
    ip link add eth0 netns "$host" type veth peer name "port$i" netns "$NNCLR_HOSTS-0"
    ip -n "$NNCLR_HOSTS-0" link set "port$i" master switch up
    ip -n "$host" address add "$subnet.$i/24" dev eth0
    ip -n "$host" link set eth0 up
    ip -n "$host" link set lo up
    addresses=$addresses${addresses:+,}$subnet.$i
done

# They share the CPUs, so a rank that waits gives way to the others.
ip netns exec "$NNCLR_HOSTS-1" unshare --uts sh -c 'hostname host1 && exec "$@"' sh \
    mpirun -q --bind-to none --mca mpi_yield_when_idle 1 --mca plm_rsh_agent "$self --at" \
    --mca btl tcp,self --mca btl_tcp_if_include "$subnet.0/24" --mca oob_tcp_if_include "$subnet.0/24" \
    --host "$addresses" -n "$count" "$@"
