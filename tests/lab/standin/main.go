// Command standin keeps the contract of a kubelet of a newer release than can be built here: it knows its version,
// refuses flags that release does not know, reads --config, connects to the CRI endpoint these name and runs the static
// pods of the host's network. With cri-dockerd's endpoint it runs them on Docker, labelled as cri-dockerd labels them.
//
// It is built inside the source tree of Kubernetes 1.20 (see lablib/kubelet.py) and uses its CRI messages: those of
// runtime.v1 have the same tags, only the service has another name. By its program name it is also
//
//	lab-cri-dockerd   listens on cri-dockerd's socket and answers nothing
//	lab-cri           lab-cri ENDPOINT config|pull IMAGE: one call from a shell
//	lab-registry      a read-only registry over plain HTTP, see registry.go
package main

import (
	"context"
	"crypto/md5"
	"encoding/json"
	"fmt"
	"io/ioutil"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"google.golang.org/grpc"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1alpha2"
	"sigs.k8s.io/yaml"
)

// Version is what it says it is.
const Version = "v1.29.15"

type config struct {
	Kind                     string
	APIVersion               string `json:"apiVersion"`
	CgroupDriver             string `json:"cgroupDriver"`
	StaticPodPath            string `json:"staticPodPath"`
	ContainerRuntimeEndpoint string `json:"containerRuntimeEndpoint"`
}

type manifest struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Spec     struct {
		HostNetwork bool `json:"hostNetwork"`
		Containers  []struct {
			Name, Image   string
			Command, Args []string
		}
	}
}

// A static pod: the kubelet adds the node's name, and makes the uid out of the file.
type pod struct {
	name, namespace, uid string
	m                    manifest
}

type kubelet struct {
	config
	endpoint, infra string
	conn            *grpc.ClientConn
}

func main() {
	var err error
	switch filepath.Base(os.Args[0]) {
	case "lab-cri":
		err = call(os.Args[1:])
	case "lab-registry":
		err = registry(os.Args[1:])
	case "lab-cri-dockerd":
		err = criDockerd()
	default:
		err = run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func run() error {
	f := pflag.NewFlagSet("kubelet", pflag.ContinueOnError)
	version := f.Bool("version", false, "")
	path := f.String("config", "", "")
	k := kubelet{}
	f.StringVar(&k.endpoint, "container-runtime-endpoint", "", "")
	f.StringVar(&k.infra, "pod-infra-container-image", "registry.k8s.io/pause:3.9", "")
	// Known and of no concern here. A flag that 1.29 dropped, such as --network-plugin, is an error as it is there.
	for _, name := range []string{"bootstrap-kubeconfig", "kubeconfig", "node-ip", "hostname-override", "v", "root-dir",
		"image-service-endpoint", "container-log-max-size", "container-log-max-files", "cgroup-driver",
		"runtime-cgroups", "node-labels"} {
		f.String(name, "", "")
	}
	if err := f.Parse(os.Args[1:]); err != nil {
		return err
	}
	if *version {
		fmt.Println("Kubernetes", Version)
		return nil
	}
	text, err := ioutil.ReadFile(*path)
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(text, &k.config); err != nil {
		return fmt.Errorf("failed to load kubelet config file: %v", err)
	}
	if k.Kind != "KubeletConfiguration" || k.APIVersion != "kubelet.config.k8s.io/v1beta1" {
		return fmt.Errorf("%s is no KubeletConfiguration", *path)
	}
	if k.endpoint == "" {
		k.endpoint = k.ContainerRuntimeEndpoint
	}
	if k.endpoint == "" {
		k.endpoint = "unix:///run/containerd/containerd.sock"
	}
	if err := k.connect(); err != nil {
		return fmt.Errorf("failed to run Kubelet: validate service connection: %v", err)
	}
	go http.ListenAndServe("127.0.0.1:10248", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "ok")
	}))
	for {
		for _, p := range k.pods() {
			if err := k.sync(p); err != nil {
				fmt.Println("pod", p.name, err)
			}
		}
		time.Sleep(2 * time.Second)
	}
}

func (k *kubelet) docker() bool { return strings.HasSuffix(k.endpoint, "/cri-dockerd.sock") }

func dial(endpoint string) (*grpc.ClientConn, error) {
	path := strings.TrimPrefix(endpoint, "unix://")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return grpc.DialContext(ctx, path, grpc.WithInsecure(), grpc.WithBlock(), grpc.FailOnNonTempDialError(true),
		grpc.WithContextDialer(func(ctx context.Context, path string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<24)))
}

