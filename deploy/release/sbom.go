package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
)

// writeSBOM writes the list of the modules in the binary (SBOM), in the format CycloneDX.
func (b *build) writeSBOM(file string) error {
	binary, err := os.ReadFile(b.binary)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(binary)
	main := b.component(module{path: "github.com/collectington/collectington", version: b.version, spdx: []string{"Apache-2.0"}})
	main.Type, main.Name = cyclonedx.ComponentTypeApplication, "cton"
	main.Hashes = &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: fmt.Sprintf("%x", sum)}}
	var parts []cyclonedx.Component
	var refs []string
	dependencies := []cyclonedx.Dependency{{Ref: main.BOMRef, Dependencies: &refs}}
	for _, m := range b.modules {
		c := b.component(m)
		parts, refs = append(parts, c), append(refs, c.BOMRef)
		dependencies = append(dependencies, cyclonedx.Dependency{Ref: c.BOMRef})
	}
	bom := cyclonedx.NewBOM()
	bom.SerialNumber = serial(sum)
	bom.Metadata = &cyclonedx.Metadata{Timestamp: b.time.UTC().Format(time.RFC3339), Component: &main}
	bom.Components, bom.Dependencies = &parts, &dependencies
	var out bytes.Buffer
	if err := cyclonedx.NewBOMEncoder(&out, cyclonedx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cyclonedx.SpecVersion1_6); err != nil {
		return err
	}
	return os.WriteFile(file, out.Bytes(), 0o644)
}

// component returns the description of a module.
func (b *build) component(m module) cyclonedx.Component {
	// Package URLs of Go are in lower case. The + is escaped, since some programs read it as a space.
	purl := "pkg:golang/" + strings.ToLower(m.path) + "@" + strings.ReplaceAll(m.version, "+", "%2B")
	c := cyclonedx.Component{Type: cyclonedx.ComponentTypeLibrary, BOMRef: purl, PackageURL: purl, Name: m.path, Version: m.version}
	if len(m.spdx) > 0 {
		c.Licenses = &cyclonedx.Licenses{{Expression: strings.Join(m.spdx, " AND ")}}
	}
	if m.sum != "" {
		c.Properties = &[]cyclonedx.Property{{Name: "go:sum", Value: m.sum}}
	}
	return c
}

// serial returns a UUID (version 8) that is derived from the hash of the binary. So each build of the same binary gives the same UUID.
func serial(sum [sha256.Size]byte) string {
	id := sum[:16]
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
