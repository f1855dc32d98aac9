// Command h2spec runs the conformance tests of h2spec against a TLS server, and
// writes a JUnit report.
//
//	h2spec PORT PATH REPORT
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/summerwind/h2spec"
	"github.com/summerwind/h2spec/config"
)

func main() {
	port, err := strconv.Atoi(os.Args[1])
	if err == nil {
		_, err = h2spec.Run(&config.Config{Host: "127.0.0.1", Port: port, Path: os.Args[2], JUnitReport: os.Args[3],
			TLS: true, Insecure: true, Strict: true, MaxHeaderLen: 4000, Timeout: 2 * time.Second})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "h2spec:", err)
		os.Exit(1)
	}
}