// The kubelet of 1.29 speaks runtime.v1 and nothing older.
func invoke(conn *grpc.ClientConn, method string, in, out interface{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	service := "RuntimeService"
	if strings.Contains(method, "Image") {
		service = "ImageService"
	}
	return conn.Invoke(ctx, "/runtime.v1."+service+"/"+method, in, out)
}

func (k *kubelet) connect() error {
	if k.docker() {
		conn, err := net.Dial("unix", strings.TrimPrefix(k.endpoint, "unix://"))
		if err == nil {
			conn.Close()
		}
		return err
	}
	conn, err := dial(k.endpoint)
	if err != nil {
		return err
	}
	k.conn = conn
	version := cri.VersionResponse{}
	if err := invoke(conn, "Version", &cri.VersionRequest{}, &version); err != nil {
		return err
	}
	fmt.Println("connected to", version.RuntimeName, version.RuntimeVersion)
	return nil
}

func (k *kubelet) pods() []pod {
	var out []pod
	files, _ := filepath.Glob(filepath.Join(k.StaticPodPath, "*"))
	host, _ := os.Hostname()
	for _, file := range files {
		text, err := ioutil.ReadFile(file)
		m := manifest{}
		if err != nil || yaml.Unmarshal(text, &m) != nil || m.Kind != "Pod" || !m.Spec.HostNetwork {
			fmt.Println("not a pod that can be run here:", file)
			continue
		}
		if m.Metadata.Namespace == "" {
			m.Metadata.Namespace = "default"
		}
		uid := fmt.Sprintf("%x", md5.Sum([]byte(host+file+string(text))))
		out = append(out, pod{m.Metadata.Name + "-" + host, m.Metadata.Namespace, uid, m})
	}
	return out
}

func (p pod) labels(container string) map[string]string {
	labels := map[string]string{"io.kubernetes.pod.name": p.name, "io.kubernetes.pod.namespace": p.namespace,
		"io.kubernetes.pod.uid": p.uid}
	if container != "" {
		labels["io.kubernetes.container.name"] = container
	}
	return labels
}

// Where the pod's processes belong, in the words of the cgroup driver.
func (k *kubelet) parent(p pod) string {
	if k.CgroupDriver == "cgroupfs" {
		return "/kubepods/besteffort/pod" + p.uid
	}
	return "kubepods-besteffort-pod" + p.uid + ".slice"
}

func (k *kubelet) sync(p pod) error {
	if k.docker() {
		return k.onDocker(p)
	}
	return k.onCRI(p)
}

func docker(args ...string) (string, error) {
	out, err := exec.Command("docker", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("docker %s: %v: %s", args[0], err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// The containers cri-dockerd would make: a sandbox and what joins it, known by their labels.
func (k *kubelet) onDocker(p pod) error {
	ensure := func(name, kind, container string, args ...string) error {
		full := fmt.Sprintf("k8s_%s_%s_%s_%s_0", name, p.name, p.namespace, p.uid)
		if state, err := docker("inspect", "-f", "{{.State.Running}}", full); err == nil {
			if state == "true" {
				return nil
			}
			if _, err := docker("rm", full); err != nil {
				return err
			}
		}
		run := []string{"run", "-d", "--name", full, "--cgroup-parent", k.parent(p), "--network", "host",
			"--label", "io.kubernetes.docker.type=" + kind,
			"--label", "annotation.io.kubernetes.pod.terminationGracePeriod=2"}
		for key, value := range p.labels(container) {
			run = append(run, "--label", key+"="+value)
		}
		_, err := docker(append(run, args...)...)
		return err
	}
	if err := ensure("POD", "podsandbox", "POD", k.infra); err != nil {
		return err
	}
	for _, c := range p.m.Spec.Containers {
		args := append(append([]string{c.Image}, c.Command...), c.Args...)
		if err := ensure(c.Name, "container", c.Name, args...); err != nil {
			return err
		}
	}
	return nil
}

func (k *kubelet) onCRI(p pod) error {
	sandboxes := cri.ListPodSandboxResponse{}
	if err := invoke(k.conn, "ListPodSandbox", &cri.ListPodSandboxRequest{}, &sandboxes); err != nil {
		return err
	}
	sandbox, attempt := "", uint32(0)
	for _, s := range sandboxes.Items {
		if s.Metadata.Uid != p.uid {
			continue
		}
		if s.State == cri.PodSandboxState_SANDBOX_READY {
			sandbox = s.Id
		}
		if s.Metadata.Attempt >= attempt {
			attempt = s.Metadata.Attempt + 1
		}
	}
	dir := fmt.Sprintf("/var/log/pods/%s_%s_%s", p.namespace, p.name, p.uid)
	sc := &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: p.name, Namespace: p.namespace, Uid: p.uid, Attempt: attempt},
		LogDirectory: dir, Labels: p.labels(""),
		Annotations: map[string]string{"kubernetes.io/config.source": "file"},
		Linux: &cri.LinuxPodSandboxConfig{CgroupParent: k.parent(p), SecurityContext: &cri.LinuxSandboxSecurityContext{
			NamespaceOptions: &cri.NamespaceOption{Network: cri.NamespaceMode_NODE, Pid: cri.NamespaceMode_CONTAINER}}},
	}
	if sandbox == "" {
		made := cri.RunPodSandboxResponse{}
		if err := invoke(k.conn, "RunPodSandbox", &cri.RunPodSandboxRequest{Config: sc}, &made); err != nil {
			return err
		}
		sandbox = made.PodSandboxId
	}
	containers := cri.ListContainersResponse{}
	if err := invoke(k.conn, "ListContainers", &cri.ListContainersRequest{}, &containers); err != nil {
		return err
	}
	for _, c := range p.m.Spec.Containers {
		number, runs := uint32(0), false
		for _, have := range containers.Containers {
			if have.PodSandboxId == sandbox && have.Metadata.Name == c.Name {
				runs = runs || have.State == cri.ContainerState_CONTAINER_RUNNING
				number = have.Metadata.Attempt + 1
			}
		}
		if runs {
			continue
		}
		if err := pull(k.conn, c.Image, false); err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(dir, c.Name), 0o755); err != nil {
			return err
		}
		made := cri.CreateContainerResponse{}
		err := invoke(k.conn, "CreateContainer", &cri.CreateContainerRequest{PodSandboxId: sandbox, SandboxConfig: sc,
			Config: &cri.ContainerConfig{
				Metadata: &cri.ContainerMetadata{Name: c.Name, Attempt: number},
				Image:    &cri.ImageSpec{Image: c.Image}, Command: c.Command, Args: c.Args, Labels: p.labels(c.Name),
				Annotations: map[string]string{"io.kubernetes.pod.terminationGracePeriod": "2"},
				LogPath:     fmt.Sprintf("%s/%d.log", c.Name, number),
				Linux: &cri.LinuxContainerConfig{SecurityContext: &cri.LinuxContainerSecurityContext{
					NamespaceOptions: &cri.NamespaceOption{Network: cri.NamespaceMode_NODE, Pid: cri.NamespaceMode_CONTAINER}}},
			}}, &made)
		if err != nil {
			return err
		}
		start := &cri.StartContainerRequest{ContainerId: made.ContainerId}
		if err := invoke(k.conn, "StartContainer", start, &cri.StartContainerResponse{}); err != nil {
			return err
		}
	}
	return nil
}

func pull(conn *grpc.ClientConn, image string, always bool) error {
	spec := &cri.ImageSpec{Image: image}
	status := cri.ImageStatusResponse{}
	if err := invoke(conn, "ImageStatus", &cri.ImageStatusRequest{Image: spec}, &status); err != nil {
		return err
	}
	if status.Image != nil && !always {
		return nil
	}
	return invoke(conn, "PullImage", &cri.PullImageRequest{Image: spec}, &cri.PullImageResponse{})
}

func call(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("lab-cri ENDPOINT config|pull IMAGE")
	}
	conn, err := dial(args[0])
	if err != nil {
		return err
	}
	switch args[1] {
	case "pull":
		return pull(conn, args[2], true)
	case "config":
		// What containerd has loaded, not what a file says.
		status := cri.StatusResponse{}
		if err := invoke(conn, "Status", &cri.StatusRequest{Verbose: true}, &status); err != nil {
			return err
		}
		var value interface{}
		if err := json.Unmarshal([]byte(status.Info["config"]), &value); err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(value)
	}
	return fmt.Errorf("unknown call %q", args[1])
}

func criDockerd() error {
	path := "/run/cri-dockerd.sock"
	os.Remove(path)
	listener, err := net.Listen("unix", path)
	for err == nil {
		var conn net.Conn
		if conn, err = listener.Accept(); err == nil {
			conn.Close()
		}
	}
	return err
}
