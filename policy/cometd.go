package policy

import (
	"net/http"
	"strings"
)

// metaChannels are those of Bayeux, in their one spelling.
var metaChannels = map[string]bool{"/meta/handshake": true, "/meta/connect": true, "/meta/disconnect": true,
	"/meta/subscribe": true, "/meta/unsubscribe": true}

// cometd returns the effect of Bayeux messages. Those to a meta channel change
// nothing but the client's own subscriptions; others publish.
func (in *inspector) cometd(c *call) (effect, error) {
	if c.reads() && c.rawQuery == "" {
		return metadata("a look at CometD"), nil
	}
	if c.method != http.MethodPost || c.rawQuery != "" {
		return writingUnknown("CometD in another way than by POST"), nil
	}
	document, err := c.document()
	if err != nil {
		return effect{}, err
	}
	messages, isList := document.([]any)
	if !isList {
		messages = []any{document}
	}
	e := metadata("CometD")
	for _, message := range messages {
		switch channel := textMember(message, "channel"); {
		case channel == "/meta/subscribe":
			e = e.with(subscription(member(message, "subscription")))
		case !strings.HasPrefix(channel, "/meta/"):
			return writingUnknown("a message to a channel"), nil
		case !metaChannels[channel]:
			return writingUnknown("a message to an unknown meta channel"), nil
		}
	}
	return e, nil
}

// subscription returns the effect of a subscription to a channel, or to
// several: the object is in the names of platform events and of change events.
func subscription(channels any) effect {
	list, isList := channels.([]any)
	if !isList {
		list = []any{channels}
	}
	e := metadata("CometD")
	for _, one := range list {
		channel, _ := one.(string)
		_, name, _ := strings.Cut(strings.TrimPrefix(channel, "/"), "/")
		object := ""
		switch {
		case strings.HasPrefix(channel, "/event/"):
			object = name
		case strings.HasPrefix(channel, "/data/") && strings.HasSuffix(name, "__ChangeEvent"):
			object = strings.TrimSuffix(name, "__ChangeEvent") + "__c"
		case strings.HasPrefix(channel, "/data/"):
			object = strings.TrimSuffix(name, "ChangeEvent")
		}
		if object == "" || !objectName.MatchString(object) || strings.HasPrefix(channel, "/data/") && !strings.HasSuffix(name, "ChangeEvent") {
			return readingUnknown("a subscription to " + channel)
		}
		e = e.with(reading("a subscription", object))
	}
	return e
}
