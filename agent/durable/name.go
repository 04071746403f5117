package durable

import (
	"crypto/sha256"
	"encoding/hex"
	"hash/crc32"
	"net/url"
	"strings"
)

// maxFileName is how long a name is before it is replaced by its hash. File systems allow 255 bytes, of which callers may add some.
const maxFileName = 128

// FileName returns a text, such as the name of a job, as the name of a file or a part of it. Different texts have different names.
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

// Checksum returns the CRC-32C of parts one after another (Castagnoli, RFC 3720, section 12.1).
func Checksum(parts ...[]byte) uint32 {
	crc := uint32(0)
	for _, part := range parts {
		crc = crc32.Update(crc, crc32.MakeTable(crc32.Castagnoli), part)
	}
	return crc
}
