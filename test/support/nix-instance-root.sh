#!/bin/sh
# Run as `unshare --mount sh nix-instance-root.sh SOURCE DIR CHECKOUT [STORE_MIB]`: turns the fresh mount namespace into one machine and holds it.
#
# SOURCE is the root the machine's programs come from ("/" for this host's own), DIR holds the machine's own nix/, etc/, homes/
# and an empty root/, CHECKOUT appears at /checkout so that ordinary users reach it wherever it lies. Everything else of the host
# (/tmp, /dev, /proc, the caller's folders) is bound at its own place. With STORE_MIB, /nix is a file system of that size. Prints "ready" and stays until its stdin ends.
# pivot_root and not chroot: in a chroot the kernel refuses user namespaces, and Nix would not sandbox.
set -eu
source=$1 dir=$2 checkout=$3 store_mib=${4-}
root=$dir/root

mount --make-rslave /
mount -t tmpfs -o mode=755,size=1m tmpfs "$root"
# Unbindable, so that binding the folder that contains DIR does not copy this half-made root into itself.
mount --make-unbindable "$root"

for entry in /*; do
  name=${entry#/}
  case $name in nix | etc | usr | run | homes | checkout | bin | sbin | lib | lib32 | lib64 | libx32) continue ;; esac
  if [ -L "$entry" ]; then
    cp -P "$entry" "$root/$name"
  elif [ -d "$entry" ]; then
    mkdir "$root/$name"
    mount --rbind "$entry" "$root/$name"
  fi
done
for name in bin sbin lib lib32 lib64 libx32; do
  entry=${source%/}/$name
  if [ -L "$entry" ]; then
    cp -P "$entry" "$root/$name"
  elif [ -d "$entry" ]; then
    mkdir "$root/$name"
    mount --rbind "$entry" "$root/$name"
  fi
done
mkdir "$root/usr" "$root/nix" "$root/etc" "$root/homes" "$root/run" "$root/checkout"
mount --rbind "${source%/}/usr" "$root/usr"
if [ -n "$store_mib" ]; then
  mount -t tmpfs -o "mode=755,size=${store_mib}m" tmpfs "$root/nix"
else
  mount --bind "$dir/nix" "$root/nix"
fi
mount --bind "$dir/etc" "$root/etc"
mount --bind "$dir/homes" "$root/homes"
mount --rbind "$checkout" "$root/checkout"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mkdir -m 755 "$root/run/sshd"

cd "$root"
mkdir .old
pivot_root . .old
umount -l /.old
rmdir /.old
echo ready
exec cat >/dev/null
