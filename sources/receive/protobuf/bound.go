// Package protobuf bounds messages from outside before they are decoded.
package protobuf

import "google.golang.org/protobuf/encoding/protowire"

// maxDepth is the depth up to which fields are counted. Neither a push nor a remote-write request has deeper messages.
const maxDepth = 4

// Fits reports whether a message has at most limit fields, with those of the messages in it, and returns how many are left of the
// limit. An empty message takes two bytes on the wire and a hundred in memory. A string can look like a message: then its fields
// count too.
func Fits(message []byte, limit int) (left int, ok bool) {
	left = limit
	ok = count(message, 0, &left)
	return left, ok
}

func count(message []byte, depth int, left *int) bool {
	for len(message) > 0 {
		number, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return true // not a message, or an error of the decoder
		}
		message = message[size:]
		if *left--; *left < 0 {
			return false
		}
		if kind == protowire.BytesType && depth < maxDepth {
			inner, size := protowire.ConsumeBytes(message)
			if size < 0 {
				return true
			}
			if !count(inner, depth+1, left) {
				return false
			}
			message = message[size:]
			continue
		}
		if size = protowire.ConsumeFieldValue(number, kind, message); size < 0 {
			return true
		}
		message = message[size:]
	}
	return true
}
