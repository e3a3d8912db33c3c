# Ready: Docker is on the driver kubelet expects, kubelet is healthy, and both pods answer (host network;
# pod network by its host port and by its own address).
set -eu
driver=$(sed -n "s/^cgroupDriver: *//p" /var/lib/kubelet/config.yaml)
[ "$(docker info -f "{{.CgroupDriver}}")" = "$driver" ]
get() { curl -sf -m 10 "$1"; }
[ "$(get http://127.0.0.1:10248/healthz)" = ok ]
[ "$(get http://127.0.0.1:8081/)" = "castoff web" ]
[ "$(get http://10.0.2.15:8082/)" = "castoff web" ]
ip=$(docker ps -q -f label=io.kubernetes.container.name=POD -f label=io.kubernetes.pod.name=web-cni-node |
    xargs docker inspect -f '{{.State.Pid}}' | xargs -I{} nsenter -t {} -n ip -4 -o addr show dev eth0 |
    sed -n 's/.* inet \([0-9.]*\).*/\1/p')
[ "$(get "http://$ip:8080/")" = "castoff web" ]
get http://127.0.0.1:10255/pods | grep -q '"phase":"Running"'
