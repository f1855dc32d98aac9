package doctor

import (
	"context"
	"net/http"
	"time"
)

// clockTolerance is the difference that is not worth a word, since Date has
// whole seconds. The proxy corrects its assertions from there on.
const clockTolerance = 30 * time.Second

// clock compares this machine's clock with the login host's.
func (x *examination) clock(context.Context) Result {
	date, err := http.ParseTime(x.login.date)
	if err != nil {
		return warning("the login host's answer has no Date, so this machine's clock cannot be compared nor corrected").
			fix("see that this machine's clock is set (NTP): an assertion is good for two minutes")
	}
	offset := date.Sub(x.login.sent.Add(x.login.received.Sub(x.login.sent) / 2))
	if offset.Abs() <= clockTolerance {
		return passed("agrees with the login host's")
	}
	direction := "behind"
	if offset < 0 {
		direction = "ahead of"
	}
	return warning("%s %s the login host's; sfproxy corrects its assertions for that", offset.Abs().Round(time.Second), direction).
		fix("set this machine's clock (NTP): certificates and logs go by it")
}
