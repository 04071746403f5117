package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/blakesmith/ar"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ulikunitz/xz"
)

// TestRelease builds a release twice, in two directories. It checks that the bytes are the same, and that the files have the right content.
func TestRelease(t *testing.T) {
	only := "linux/amd64"
	if runtime.GOARCH == "arm64" {
		only = "linux/arm64"
	}
	shell := madeShell(t, map[string][]byte{"./bin/busybox": []byte("a program"), "./usr/share/doc/busybox-static/copyright": []byte("GPL")})
	var built [2]map[string][]byte
	for i := range built {
		dir := filepath.Join(t.TempDir(), fmt.Sprint("dist", i))
		if err := release("../..", dir, only, shell); err != nil {
			t.Fatal(err)
		}
		built[i] = read(t, dir)
	}
	for name, data := range built[0] {
		if !bytes.Equal(data, built[1][name]) {
			t.Errorf("%s differs between two builds", name)
		}
	}
	if len(built[0]) != 8 || len(built[1]) != 8 {
		t.Errorf("%d and %d files, want an archive, an SBOM, three packages, two images and the sums", len(built[0]), len(built[1]))
	}
	checkSums(t, built[0])
	checkArchive(t, one(t, built[0], ".tar.gz"))
	checkSBOM(t, one(t, built[0], ".cdx.json"), one(t, built[0], ".tar.gz"))
	checkImage(t, one(t, built[0], "_image.oci.tar"), false)
	checkImage(t, one(t, built[0], "_image-shell.oci.tar"), true)
}

