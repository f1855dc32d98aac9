package policy

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"unicode/utf8"
)

// maxNesting is how deep arrays and objects of JSON, or elements of XML, may lie
// in each other.
const maxNesting = 100

// parseJSON returns the value of a JSON text: maps, whose keys are in lower
// case, slices, strings, json.Numbers, bools and nil. What one reader may take
// in another way than the next is an error: a key that comes twice, in whatever
// case, or bytes that are no UTF-8.
func parseJSON(text []byte) (any, error) {
	if !utf8.Valid(text) {
		return nil, unreadable("its JSON is not in UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	value, err := jsonValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, unreadable("something follows its JSON")
	}
	return value, nil
}

func jsonValue(d *json.Decoder, depth int) (any, error) {
	token, err := d.Token()
	if err != nil || depth > maxNesting {
		return nil, unreadable("its JSON is malformed, or nested too deep")
	}
	switch token {
	case json.Delim('{'):
		return jsonObject(d, depth)
	case json.Delim('['):
		list := []any{}
		for d.More() {
			value, err := jsonValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, jsonEnd(d)
	}
	return token, nil
}

func jsonObject(d *json.Decoder, depth int) (any, error) {
	object := map[string]any{}
	for d.More() {
		key, err := jsonValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		name := strings.ToLower(key.(string)) // as the decoder has it that keys are
		if strings.ContainsFunc(name, func(r rune) bool { return r >= utf8.RuneSelf }) {
			return nil, unreadable("its JSON has the key %q, which is not in ASCII", name) // some letters are others in another case
		}
		if _, twice := object[name]; twice {
			return nil, unreadable("its JSON has the key %q twice", name)
		}
		if object[name], err = jsonValue(d, depth+1); err != nil {
			return nil, err
		}
	}
	return object, jsonEnd(d)
}

func jsonEnd(d *json.Decoder) error {
	if _, err := d.Token(); err != nil {
		return unreadable("its JSON is malformed")
	}
	return nil
}

// member returns a member of a JSON object, nil if there is none.
func member(value any, name string) any {
	object, _ := value.(map[string]any)
	return object[strings.ToLower(name)]
}

// textMember returns a member that is a string, else "".
func textMember(value any, name string) string {
	text, _ := member(value, name).(string)
	return text
}
