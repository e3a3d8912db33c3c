# Docker's data on a disk of its own, before anything is put into it.
set -eu
mkfs.ext4 -q -L data /dev/vdb
echo 'LABEL=data /srv ext4 defaults 0 2' >>/etc/fstab
mkdir -p /srv
systemctl daemon-reload
mount /srv
systemctl restart docker.service
[ "$(docker info -f '{{.DockerRootDir}}')" = /srv/docker ]
