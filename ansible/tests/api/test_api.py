"""The steps that ask the cluster, with the real kubernetes.core against an API server that is a Python program.

The server knows nodes, their leases and pods, and writes down what is asked of it. Which runtime a node shows is what the
node's folder says (see ../unit/fake_castoff.py): so the order of things is the real one. Needs kubernetes.core in COLLECTIONS.
"""
import json
import os
import re
import sys
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "plays"))
import test_plays

SOCKET = "kubeadm.alpha.kubernetes.io/cri-socket"


def resource(name, kind, **more):
    return dict({"name": name, "singularName": "", "namespaced": kind != "Node", "kind": kind,
                 "verbs": ["get", "list", "patch", "create", "delete"]}, **more)


FIXED = {
    "/version": {"major": "1", "minor": "23", "gitVersion": "v1.23.17"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [
        {"name": "coordination.k8s.io", "versions": [{"groupVersion": "coordination.k8s.io/v1", "version": "v1"}],
         "preferredVersion": {"groupVersion": "coordination.k8s.io/v1", "version": "v1"}}]},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [resource("nodes", "Node"), resource("pods", "Pod")]},
    "/apis/coordination.k8s.io/v1": {"kind": "APIResourceList", "groupVersion": "coordination.k8s.io/v1",
                                     "resources": [resource("leases", "Lease")]},
}


class Cluster(object):
    def __init__(self, fleet):
        self.fleet = fleet
        self.log, self.pods, self.refused = [], {}, {}
        self.nodes = {name: {"spec": {}, "annotations": {"node.alpha/x": "y", SOCKET: "/var/run/dockershim.sock"}}
                      for name in test_plays.NODES}

    def node(self, name):
        known = self.nodes[name]
        version = {"docker": "docker://20.10.24", "containerd": "containerd://1.6.20"}[self.fleet.node(name)["runtime"]]
        return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "annotations": known["annotations"]},
                "spec": known["spec"], "status": {
                    "nodeInfo": dict({key: "" for key in (
                        "architecture", "bootID", "kernelVersion", "kubeProxyVersion", "kubeletVersion", "machineID",
                        "operatingSystem", "osImage", "systemUUID")}, containerRuntimeVersion=version),
                    "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}]}}

    def get(self, path, query):
        if path in FIXED:
            return 200, FIXED[path]
        found = re.match(r"/api/v1/nodes/(\w+)$", path)
        if found:
            return (200, self.node(found.group(1))) if found.group(1) in self.nodes else (404, "Not Found")
        found = re.match(r"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/(\w+)$", path)
        if found:
            return 200, {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": found.group(1)},
                         "spec": {"renewTime": time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())}}
        if path == "/api/v1/pods":
            name = re.search(r"spec.nodeName(?:=|%3D)(\w+)", query).group(1)
            return 200, {"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": [
                {"metadata": {"name": pod, "namespace": "default", "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u", "controller": True}]},
                 "spec": {"nodeName": name, "containers": []}, "status": {"phase": "Running"}}
                for pod in self.pods.get(name, [])]}
        return 404, "Not Found"

    def patch(self, path, body):
        name = path.rsplit("/", 1)[-1]
        if isinstance(body, dict):
            self.nodes[name]["spec"].update(body["spec"])
            self.log.append("%s unschedulable=%s runtime=%s" % (name, body["spec"]["unschedulable"], self.fleet.node(name)["runtime"]))
        else:
            for step in body:
                key = step["path"].replace("/metadata/annotations/", "").replace("~1", "/")
                if step["op"] == "remove":
                    del self.nodes[name]["annotations"][key]
                else:
                    self.nodes[name]["annotations"][key] = step["value"]
        return 200, self.node(name)

    def post(self, path, body):
        pod = re.match(r"/api/v1/namespaces/default/pods/([\w-]+)/eviction$", path).group(1)
        if self.refused.get(pod, 0) > 0:
            self.refused[pod] -= 1
            return 429, "Cannot evict pod as it would violate the pod's disruption budget."
        for name, pods in self.pods.items():
            if pod in pods:
                pods.remove(pod)
                self.log.append("%s evict %s runtime=%s" % (name, pod, self.fleet.node(name)["runtime"]))
        return 201, {"kind": "Status", "apiVersion": "v1", "status": "Success"}


def handler(cluster):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def send(self, code, body):
            if isinstance(body, str):
                body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": body, "code": code}
            data = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def body(self):
            return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "null")

        def do_GET(self):
            path, _, query = self.path.partition("?")
            self.send(*cluster.get(path, query))

        def do_PATCH(self):
            self.send(*cluster.patch(self.path.partition("?")[0], self.body()))

        def do_POST(self):
            self.send(*cluster.post(self.path.partition("?")[0], self.body()))

    return Handler


