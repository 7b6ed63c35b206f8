#!/bin/bash
# Puts dmcow, LVM and the kernel's snapshots into the initramfs, for its rescue shell, when it is asked to:
#
#     echo 'add_dracutmodules+=" dmcow "' >/etc/dracut.conf.d/dmcow.conf && dracut --force
#
# Nothing of it runs at boot. It does not ask for dracut's module lvm, which activates what it finds: a snapshot
# whose header is lost must not be activated, or the kernel writes an empty store over it.

check() {
	return 255 # only when asked for
}

depends() {
	echo dm
}

installkernel() {
	hostonly='' instmods dm-mod dm-snapshot
}

install() {
	inst_binary /usr/sbin/dmcow
	inst_multiple -o lvm dmsetup
	inst_simple /etc/lvm/lvm.conf
}
