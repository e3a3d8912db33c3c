# Ready: Docker on cgroupfs and kubelet healthy. Not the pods: where the host has no CAP_SYS_RESOURCE,
# the negative oom_score_adj of a pod's pause container is refused and no pod can start.
set -eu
[ "$(docker info -f '{{.CgroupDriver}}')" = cgroupfs ]
[ "$(curl -sf -m 10 http://127.0.0.1:10248/healthz)" = ok ]
