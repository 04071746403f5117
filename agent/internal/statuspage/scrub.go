package statuspage

import "reflect"

// scrub applies f to every string in the value to which the argument "pointer" points. It uses reflection, so that a field that is added
// later cannot be forgotten.
func scrub(pointer any, f func(string) string) { scrubValue(reflect.ValueOf(pointer).Elem(), f) }

func scrubValue(v reflect.Value, f func(string) string) {
	switch v.Kind() {
	case reflect.String:
		if v.Len() > 0 {
			v.SetString(f(v.String()))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			scrubValue(v.Elem(), f)
		}
	case reflect.Slice:
		for i := range v.Len() {
			scrubValue(v.Index(i), f)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Field(i); field.CanSet() {
				scrubValue(field, f)
			}
		}
	case reflect.Map:
		if v.Type().Elem().Kind() != reflect.String {
			return // a map of counts, whose keys are fixed reasons
		}
		for _, key := range v.MapKeys() {
			v.SetMapIndex(key, reflect.ValueOf(f(v.MapIndex(key).String())))
		}
	}
}
