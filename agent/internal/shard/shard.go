// Package shard divides jobs among several agents. The agents do not communicate for this.
package shard

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// Shard is one of Count parts into which all jobs are divided. The zero value has all jobs.
type Shard struct {
	Index int // from 1
	Count int
}

// maxCount is the maximum number of shards: to find the shard of a job, one hash for each shard is computed.
const maxCount = 1000

// ordinal is the word for the number at the end of the host's name, such as 0 in cton-0. Pods of a StatefulSet and of an indexed Job
// have such names.
const ordinal = "ordinal"

// Parse parses a shard such as 2/5, counted from 1, or ordinal/5. For ordinal, it takes the number at the end of the host's name,
// which is counted from 0.
func Parse(text, host string) (Shard, error) {
	index, count, found := strings.Cut(text, "/")
	n, err := strconv.Atoi(count)
	if !found || err != nil {
		return Shard{}, fmt.Errorf("%q is not a shard: want one such as 2/5, counted from 1, or ordinal/5 with the word ordinal, which takes the number at the end of the host's name", text)
	}
	if n < 1 || n > maxCount {
		return Shard{}, fmt.Errorf("%q has %d shards: want 1 to %d", text, n, maxCount)
	}
	if index == ordinal {
		return ofHost(host, n)
	}
	i, err := strconv.Atoi(index)
	if err != nil || i < 1 || i > n {
		return Shard{}, fmt.Errorf("%q is not a shard: want 1/%d to %[2]d/%[2]d, or ordinal/%[2]d with the word ordinal, which takes the number at the end of the host's name", text, n)
	}
	return Shard{i, n}, nil
}

// ofHost returns the shard of a host whose name ends with a number, which is counted from 0.
func ofHost(host string, count int) (Shard, error) {
	short, _, _ := strings.Cut(host, ".")
	at := strings.LastIndexByte(short, '-')
	i, err := strconv.ParseUint(short[at+1:], 10, 31)
	if at < 0 || err != nil {
		return Shard{}, fmt.Errorf("the host's name %q does not end with a number, as that of a pod of a StatefulSet does: name the shard, such as 1/%d", host, count)
	}
	if i >= uint64(count) {
		return Shard{}, fmt.Errorf("the host %s is shard %d, but there are %d: set as many replicas as shards", host, i+1, count)
	}
	return Shard{int(i) + 1, count}, nil
}

// String returns the shard in the format of Parse, "" for the zero value.
func (s Shard) String() string {
	if s.Count == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.Index, s.Count)
}

// Has reports whether a job belongs to the shard.
func (s Shard) Has(job string) bool { return s.Count <= 1 || Of(job, s.Count) == s.Index }

// Of returns the number of the shard that a job belongs to: the shard with the highest score (rendezvous hashing). If a shard is added,
// jobs move only to the new shard, not between the others. The score of shard 3 is the first eight bytes of SHA-256("JOB/3"),
// big-endian. A new release must not change the scores: jobs would move away from the volumes that have their state.
func Of(job string, count int) int {
	best, highest := 1, uint64(0)
	key := append([]byte(job), '/')
	for i := 1; i <= count; i++ {
		sum := sha256.Sum256(strconv.AppendInt(key, int64(i), 10))
		if score := binary.BigEndian.Uint64(sum[:]); i == 1 || score > highest {
			best, highest = i, score
		}
	}
	return best
}

// Move is a job that has come to a shard or has left it.
type Move struct {
	Job string
	To  int // the shard that the job has gone to or come from
}

// Moves returns the jobs that leave and the jobs that come when the shard of an agent is changed. The argument "from" is the agent's
// shard before the change, and "to" is its shard after the change.
func Moves(jobs []string, from, to Shard) (left, came []Move) {
	for _, job := range jobs {
		switch had, has := from.Has(job), to.Has(job); {
		case had && !has:
			left = append(left, Move{job, Of(job, to.Count)})
		case has && !had:
			came = append(came, Move{job, Of(job, from.Count)})
		}
	}
	return left, came
}
