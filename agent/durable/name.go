package durable

import (
	"crypto/sha256"
	"encoding/hex"
	"hash/crc32"
	"net/url"
	"strings"
)

// maxFileName is the maximum length of a file name, in bytes; longer names are replaced by their hashes. File systems allow 255
// bytes, but callers may add a suffix.
const maxFileName = 128

// FileName converts a text, such as the name of a job, to a file name or a part of a file name. Different texts get different
// names.
func FileName(s string) string {
	name := url.PathEscape(s)
	if len(name) > maxFileName {
		sum := sha256.Sum256([]byte(s))
		return hex.EncodeToString(sum[:])
	}
	if strings.HasPrefix(name, ".") {
		name = "%2E" + name[1:]
	}
	return name
}

// Checksum returns the CRC-32C of the concatenated parts (Castagnoli, RFC 3720, section 12.1).
func Checksum(parts ...[]byte) uint32 {
	crc := uint32(0)
	for _, part := range parts {
		crc = crc32.Update(crc, crc32.MakeTable(crc32.Castagnoli), part)
	}
	return crc
}
