package config

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Usage writes a table of the variables whose names begin with one of the
// groups ("SF_", "PROXY_", "LOG_"), or of all if there is none: name, default
// and meaning.
func Usage(w io.Writer, groups ...string) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, v := range variables() {
		inGroup := func(group string) bool { return strings.HasPrefix(v.name, group) }
		if len(groups) == 0 || slices.ContainsFunc(groups, inGroup) {
			fmt.Fprintf(tw, "  %s\t%s\t%s\n", v.title(), v.fallback, v.help)
		}
	}
	tw.Flush()
}

// Markdown writes the table of all variables for the README.
func Markdown(w io.Writer) {
	fmt.Fprint(w, "| variable | default | meaning |\n| --- | --- | --- |\n")
	for _, v := range variables() {
		fallback := v.fallback
		if v.field.Tag.Get("envDefault") != "" {
			fallback = "`" + fallback + "`"
		}
		fmt.Fprintf(w, "| `%s` | %s | %s |\n", v.title(), fallback, strings.ReplaceAll(v.help, number, "`"+number+"`"))
	}
}

// title returns the variable's name as help shows it.
func (v variable) title() string {
	if v.isSecret() {
		return v.name + "[_FILE]"
	}
	return v.name
}
