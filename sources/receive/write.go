package receive

import (
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/golang/snappy"

	"github.com/collectington/collectington/sources/receive/samples"
)

// writePath is the path for remote-write requests, as in Prometheus.
const writePath = "/api/v1/write"

// retryAfter is how long a sender must wait if the sinks cannot take its samples, in seconds.
const retryAfter = "5"

// write passes on the samples of a remote-write request. It responds after the sinks have taken them.
func (h *handler) write(w http.ResponseWriter, r *http.Request) {
	isV2, err := protocolOf(r.Header)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnsupportedMediaType)
		return
	}
	packed, release, err := h.readRaw(r)
	defer release()
	if err != nil {
		h.fail(w, r, err)
		return
	}
	var request *samples.Request
	if !h.decode(r.Context(), func() { request, err = h.unpack(packed, isV2) }) {
		return
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	h.adder.toStream(request.Stream)
	if err := h.env.Forward(r.Context(), request.Stream); err != nil {
		w.Header().Set("Retry-After", retryAfter)
		setWritten(w, &samples.Request{}, isV2)
		h.fail(w, r, fmt.Errorf("the samples cannot be passed on: %w", err))
		return
	}
	setWritten(w, request, isV2)
	if request.Left > 0 {
		h.fail(w, r, &statusError{fmt.Errorf("%d samples are not valid, the others were accepted: %w", request.Left, request.First), http.StatusBadRequest})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// protocolOf reports whether a request is in protocol 2.0. If the request is neither in 2.0 nor in 1.0, protocolOf returns an error that
// says what is wrong.
func protocolOf(h http.Header) (isV2 bool, err error) {
	if encoding := h.Get("Content-Encoding"); encoding != "" && encoding != "snappy" {
		return false, fmt.Errorf("the Content-Encoding %.80q is not supported: want snappy", encoding)
	}
	kind := h.Get("Content-Type")
	if kind == "" {
		return false, nil
	}
	media, parameters, err := mime.ParseMediaType(kind)
	if err != nil || media != "application/x-protobuf" {
		return false, fmt.Errorf("the Content-Type %.80q is not supported: want application/x-protobuf", kind)
	}
	switch parameters["proto"] {
	case "", "prometheus.WriteRequest":
		return false, nil
	case "io.prometheus.write.v2.Request":
		return true, nil
	}
	return false, fmt.Errorf("the Content-Type %.80q is not supported: want proto=prometheus.WriteRequest or proto=io.prometheus.write.v2.Request", kind)
}

// unpack decompresses and decodes a request.
func (h *handler) unpack(packed []byte, isV2 bool) (*samples.Request, error) {
	size, err := snappy.DecodedLen(packed)
	if err == nil && int64(size) > int64(h.config.MaxBody) {
		return nil, &statusError{fmt.Errorf("the request is larger than %s (max_body)", h.config.MaxBody), http.StatusRequestEntityTooLarge}
	}
	var raw []byte
	if err == nil {
		raw, err = snappy.Decode(nil, packed)
	}
	if err != nil {
		return nil, &statusError{fmt.Errorf("decompress: %s", strings.TrimPrefix(err.Error(), "snappy: ")), http.StatusBadRequest}
	}
	request, err := h.families.Decode(raw, isV2)
	if err != nil {
		return nil, &statusError{err, http.StatusBadRequest}
	}
	return request, nil
}

// setWritten sets the headers that say how many samples were taken (specification 2.0, section "Required Written Response
// Headers").
func setWritten(w http.ResponseWriter, q *samples.Request, isV2 bool) {
	if !isV2 {
		return
	}
	w.Header().Set("X-Prometheus-Remote-Write-Samples-Written", strconv.Itoa(q.Samples))
	w.Header().Set("X-Prometheus-Remote-Write-Histograms-Written", strconv.Itoa(q.Histograms))
	w.Header().Set("X-Prometheus-Remote-Write-Exemplars-Written", strconv.Itoa(q.Exemplars))
}
