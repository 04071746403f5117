// Package protobuf checks the size of received messages before they are decoded.
package protobuf

import "google.golang.org/protobuf/encoding/protowire"

// maxDepth is the depth up to which fields are counted. The messages of pushes and of remote-write requests are not deeper.
const maxDepth = 4

// Fits reports whether a message has no more fields than "limit", including the fields of nested messages. The result "left" is how many
// more fields would be allowed. The limit is needed because an empty message takes two bytes when encoded, but about a hundred bytes of
// memory. A string that could be a message is counted like a message.
func Fits(message []byte, limit int) (left int, ok bool) {
	left = limit
	ok = count(message, 0, &left)
	return left, ok
}

func count(message []byte, depth int, left *int) bool {
	for len(message) > 0 {
		number, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return true // it is not a message, or the decoder will return the error
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
