package document

import "encoding/json"

// JQ is the value as jq programs in Go take it: nil, bool, json.Number (which keeps the digits), string, []any and
// map[string]any. Texts may point into the document.
func (v Value) JQ() any {
	switch v.Kind() {
	case Object:
		m := map[string]any{}
		for key, member := range v.Members {
			m[key] = member.JQ()
		}
		return m
	case Array:
		list := []any{}
		for item := range v.Items {
			list = append(list, item.JQ())
		}
		return list
	case String:
		return v.Text()
	case Number:
		return json.Number(v.Raw())
	case True:
		return true
	case False:
		return false
	}
	return nil
}
