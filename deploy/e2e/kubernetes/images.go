package kubernetes

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// imageUser is the ID of the user in the image, as in deploy/container/Dockerfile.
const imageUser = 65532

// images implements the image service of the container runtime interface. Each image is a directory below dir with the files of the image.
// The directory has the tag of the image as its name.
type images struct{ dir string }

// root returns the directory of an image.
func (i images) root(name string) (string, error) {
	_, tag, _ := strings.Cut(name[strings.LastIndex(name, "/")+1:], ":")
	root := filepath.Join(i.dir, tag)
	if _, err := os.Stat(root); tag == "" || err != nil {
		return "", fmt.Errorf("there is no image %s", name)
	}
	return root, nil
}

// PullImage checks that the image exists.
func (i images) PullImage(_ context.Context, image *runtimeapi.ImageSpec, _ *runtimeapi.AuthConfig, _ *runtimeapi.PodSandboxConfig) (string, error) {
	_, err := i.root(image.Image)
	return image.Image, err
}

// ImageStatus returns the image with its user, or no image.
func (i images) ImageStatus(_ context.Context, image *runtimeapi.ImageSpec, _ bool) (*runtimeapi.ImageStatusResponse, error) {
	if _, err := i.root(image.Image); err != nil {
		return &runtimeapi.ImageStatusResponse{}, nil
	}
	return &runtimeapi.ImageStatusResponse{Image: &runtimeapi.Image{
		Id: image.Image, RepoTags: []string{image.Image}, Size: 1, Uid: &runtimeapi.Int64Value{Value: imageUser},
	}}, nil
}

// ListImages returns no image, so that the kubelet removes none.
func (images) ListImages(context.Context, *runtimeapi.ImageFilter) ([]*runtimeapi.Image, error) {
	return nil, nil
}

// RemoveImage does nothing.
func (images) RemoveImage(context.Context, *runtimeapi.ImageSpec) error { return nil }

// ImageFsInfo returns no usage.
func (images) ImageFsInfo(context.Context) (*runtimeapi.ImageFsInfoResponse, error) {
	usage := []*runtimeapi.FilesystemUsage{{
		FsId: &runtimeapi.FilesystemIdentifier{Mountpoint: "/"}, UsedBytes: &runtimeapi.UInt64Value{}, InodesUsed: &runtimeapi.UInt64Value{},
	}}
	return &runtimeapi.ImageFsInfoResponse{ImageFilesystems: usage, ContainerFilesystems: usage}, nil
}

// Close does nothing.
func (images) Close(context.Context) error { return nil }
