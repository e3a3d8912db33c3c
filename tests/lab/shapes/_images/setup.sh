# castoff.test/pause:1 and castoff.test/web:1 in Docker's image store, from the tar of host.sh and the
# node's own busybox-static.
set -eu
docker import -c 'ENTRYPOINT ["/pause"]' /var/lib/lab/pause.tar castoff.test/pause:1

dir=$(mktemp -d)
mkdir -p "$dir/bin" "$dir/www" "$dir/etc" "$dir/tmp"
cp /bin/busybox "$dir/bin/busybox"
for name in sh cat echo httpd ls sleep wget; do ln -s busybox "$dir/bin/$name"; done
echo "castoff web" >"$dir/www/index.html"
echo "root:x:0:0:root:/:/bin/sh" >"$dir/etc/passwd"
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - -C "$dir" . |
    docker import -c 'ENV PATH=/bin' -c 'CMD ["/bin/busybox","httpd","-f","-p","8080","-h","/www"]' \
        - castoff.test/web:1
rm -rf "$dir"
