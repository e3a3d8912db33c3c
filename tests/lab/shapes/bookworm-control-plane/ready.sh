# Ready: Docker is on kubelet's driver, the API server is ready, the node too, and all its seven pods, which answer.
set -eu
driver=$(sed -n "s/^cgroupDriver: *//p" /var/lib/kubelet/config.yaml)
[ "$(docker info -f "{{.CgroupDriver}}")" = "$driver" ]
get() { curl -sf -m 10 "$1"; }
[ "$(get http://127.0.0.1:10248/healthz)" = ok ]
for port in 8081 8082 8083; do [ "$(get http://10.0.2.15:$port/)" = "castoff web" ]; done
export KUBECONFIG=/etc/kubernetes/admin.conf
kubectl get --raw /readyz
ready='{.status.conditions[?(@.type=="Ready")].status}'
[ "$(kubectl get node node -o "jsonpath=$ready")" = True ]
pods=$(kubectl get pods -A -o "jsonpath={range .items[*]}{.metadata.name} $ready{\"\\n\"}{end}")
echo "$pods"
[ "$(echo "$pods" | grep -c ' True$')" = 7 ]
