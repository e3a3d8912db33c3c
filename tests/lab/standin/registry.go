package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/ioutil"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

type blob struct {
	kind string
	data []byte
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Size      int    `json:"size"`
	Digest    string `json:"digest"`
}

// registry serves what `docker save` wrote: lab-registry FOLDER ADDRESS…; FOLDER/NAME/ is an unpacked archive of one
// image, served as repository NAME (`__` is a slash) with every tag. Each request is a line of its output: the address
// it came to, the path and the query, in which containerd says whose mirror it takes it for.
func registry(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("lab-registry FOLDER ADDRESS...")
	}
	blobs, manifests := map[string]blob{}, map[string]string{}
	dirs, _ := filepath.Glob(filepath.Join(args[0], "*"))
	for _, dir := range dirs {
		digest, err := load(dir, blobs)
		if err != nil {
			return err
		}
		manifests[strings.Replace(filepath.Base(dir), "__", "/", -1)] = digest
	}
	serve := func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, r.Host, r.URL.Path, r.URL.RawQuery)
		path := strings.TrimPrefix(r.URL.Path, "/v2/")
		if path == "" {
			fmt.Fprint(w, "{}")
			return
		}
		digest := filepath.Base(path)
		if at := strings.Index(path, "/manifests/"); at > 0 && !strings.HasPrefix(digest, "sha256:") {
			digest = manifests[path[:at]]
		}
		found, ok := blobs[digest]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", found.kind)
		w.Header().Set("Docker-Content-Digest", digest)
		w.Header().Set("Content-Length", fmt.Sprint(len(found.data)))
		if r.Method == "GET" {
			w.Write(found.data)
		}
	}
	failed := make(chan error)
	for _, address := range args[1:] {
		go func(address string) { failed <- http.ListenAndServe(address, http.HandlerFunc(serve)) }(address)
	}
	return <-failed
}

func add(blobs map[string]blob, kind string, data []byte) descriptor {
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(data))
	// Of a blob only the manifest's type counts; the others are bytes to whoever fetches them.
	served := kind
	if !strings.Contains(kind, "manifest") {
		served = "application/octet-stream"
	}
	blobs[digest] = blob{served, data}
	return descriptor{kind, len(data), digest}
}

func load(dir string, blobs map[string]blob) (string, error) {
	const docker = "application/vnd.docker."
	var saved []struct {
		Config string
		Layers []string
	}
	text, err := ioutil.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(text, &saved); err != nil || len(saved) != 1 {
		return "", fmt.Errorf("%s: %d images, %v", dir, len(saved), err)
	}
	data, err := ioutil.ReadFile(filepath.Join(dir, saved[0].Config))
	if err != nil {
		return "", err
	}
	config, layers := add(blobs, docker+"container.image.v1+json", data), []descriptor{}
	for _, layer := range saved[0].Layers {
		data, err := ioutil.ReadFile(filepath.Join(dir, layer))
		if err != nil {
			return "", err
		}
		layers = append(layers, add(blobs, docker+"image.rootfs.diff.tar", data))
	}
	kind := docker + "distribution.manifest.v2+json"
	manifest, err := json.Marshal(map[string]interface{}{"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers})
	if err != nil {
		return "", err
	}
	fmt.Fprintln(os.Stderr, "serving", dir)
	return add(blobs, kind, manifest).Digest, nil
}