class Api(test_plays.FleetCase):
    def setUp(self):
        super().setUp()
        self.cluster = Cluster(self)
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler(self.cluster))
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        kubeconfig = os.path.join(self.dir, "kubeconfig")
        with open(kubeconfig, "w") as f:
            json.dump({"apiVersion": "v1", "kind": "Config", "current-context": "c",
                       "clusters": [{"name": "k", "cluster": {"server": "http://127.0.0.1:%d" % server.server_address[1]}}],
                       "users": [{"name": "u", "user": {}}], "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}]}, f)
        self.vars.update(castoff_kubeconfig=kubeconfig, castoff_ready_stable=0, castoff_ready_timeout=20, castoff_drain_delay=1,
                         castoff_drain_options={"ignore_daemonsets": True, "wait_timeout": 5, "wait_sleep": 1})

    def test_cordon_drain_migrate_uncordon(self):
        self.cluster.pods = {"w1": ["web"]}
        self.cluster.refused = {"web": 1}
        self.cluster.nodes["w2"]["spec"]["unschedulable"] = True
        self.play("castoff.node.rollout", "--limit", "w*", "--check")
        self.assertEqual(self.cluster.log, [])
        self.play("castoff.node.rollout", "--limit", "w*")
        # w2 was cordoned by somebody else before, and stays so.
        self.assertEqual(self.cluster.log, [
            "w1 unschedulable=True runtime=docker", "w1 evict web runtime=docker", "w1 unschedulable=False runtime=containerd"])
        self.assertTrue(self.cluster.nodes["w2"]["spec"]["unschedulable"])
        self.assertEqual((self.record("w1")["cordoned"], self.record("w2")["cordoned"]), (False, True))
        self.assertEqual(self.cluster.nodes["w1"]["annotations"], {
            "node.alpha/x": "y", SOCKET: "unix:///run/containerd/containerd.sock", "castoff.node/cri-socket-before": "/var/run/dockershim.sock"})
        self.cluster.log.clear()
        self.play("castoff.node.rollout", "--limit", "w*")
        self.assertEqual((self.changed(), self.cluster.log), ([], []))
        self.play("castoff.node.rollback", "--limit", "w1")
        self.assertEqual(self.cluster.nodes["w1"]["annotations"], {"node.alpha/x": "y", SOCKET: "/var/run/dockershim.sock"})

    def test_a_node_that_went_back_is_left_cordoned_and_a_later_run_frees_it(self):
        self.set_node("w1", fail="rolled-back")
        self.play("castoff.node.rollout", "--limit", "w1", expect=2)
        self.assertTrue(self.cluster.nodes["w1"]["spec"]["unschedulable"])
        self.assertTrue(self.record("w1")["cordoned"])
        self.set_node("w1", fail="")
        self.play("castoff.node.rollout", "--limit", "w1")
        self.assertFalse(self.cluster.nodes["w1"]["spec"]["unschedulable"])
        self.assertNotIn("castoff.node/cordoned", self.cluster.nodes["w1"]["annotations"])

    def test_what_an_earlier_run_left_on_a_node_is_not_given_back_by_guess(self):
        self.cluster.pods = {"w1": ["web"], "w2": ["db"]}
        self.set_node("w1", fail="dirty")
        self.set_node("w2", fail="stuck")
        self.play("castoff.node.rollout", "--limit", "w*", expect=2, castoff_preflight_fatal=False, castoff_waves=["100%"])
        # The run on w1 has to end first: nothing is done there, and its cordon is nobody's business.
        self.assertEqual([line for line in self.cluster.log if line.startswith("w1")], [])
        self.assertTrue(self.cluster.nodes["w2"]["spec"]["unschedulable"])
        self.cluster.log.clear()
        self.set_node("w2", fail="dirty")
        self.play("castoff.node.rollout", "--limit", "w2", expect=2, castoff_preflight_fatal=False, castoff_uncordon_on_failure=True)
        self.assertEqual(self.cluster.log, [])
        self.assertIn("castoff.node/cordoned", self.cluster.nodes["w2"]["annotations"])
        # A drain that is refused is no reason either to let pods onto what an earlier run left cordoned.
        self.set_node("w2", fail="")
        self.cluster.pods["w2"], self.cluster.refused = ["db"], {"db": 99}
        self.play("castoff.node.rollout", "--limit", "w2", expect=2, castoff_drain_retries=1)
        self.assertTrue(self.cluster.nodes["w2"]["spec"]["unschedulable"])

    def test_a_node_that_went_back_is_freed_where_that_is_wanted(self):
        for node, fail in (("w1", "rolled-back"), ("w2", "stuck")):
            self.set_node(node, fail=fail)
        self.play("castoff.node.rollout", "--limit", "w*", expect=2, castoff_waves=["100%"], castoff_uncordon_on_failure=True)
        self.assertFalse(self.cluster.nodes["w1"]["spec"]["unschedulable"])
        self.assertTrue(self.cluster.nodes["w2"]["spec"]["unschedulable"])

    def test_an_accepted_finding_does_not_spare_the_drain(self):
        self.cluster.pods = {"w1": ["web"]}
        self.set_node("w1", fail="blocked")
        self.play("castoff.node.rollout", "--limit", "w1", castoff_skip_checks=["fake-block"])
        self.assertEqual(self.cluster.log[1], "w1 evict web runtime=docker")

    def test_the_runtime_to_wait_for_is_that_of_the_goal_and_of_the_run(self):
        self.play("castoff.node.rollout", "--limit", "a", castoff_goal="cgroup-driver")
        self.assertEqual((self.node("a")["runtime"], self.node("a")["driver"]), ("docker", "systemd"))
        self.set_node("w1", runtime="containerd", runs=[{"id": "run0", "state": "committed", "from": "containerd"}])
        self.play("castoff.node.rollback", "--limit", "w1")
        self.assertEqual(self.changed(), ["w1"])

    def test_a_drain_that_is_refused_gives_the_node_back_untouched(self):
        self.cluster.pods = {"w1": ["web"]}
        self.cluster.refused = {"web": 99}
        self.play("castoff.node.rollout", "--limit", "w1", expect=2, castoff_drain_retries=1)
        self.assertEqual(self.node("w1")["runtime"], "docker")
        self.assertFalse(self.cluster.nodes["w1"]["spec"]["unschedulable"])
        self.assertIn("disruption budget", self.record("w1")["error"])
        self.assertFalse(self.record("w1")["cordoned"])


if __name__ == "__main__":
    unittest.main()
