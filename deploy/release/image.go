package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// user is the ID of the user in the image. The user can write only to /var/lib/cton and /tmp.
const user = 65532

// layout is an OCI image layout that is being built: the contents of its files by path.
type layout map[string][]byte

// add adds a blob and returns its descriptor.
func (l layout) add(mediaType string, data []byte) v1.Descriptor {
	d := digest.NewDigestFromBytes(digest.SHA256, sum(data))
	l["blobs/sha256/"+d.Encoded()] = data
	return v1.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(data))}
}

func sum(data []byte) []byte {
	s := sha256.Sum256(data)
	return s[:]
}

// addJSON adds a value as a JSON blob and returns its descriptor.
func (l layout) addJSON(mediaType string, v any) (v1.Descriptor, error) {
	data, err := json.Marshal(v)
	return l.add(mediaType, data), err
}

// writeImage writes a container image for linux/amd64 and linux/arm64, as an archive of an OCI layout. It can be loaded with podman load,
// skopeo copy oci-archive:, or docker load. If the argument "shell" is not nil, the image contains the shell, and the image's tag ends with
// -shell.
func writeImage(out string, built []*build, shell *shell) error {
	built = slices.DeleteFunc(slices.Clone(built), func(b *build) bool { return b.os != "linux" || b.arch == "arm" })
	if len(built) == 0 {
		return nil
	}
	l := layout{}
	var manifests []v1.Descriptor
	for _, b := range built {
		m, err := b.addImage(l, shell)
		if err != nil {
			return err
		}
		manifests = append(manifests, m)
	}
	b := built[0]
	all, err := l.addJSON(v1.MediaTypeImageIndex, v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: manifests, Annotations: b.annotations(),
	})
	if err != nil {
		return err
	}
	tag := strings.ReplaceAll(strings.TrimPrefix(b.version, "v"), "+", "-")
	file := "cton_" + tag + "_image"
	if shell != nil {
		tag, file = tag+"-shell", file+"-shell"
	}
	all.Annotations = map[string]string{v1.AnnotationRefName: tag, "io.containerd.image.name": "localhost/cton:" + tag}
	index, err := json.Marshal(v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{all}})
	if err != nil {
		return err
	}
	head, err := json.Marshal(v1.ImageLayout{Version: v1.ImageLayoutVersion})
	if err != nil {
		return err
	}
	l[v1.ImageLayoutFile], l[v1.ImageIndexFile] = head, index
	return l.write(filepath.Join(out, file+".oci.tar"), b)
}

// write writes the layout to a file as an archive.
func (l layout) write(file string, b *build) error {
	entries := []entry{{name: "blobs/", mode: 0o755}, {name: "blobs/sha256/", mode: 0o755}}
	for name, data := range l {
		entries = append(entries, entry{name: name, mode: 0o644, data: data})
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	var data bytes.Buffer
	if err := writeTar(&data, b.time, entries); err != nil {
		return err
	}
	return os.WriteFile(file, data.Bytes(), 0o644)
}

// annotations returns the annotations that describe the image.
func (b *build) annotations() map[string]string {
	return map[string]string{
		v1.AnnotationTitle: "cton", v1.AnnotationVersion: strings.TrimPrefix(b.version, "v"), v1.AnnotationLicenses: "Apache-2.0",
		v1.AnnotationSource: "https://github.com/collectington/collectington", v1.AnnotationCreated: b.time.UTC().Format("2006-01-02T15:04:05Z07:00"),
		v1.AnnotationDescription: "Metrics of any API for Prometheus",
	}
}

// addImage adds the image for the target, which has one layer, and returns the descriptor of its manifest.
func (b *build) addImage(l layout, shell *shell) (v1.Descriptor, error) {
	entries, err := b.imageFiles()
	if err != nil {
		return v1.Descriptor{}, err
	}
	if shell != nil {
		more, err := shell.files(b.arch)
		if err != nil {
			return v1.Descriptor{}, err
		}
		entries = append(entries, more...)
	}
	var plain bytes.Buffer
	if err := writeTar(&plain, b.time, entries); err != nil {
		return v1.Descriptor{}, err
	}
	packed, err := compressed(b.time, entries)
	if err != nil {
		return v1.Descriptor{}, err
	}
	platform := v1.Platform{OS: b.os, Architecture: b.arch}
	config, err := l.addJSON(v1.MediaTypeImageConfig, v1.Image{
		Created: &b.time, Platform: platform,
		Config: v1.ImageConfig{
			User: "65532:65532", ExposedPorts: map[string]struct{}{"8000/tcp": {}}, WorkingDir: "/var/lib/cton",
			Env: []string{"PATH=/:/bin", "CTON_STATE_DIR=/var/lib/cton"}, Entrypoint: []string{"/cton"}, Cmd: []string{"run", "-c", "/etc/cton/cton.yaml"},
			Labels: b.annotations(),
		},
		RootFS:  v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.NewDigestFromBytes(digest.SHA256, sum(plain.Bytes()))}},
		History: []v1.History{{Created: &b.time, CreatedBy: "deploy/release"}},
	})
	if err != nil {
		return v1.Descriptor{}, err
	}
	manifest, err := l.addJSON(v1.MediaTypeImageManifest, v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, Config: config,
		Layers: []v1.Descriptor{l.add(v1.MediaTypeImageLayerGzip, packed)}, Annotations: b.annotations(),
	})
	manifest.Platform = &platform
	return manifest, err
}

// imageFiles returns the files of the image. The image needs no files with time zones, since the binary contains the time zones.
func (b *build) imageFiles() ([]entry, error) {
	binary, err := os.ReadFile(b.binary)
	if err != nil {
		return nil, err
	}
	licence, err := os.ReadFile(filepath.Join(b.root, "LICENSE"))
	if err != nil {
		return nil, err
	}
	return []entry{
		{name: "cton", mode: 0o755, data: binary},
		{name: "etc/", mode: 0o755},
		{name: "etc/cton/", mode: 0o755},
		{name: "etc/passwd", mode: 0o644, data: []byte("root:x:0:0:root:/:/sbin/nologin\ncton:x:65532:65532:cton:/var/lib/cton:/sbin/nologin\n")},
		{name: "etc/group", mode: 0o644, data: []byte("root:x:0:\ncton:x:65532:\n")},
		{name: "etc/ssl/", mode: 0o755},
		{name: "etc/ssl/certs/", mode: 0o755},
		{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, data: certificates()},
		{name: "licenses/", mode: 0o755},
		{name: "licenses/LICENSE", mode: 0o644, data: licence},
		{name: "licenses/THIRD_PARTY_LICENSES", mode: 0o644, data: b.thirdParty()},
		{name: "tmp/", mode: 0o1777},
		{name: "var/", mode: 0o755},
		{name: "var/lib/", mode: 0o755},
		{name: "var/lib/cton/", mode: 0o750, user: user},
	}, nil
}

// certificates returns the certificate authorities that Mozilla trusts, from the bundle of the Go project. It leaves out authorities
// that are trusted only within limits, since a file of certificates cannot express the limits.
func certificates() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // writing to a buffer cannot fail
		}
	}
	return out.Bytes()
}