// madeShell returns a shell whose packages contain the files.
func madeShell(t *testing.T, files map[string][]byte) *shell {
	t.Helper()
	s := &shell{dir: t.TempDir()}
	for _, arch := range []string{"amd64", "arm64"} {
		var deb bytes.Buffer
		outer := ar.NewWriter(&deb)
		if err := outer.WriteGlobalHeader(); err != nil {
			t.Fatal(err)
		}
		for _, member := range []struct {
			name  string
			files map[string][]byte
		}{
			{"control.tar.xz", map[string][]byte{"./control": []byte("Source: busybox (1:1.35.0-4)\nBuilt-Using: glibc (= 2.36-9)\n")}},
			{"data.tar.xz", files},
		} {
			var packed bytes.Buffer
			z, err := xz.NewWriter(&packed)
			if err != nil {
				t.Fatal(err)
			}
			var entries []entry
			for name, data := range member.files {
				entries = append(entries, entry{name: name, mode: 0o755, data: data})
			}
			if err := errors.Join(writeTar(z, time.Unix(0, 0), entries), z.Close()); err != nil {
				t.Fatal(err)
			}
			if err := outer.WriteHeader(&ar.Header{Name: member.name, Size: int64(packed.Len()), Mode: 0o644}); err != nil {
				t.Fatal(err)
			}
			if _, err := outer.Write(packed.Bytes()); err != nil {
				t.Fatal(err)
			}
		}
		name := "busybox-static_1_" + arch + ".deb"
		s.sums += fmt.Sprintf("%x  %s\n", sha256.Sum256(deb.Bytes()), name)
		if err := os.WriteFile(filepath.Join(s.dir, name), deb.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestShellRefused checks that a package of busybox is refused if it is not the expected package.
func TestShellRefused(t *testing.T) {
	whole := map[string][]byte{"./bin/busybox": []byte("a program"), "./usr/share/doc/busybox-static/copyright": []byte("GPL")}
	other := madeShell(t, whole)
	other.sums = strings.ReplaceAll(other.sums, other.sums[:8], "00000000")
	empty := madeShell(t, map[string][]byte{"./bin/busybox": []byte("a program")})
	for want, s := range map[string]*shell{
		"busybox-static_1_amd64.deb has the SHA-256":                  other,
		"data.tar.xz has no ./usr/share/doc/busybox-static/copyright": empty,
		"no such file":                  {dir: t.TempDir(), sums: other.sums},
		"there is no package for amd64": {dir: other.dir},
	} {
		if _, err := s.files("amd64"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// read returns the files of a directory.
func read(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if all[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// one returns the only file whose name has the given end.
func one(t *testing.T, files map[string][]byte, end string) []byte {
	t.Helper()
	var found [][]byte
	for name, data := range files {
		if strings.HasSuffix(name, end) {
			found = append(found, data)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d files *%s", len(found), end)
	}
	return found[0]
}

func checkSums(t *testing.T, files map[string][]byte) {
	t.Helper()
	lines := 0
	for line := range strings.Lines(string(files["SHA256SUMS"])) {
		sum, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if got := fmt.Sprintf("%x", sha256.Sum256(files[name])); got != sum {
			t.Errorf("SHA256SUMS has %s for %s, which is %s", sum, name, got)
		}
		lines++
	}
	if lines != len(files)-1 {
		t.Errorf("SHA256SUMS has %d lines for %d files", lines, len(files)-1)
	}
}

// unpack returns the entries of an archive by name, and their headers.
func unpack(t *testing.T, r io.Reader) (map[string][]byte, map[string]*tar.Header) {
	t.Helper()
	data, headers := map[string][]byte{}, map[string]*tar.Header{}
	for a := tar.NewReader(r); ; {
		h, err := a.Next()
		if errors.Is(err, io.EOF) {
			return data, headers
		}
		if err != nil {
			t.Fatal(err)
		}
		headers[h.Name] = h
		if data[h.Name], err = io.ReadAll(a); err != nil {
			t.Fatal(err)
		}
	}
}

func gunzip(t *testing.T, data []byte) io.Reader {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// binary returns the program that an archive contains.
func binary(t *testing.T, archive []byte) []byte {
	t.Helper()
	files, _ := unpack(t, gunzip(t, archive))
	for name, data := range files {
		if strings.HasSuffix(name, "/cton") {
			return data
		}
	}
	t.Fatal("the archive has no program")
	return nil
}

func checkArchive(t *testing.T, data []byte) {
	t.Helper()
	files, headers := unpack(t, gunzip(t, data))
	for _, name := range []string{"cton", "LICENSE", "README.md", "THIRD_PARTY_LICENSES", "man/cton.1", "completions/cton.bash", "completions/_cton", "completions/cton.fish"} {
		found := false
		for path, h := range headers {
			_, base, _ := strings.Cut(path, "/")
			if base != name {
				continue
			}
			found = true
			if want := map[bool]int64{true: 0o755, false: 0o644}[name == "cton"]; h.Mode != want || h.Uid != 0 || len(files[path]) == 0 {
				t.Errorf("%s: mode %o, user %d, %d bytes", path, h.Mode, h.Uid, len(files[path]))
			}
			if name == "THIRD_PARTY_LICENSES" {
				checkLicences(t, string(files[path]))
			}
		}
		if !found {
			t.Errorf("the archive has no %s", name)
		}
	}
}

func checkLicences(t *testing.T, text string) {
	t.Helper()
	for _, want := range []string{"\ngithub.com/itchyny/gojq v", " itchyny\n", "Copyright 2009 The Go Authors.", "Mozilla Public License Version 2.0", "std 1."} {
		if !strings.Contains(text, want) {
			t.Errorf("the licences lack %q", want)
		}
	}
	if bad := regexp.MustCompile(`(?m)^\S+ v?[0-9]\S+ \((|.*(GPL|Commercial|NC).*)\)$`).FindAllString(text, -1); bad != nil {
		t.Errorf("modules whose licence does not allow this: %s", bad)
	}
}

func checkSBOM(t *testing.T, data, archive []byte) {
	t.Helper()
	var bom cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(bytes.NewReader(data), cyclonedx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	main := bom.Metadata.Component
	if want := fmt.Sprintf("%x", sha256.Sum256(binary(t, archive))); (*main.Hashes)[0].Value != want {
		t.Errorf("the SBOM is of a program with the sum %s, not %s", (*main.Hashes)[0].Value, want)
	}
	found := slices.ContainsFunc(*bom.Components, func(c cyclonedx.Component) bool {
		return strings.HasPrefix(c.PackageURL, "pkg:golang/github.com/itchyny/gojq@v") && (*c.Licenses)[0].Expression == "MIT" && c.Properties != nil
	})
	for _, c := range *bom.Components {
		if !regexp.MustCompile(`^[A-Za-z0-9.-]+( AND [A-Za-z0-9.-]+)*$`).MatchString((*c.Licenses)[0].Expression) || strings.Contains((*c.Licenses)[0].Expression, "Patents") {
			t.Errorf("%s: %s is no expression of SPDX", c.Name, (*c.Licenses)[0].Expression)
		}
	}
	if !found || len(*bom.Components) < 20 {
		t.Errorf("the SBOM has %d components, gojq with its licence and sum: %t", len(*bom.Components), found)
	}
}

// checkImage follows the image from index.json to its files, as a container engine does.
func checkImage(t *testing.T, data []byte, shell bool) {
	t.Helper()
	files, _ := unpack(t, bytes.NewReader(data))
	blob := func(d v1.Descriptor) []byte {
		data := files["blobs/sha256/"+d.Digest.Encoded()]
		if int64(len(data)) != d.Size || d.Digest.Encoded() != fmt.Sprintf("%x", sha256.Sum256(data)) {
			t.Fatalf("%s: size or sum is wrong", d.Digest)
		}
		return data
	}
	index := decode[v1.Index](t, files["index.json"])
	platforms := decode[v1.Index](t, blob(index.Manifests[0]))
	manifest := decode[v1.Manifest](t, blob(platforms.Manifests[0]))
	config := decode[v1.Image](t, blob(manifest.Config))
	if config.Config.User != "65532:65532" || config.OS != "linux" || config.Architecture != platforms.Manifests[0].Platform.Architecture {
		t.Errorf("the image is %+v", config)
	}
	layer, err := io.ReadAll(gunzip(t, blob(manifest.Layers[0])))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%x", sha256.Sum256(layer)); got != config.RootFS.DiffIDs[0].Encoded() {
		t.Errorf("the layer has the sum %s, not %s", got, config.RootFS.DiffIDs[0])
	}
	content, headers := unpack(t, bytes.NewReader(layer))
	if h := headers["var/lib/cton/"]; h == nil || h.Uid != user || h.Mode != 0o750 {
		t.Errorf("var/lib/cton is %+v", h)
	}
	if h := headers["tmp/"]; h == nil || h.Mode != 0o1777 {
		t.Errorf("tmp is %+v", h)
	}
	if h := headers["cton"]; h == nil || h.Mode != 0o755 || !bytes.Contains(content["cton"], []byte("Europe/Oslo")) {
		t.Errorf("cton is %+v, or has no zone data", h)
	}
	if h := headers["bin/sh"]; shell != (h != nil) || shell && (h.Typeflag != tar.TypeSymlink || headers["bin/"+h.Linkname].Mode != 0o755) {
		t.Errorf("bin/sh is %+v", h)
	}
	if text := content["licenses/busybox/SOURCE"]; shell && !bytes.Contains(text, []byte("https://snapshot.debian.org/package/busybox/1:1.35.0-4/\n")) {
		t.Errorf("the source of busybox: %s", text)
	}
	if shell && !bytes.Contains(content["licenses/busybox/GPL-2"], []byte("GNU GENERAL PUBLIC LICENSE")) {
		t.Error("the image has no licence of busybox")
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(content["etc/ssl/certs/ca-certificates.crt"]) || bytes.Count(content["etc/ssl/certs/ca-certificates.crt"], []byte("BEGIN")) < 100 {
		t.Error("the image has no certificates")
	}
}

func decode[T any](t *testing.T, data []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestPackageVersion checks which versions packages get for versions of the program.
func TestPackageVersion(t *testing.T) {
	for _, c := range []struct{ version, deb, apk string }{
		{"v1.2.3", "1.2.3", "1.2.3"},
		{"v1.2.3-rc.1", "1.2.3~rc1", "1.2.3_rc1"},
		{"v0.0.0-20261129181259-43f1385f1ab1", "0.0.0~git20261129181259", "0.0.0_pre20261129181259"},
		{"v1.2.4-0.20261129181259-43f1385f1ab1", "1.2.4~git20261129181259", "1.2.4_pre20261129181259"},
		{"v1.2.4-0.20261129181259-43f1385f1ab1+dirty", "1.2.4~git20261129181259", "1.2.4_pre20261129181259"},
		{"v1.2.3-rc.1.0.20261129181259-43f1385f1ab1", "1.2.3~rc1.git20261129181259", "1.2.3_rc1_git20261129181259"},
	} {
		for format, want := range map[string]string{"deb": c.deb, "rpm": c.deb, "apk": c.apk} {
			got, pre := packageVersion(c.version, format)
			if pre != "" {
				got += map[string]string{"deb": "~", "rpm": "~", "apk": "_"}[format] + pre
			}
			if got != want {
				t.Errorf("%s of %s: got %s, want %s", format, c.version, got, want)
			}
		}
	}
}

// TestUnits checks that both services have the same limits.
func TestUnits(t *testing.T) {
	limits := func(file string) string {
		data, err := os.ReadFile(filepath.Join("../systemd", file))
		if err != nil {
			t.Fatal(err)
		}
		_, text, found := strings.Cut(string(data), "\n# What the service can see and do.")
		if !found {
			t.Fatalf("%s has no limits", file)
		}
		text, _, _ = strings.Cut(text, "\n[Install]")
		return strings.TrimSpace(strings.ReplaceAll(text, strings.TrimSuffix(file, ".service"), "UNIT"))
	}
	service, once := limits("cton.service"), limits("cton-once.service")
	service, once = strings.ReplaceAll(service, "systemctl edit UNIT", ""), strings.ReplaceAll(once, "systemctl edit UNIT", "")
	if strings.ReplaceAll(service, "UNIT", "cton") != strings.ReplaceAll(once, "UNIT", "cton") {
		t.Errorf("the limits differ:\n%s\n\n%s", service, once)
	}
}
