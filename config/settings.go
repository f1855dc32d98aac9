package config

import (
	"fmt"
	"reflect"
)

// Settings returns what is set in a part of a [Config], such as a [Client], by
// the names of the variables: a client's without prefix and number. A secret
// only shows that it is there.
func Settings[T any](part T) map[string]any {
	set := map[string]any{}
	for _, v := range variablesOf(reflect.TypeFor[T](), "") {
		field := reflect.ValueOf(part).FieldByIndex(v.field.Index)
		if field.IsZero() {
			continue
		}
		set[v.name] = field.Interface()
		if text, ok := set[v.name].(fmt.Stringer); ok { // a secret, a URL, a duration
			set[v.name] = text.String()
		}
	}
	return set
}

// Changed returns the names, as Settings has them, of what differs between two
// parts of a Config. Of secrets that may have been wiped it is to be given digests.
func Changed[T any](before, after T) []string {
	var names []string
	for _, v := range variablesOf(reflect.TypeFor[T](), "") {
		b, a := reflect.ValueOf(before).FieldByIndex(v.field.Index), reflect.ValueOf(after).FieldByIndex(v.field.Index)
		if !reflect.DeepEqual(b.Interface(), a.Interface()) {
			names = append(names, v.name)
		}
	}
	return names
}
