package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// line is a verb with all that one of them may be given. Bodies are base64, as encoding/json does it.
type line struct {
	N                    int
	Verb                 string
	Kind, Actor, Message string
	Sender, ID           string
	Headers              map[string]string
	Body                 []byte
	Request              json.RawMessage
	TimeoutMs            int
}

var output sync.Mutex

func say(value any) {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	output.Lock()
	defer output.Unlock()
	fmt.Println(string(text))
}

func carryOut(c *Client, l line) (any, error) {
	sending := Sending{l.Kind, l.Actor, l.Message, l.Headers, l.Body}
	timeout := time.Duration(l.TimeoutMs) * time.Millisecond
	switch l.Verb {
	case "ready":
		return nil, nil
	case "tell":
		return nil, c.Tell(sending)
	case "send":
		return c.Send(sending)
	case "ask":
		return c.Ask(sending)
	case "result":
		return c.Result(l.Actor, l.Sender, l.ID, timeout)
	case "call":
		return c.Call(l.Actor, l.Message, l.Headers, l.Body)
	case "cancel":
		return c.Cancel(l.Actor, l.Request, timeout)
	case "letter":
		return c.Letter(l.Actor, l.Message, l.ID)
	case "events":
		return nil, c.Events(l.Actor, func(msg *nats.Msg) {
			say(map[string]any{"event": map[string]any{"subject": msg.Subject, "body": msg.Data}})
		})
	}
	return nil, fmt.Errorf("expected a verb, got: %q", l.Verb)
}

func answer(c *Client, l line) {
	value, err := carryOut(c, l)
	var refusal *nats.APIError
	switch {
	case errors.Is(err, nats.ErrTimeout):
		// Nobody said so in time: for result and cancel that is an answer.
		say(map[string]any{"n": l.N, "value": nil})
	case errors.As(err, &refusal):
		say(map[string]any{"n": l.N, "value": map[string]any{"error": refusal}})
	case err != nil:
		say(map[string]any{"n": l.N, "error": err.Error()})
	default:
		say(map[string]any{"n": l.N, "value": value})
	}
}

func main() {
	nc, err := nats.Connect(os.Getenv("NATS_URL"))
	if err != nil {
		panic(err)
	}
	defer nc.Close()
	client, err := newClient(nc, os.Getenv("NAMESPACE"))
	if err != nil {
		panic(err)
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			panic(err)
		}
		go answer(client, l)
	}
}
