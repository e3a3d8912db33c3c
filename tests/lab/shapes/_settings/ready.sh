# Ready: dockerd has every setting this shape is about, the pod answers, and so does the registry on both addresses.
set -eu
[ "$(docker info -f '{{.CgroupDriver}} {{.DockerRootDir}}')" = "systemd /srv/docker" ]
[ "$(docker info -f '{{.RegistryConfig.Mirrors}}')" = "[http://127.0.0.1:5000/]" ]
docker info -f '{{json .RegistryConfig.IndexConfigs}}' | grep -q '"10.0.2.15:5001"'
get() { curl -sf -m 10 --noproxy '*' "$1"; }
[ "$(get http://127.0.0.1:10248/healthz)" = ok ]
[ "$(get http://127.0.0.1:8081/)" = "castoff web" ]
[ "$(get http://127.0.0.1:5000/v2/)" = "{}" ]
[ "$(get http://10.0.2.15:5001/v2/)" = "{}" ]
