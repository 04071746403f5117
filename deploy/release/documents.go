package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// document is a text that the program itself prints: the manual page, or the completion script for a shell.
type document struct {
	args []string // arguments with which cton prints the text
	name string   // path in an archive
	path string   // path at which a package installs the document
	text []byte
}

// documents builds the program for this machine, runs it and returns the documents that it prints.
func documents(source, dir string) ([]document, error) {
	b, err := compile(source, dir, target{os: runtime.GOOS, arch: runtime.GOARCH})
	if err != nil {
		return nil, err
	}
	all := []document{
		{args: []string{"man"}, name: "man/cton.1", path: "/usr/share/man/man1/cton.1.gz"},
		{args: []string{"completion", "bash"}, name: "completions/cton.bash", path: "/usr/share/bash-completion/completions/cton"},
		{args: []string{"completion", "zsh"}, name: "completions/_cton", path: "/usr/share/zsh/site-functions/_cton"},
		{args: []string{"completion", "fish"}, name: "completions/cton.fish", path: "/usr/share/fish/vendor_completions.d/cton.fish"},
	}
	for i := range all {
		if all[i].text, err = exec.Command(b.binary, all[i].args...).Output(); err != nil {
			return nil, fmt.Errorf("cton %v: %w", all[i].args, err)
		}
	}
	return all, nil
}

// file writes the document to a directory, in the form in which a package contains the document, and returns the path. A manual page is
// compressed.
func (d *document) file(dir string) (string, error) {
	path := filepath.Join(dir, filepath.Base(d.path))
	if filepath.Ext(path) != ".gz" {
		path += ".txt" // a document named cton would overwrite the binary
		return path, os.WriteFile(path, d.text, 0o644)
	}
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return "", err
	}
	if _, err := z.Write(d.text); err != nil {
		return "", err
	}
	if err := z.Close(); err != nil {
		return "", err
	}
	return path, os.WriteFile(path, packed.Bytes(), 0o644)
}
