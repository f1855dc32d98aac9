package config

import (
	"errors"
	"strconv"
	"strings"
)

var (
	errNotSize  = errors.New("is not a size in bytes, KB, KiB, MB, MiB, GB or GiB")
	errTooLarge = errors.New("is too large")
)

// units are bytes by the unit's name in lower case.
var units = map[string]int64{
	"": 1, "b": 1,
	"kb": 1e3, "mb": 1e6, "gb": 1e9,
	"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30,
}

// parseSize returns the bytes in text, such as 1048576, 512KiB or 1 MB, if
// they are most at most.
func parseSize(text string, most int64) (int64, error) {
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	unit, ok := units[strings.ToLower(strings.TrimSpace(text[len(digits):]))]
	if !ok || digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, errNotSize
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > most/unit {
		return 0, errTooLarge
	}
	return n * unit, nil
}
