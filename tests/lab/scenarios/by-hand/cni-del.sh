# Gives back what the network plugins still hold for pods that are gone: containers that died with
# Docker never got their CNI DEL, so their host port rules go on catching the traffic of the new pods.
# The ids come from the plugins' own iptables comments; the network namespaces no longer exist.
set -eu
known=$(ctr -n k8s.io containers list -q)
iptables-save -t nat | sed -n 's/.*id: \\"\([0-9a-f]\{64\}\)\\".*/\1/p' | sort -u | while read -r id; do
    case $known in *$id*) continue ;; esac
    echo "CNI DEL for $id"
    export CNI_COMMAND=DEL CNI_CONTAINERID="$id" CNI_NETNS= CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin
    echo '{"cniVersion":"0.4.0","name":"pods","type":"portmap",
        "runtimeConfig":{"portMappings":[{"hostPort":8082,"containerPort":8080,"protocol":"tcp"}]}}' | /opt/cni/bin/portmap
    echo '{"cniVersion":"0.4.0","name":"pods","type":"bridge","bridge":"cni0","ipMasq":true,
        "ipam":{"type":"host-local","ranges":[[{"subnet":"10.85.0.0/24"}]]}}' | /opt/cni/bin/bridge
done
