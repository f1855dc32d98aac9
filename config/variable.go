package config

import (
	"reflect"
	"strconv"
	"strings"
)

// number stands for a client's number in the name of a variable.
const number = "<n>"

// variable is one variable as the struct tags describe it.
type variable struct {
	name     string // with number in it for that of a client
	field    reflect.StructField
	fallback string // the default, or words for it
	help     string
	example  string
}

// isSecret reports whether the variable's value is a secret, which may come
// from a file too.
func (v variable) isSecret() bool { return v.field.Type == reflect.TypeFor[Secret]() }

// variables returns the variables of Config in the order of its fields.
func variables() []variable { return variablesOf(reflect.TypeFor[Config](), "") }

func variablesOf(t reflect.Type, prefix string) []variable {
	var list []variable
	for field := range t.Fields() {
		tag := field.Tag
		name, options, _ := strings.Cut(tag.Get("env"), ",")
		switch {
		case name == "-":
		case name != "":
			v := variable{name: prefix + name, field: field, fallback: tag.Get("envDefault"), help: tag.Get("help"), example: tag.Get("example")}
			if shown := tag.Get("shown"); shown != "" {
				v.fallback = shown
			} else if options == "required" {
				v.fallback = options
			}
			list = append(list, v)
		case field.Type.Kind() == reflect.Struct:
			list = append(list, variablesOf(field.Type, prefix+tag.Get("envPrefix"))...)
		case field.Type.Kind() == reflect.Slice:
			list = append(list, variablesOf(field.Type.Elem(), prefix+tag.Get("envPrefix")+"_"+number+"_")...)
		}
	}
	return list
}

// numbered returns the list with each client's variables for every one of the
// numbers, in order.
func numbered(list []variable, numbers []int) []variable {
	var plain, ofClients []variable
	for _, v := range list {
		if strings.Contains(v.name, number) {
			ofClients = append(ofClients, v)
		} else {
			plain = append(plain, v)
		}
	}
	for _, n := range numbers {
		for _, v := range ofClients {
			v.name = strings.ReplaceAll(v.name, number, strconv.Itoa(n))
			plain = append(plain, v)
		}
	}
	return plain
}
