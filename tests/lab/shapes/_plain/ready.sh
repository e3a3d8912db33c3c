# Ready: Docker answers, and so does containerd.
set -eu
docker info -f '{{.ServerVersion}} {{.CgroupDriver}}'
ctr version
