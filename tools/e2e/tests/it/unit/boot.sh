# Makes systemd the first process of a machine of namespaces. Run in fresh PID, mount, network, cgroup, IPC
# and host-name spaces, with a folder to work in, the program and the unit as arguments.
#
# The machine's disk is this one's with a layer of memory over it, so nothing that is done there is seen
# here. What of the kernel has no space of its own (settings, devices, modules) is out of its reach: /proc/sys
# and /sys are read-only, there are no device nodes but the harmless ones, and nothing is started but the
# unit, the journal and what they ask for.
set -eu
folder=$1 program=$2 unit=$3
mount --make-rprivate /
mount -t tmpfs -o mode=0755 tmpfs "$folder"
mkdir "$folder/upper" "$folder/work" "$folder/root"
mount -t overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" overlay "$folder/root"
root=$folder/root

mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=0755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
for node in null zero full random urandom tty; do
    : > "$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"

rm -rf "$root/etc/systemd/system" "$root/usr/lib/systemd/system/"*.wants "$root/var/lib/regrow"
: > "$root/etc/machine-id"
: > "$root/etc/fstab"
# By this whoever comes in knows that it is in here.
: > "$root/etc/regrow-machine"
: > "$root/usr/bin/regrow"
mount --bind "$program" "$root/usr/bin/regrow"
wants=$root/etc/systemd/system/sockets.target.wants
mkdir -p "$wants"
ln -s /usr/lib/systemd/system/systemd-journald.socket /usr/lib/systemd/system/systemd-journald-dev-log.socket "$wants"
cp "$unit" "$root/etc/systemd/system/regrow-agent.service"

# A network with nobody else in it: a node that is reached by others needs an address.
ip link set lo up
ip link add eth0 type veth peer name wire0
ip addr add 10.77.0.1/24 dev eth0
ip link set eth0 up
ip link set wire0 up
ip route add default dev eth0

cd "$root"
mkdir -p old
pivot_root . old
umount -l /old
exec env -i container=namespaces PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /usr/lib/systemd/systemd --system --log-target=console --show-status=no --unit=multi-user.target
