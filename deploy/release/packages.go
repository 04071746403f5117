package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/apk" // registers itself
	_ "github.com/goreleaser/nfpm/v2/deb" // registers itself
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm" // registers itself
)

// writePackages writes the packages for Debian, Red Hat and Alpine.
func (b *build) writePackages(out string) error {
	for _, format := range []string{"deb", "rpm", "apk"} {
		info, err := b.packageInfo(format)
		if err != nil {
			return err
		}
		if err := nfpm.PrepareForPackager(info, format); err != nil {
			return err
		}
		// An apk contains the modification times of the scripts, so set them for reproducible builds.
		for _, s := range []string{info.Scripts.PreInstall, info.Scripts.PostInstall, info.Scripts.PreRemove, info.Scripts.PostRemove} {
			if err := os.Chtimes(s, b.time, b.time); err != nil {
				return err
			}
		}
		packager, err := nfpm.Get(format)
		if err != nil {
			return err
		}
		var data bytes.Buffer
		if err := packager.Package(info, &data); err != nil {
			return fmt.Errorf("%s: %w", format, err)
		}
		name := filepath.Join(out, packager.ConventionalFileName(info))
		if err := os.WriteFile(name, data.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// packageInfo returns the description of the package in a format: deb, rpm or apk.
func (b *build) packageInfo(format string) (*nfpm.Info, error) {
	contents, err := b.packageFiles(format)
	if err != nil {
		return nil, err
	}
	script := func(name string) string { return filepath.Join(b.root, "deploy/release/package", name) }
	release, prerelease := packageVersion(b.version, format)
	info := &nfpm.Info{
		Name: "cton", Platform: "linux", Arch: b.arch + b.arm, Version: release, Prerelease: prerelease, Section: "net", Priority: "optional",
		Maintainer: "The Collectington authors <collectington@users.noreply.github.com>", Homepage: "https://github.com/collectington/collectington",
		License: "Apache-2.0", MTime: b.time, DisableGlobbing: true,
		Description: "Metrics of any API for Prometheus\nAsks APIs, commands, files and databases on a schedule, computes metrics, and serves them to\nPrometheus or pushes them by remote-write or to a Pushgateway.",
		Overridables: nfpm.Overridables{
			Contents: contents,
			Scripts: nfpm.Scripts{
				PreInstall: script("preinstall.sh"), PostInstall: script("postinstall.sh"),
				PreRemove: script("preremove.sh"), PostRemove: script("postremove.sh"),
			},
		},
	}
	info.RPM.BuildHost = "localhost"
	switch format {
	case "deb":
		info.Deb.Predepends = []string{"passwd"}
		info.Recommends = []string{"ca-certificates"}
	case "rpm":
		info.Depends = []string{"shadow-utils"}
		info.Recommends = []string{"ca-certificates"}
	case "apk":
		info.Depends = []string{"ca-certificates-bundle"}
		info.APK.Scripts.PostUpgrade = script("postinstall.sh")
	}
	return nfpm.WithDefaults(info), nil
}

// packageFiles returns the files and directories of the package in a format.
func (b *build) packageFiles(format string) (files.Contents, error) {
	licences := filepath.Join(b.dir, "THIRD_PARTY_LICENSES")
	if err := os.WriteFile(licences, b.thirdParty(), 0o644); err != nil {
		return nil, err
	}
	file := func(from, to string, mode os.FileMode) *files.Content {
		return &files.Content{Source: from, Destination: to, FileInfo: &files.ContentFileInfo{Mode: mode, Owner: "root", Group: "root"}}
	}
	dir := func(path string, mode os.FileMode, owner string) *files.Content {
		return &files.Content{Destination: path, Type: files.TypeDir, FileInfo: &files.ContentFileInfo{Mode: mode, Owner: owner, Group: "cton"}}
	}
	own := func(path string) string { return filepath.Join(b.root, path) }
	config := file(own("deploy/release/package/cton.yaml"), "/etc/cton/cton.yaml", 0o640)
	config.Type, config.FileInfo.Group = files.TypeConfigNoReplace, "cton"
	all := files.Contents{
		file(b.binary, "/usr/bin/cton", 0o755),
		dir("/etc/cton", 0o750, "root"),
		config,
		dir("/var/lib/cton", 0o750, "cton"),
		file(own("LICENSE"), "/usr/share/doc/cton/copyright", 0o644),
		file(licences, "/usr/share/doc/cton/THIRD_PARTY_LICENSES", 0o644),
	}
	if format == "apk" { // Alpine has OpenRC in place of systemd
		settings := file(own("deploy/openrc/cton.conf"), "/etc/conf.d/cton", 0o600)
		settings.Type = files.TypeConfigNoReplace
		all = append(all, file(own("deploy/openrc/cton"), "/etc/init.d/cton", 0o755), settings)
	} else {
		for _, unit := range []string{"cton.service", "cton-once.service", "cton-once.timer"} {
			all = append(all, file(own("deploy/systemd/"+unit), "/usr/lib/systemd/system/"+unit, 0o644))
		}
	}
	for _, d := range b.documents {
		path, err := d.file(b.dir)
		if err != nil {
			return nil, err
		}
		to := d.path
		if format == "deb" { // Debian's zsh looks for completions in this directory
			to = strings.Replace(to, "zsh/site-functions", "zsh/vendor-completions", 1)
		}
		all = append(all, file(path, to, 0o644))
	}
	for _, c := range all {
		c.FileInfo.MTime = b.time
		c.Type = cmp.Or(c.Type, files.TypeFile)
	}
	return all, nil
}
