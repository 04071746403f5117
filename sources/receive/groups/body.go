package groups

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"slices"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sources/receive/protobuf"
)

// Decode reads the families in a body, and sorts them by name. As in a Pushgateway, the format is delimited protobuf if the Content-Type
// says so, and otherwise the text format. If the body has more lines or protobuf fields than "limit", Decode returns an error before it
// needs much memory.
func Decode(body []byte, contentType string, scheme model.ValidationScheme, limit int) ([]*dto.MetricFamily, error) {
	families := map[string]*dto.MetricFamily{}
	if isProtobuf(contentType) {
		if !fits(body, limit) {
			return nil, fmt.Errorf("the body has more than %d fields", limit)
		}
		for in := bytes.NewReader(body); ; {
			family := &dto.MetricFamily{}
			err := protodelim.UnmarshalOptions{MaxSize: int64(len(body))}.UnmarshalFrom(in, family)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("read protobuf: %s", text.OneLine(err.Error()))
			}
			families[family.GetName()] = family // the last family with a name counts
		}
	} else {
		if bytes.Count(body, []byte("\n")) > limit {
			return nil, fmt.Errorf("the body has more than %d lines", limit)
		}
		parser := expfmt.NewTextParser(scheme)
		var err error
		if families, err = parser.TextToMetricFamilies(bytes.NewReader(body)); err != nil {
			return nil, errors.New(text.Cut(text.OneLine(err.Error()), 1000))
		}
	}
	sorted := make([]*dto.MetricFamily, 0, len(families))
	for _, name := range slices.Sorted(maps.Keys(families)) {
		sorted = append(sorted, families[name])
	}
	return sorted, nil
}

func isProtobuf(contentType string) bool {
	media, parameters, err := mime.ParseMediaType(contentType)
	return err == nil && media == "application/vnd.google.protobuf" &&
		parameters["encoding"] == "delimited" && parameters["proto"] == "io.prometheus.client.MetricFamily"
}

// fits reports whether delimited messages have no more fields than "limit".
func fits(body []byte, limit int) bool {
	for len(body) > 0 {
		message, size := protowire.ConsumeBytes(body)
		if size < 0 {
			return true // the decoder returns the error
		}
		body = body[size:]
		left, ok := protobuf.Fits(message, limit-1)
		if limit = left; !ok || limit < 0 {
			return false
		}
	}
	return true
}
